"""What the engine of the Logs pane costs, and how soon it tells: printed, judged by no clock. `pytest -s -m bench`.

The corpus's runs are replayed at ten times their pace; each row with a place in a file is looked for in `Engine.view`
from the moment at which its last byte was written.
"""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import os
import re
import statistics
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "compilelog"))

from replay import CORPUS, Write, plan, write  # pyright: ignore[reportMissingImports]

from torchprobes.compilelog.engine import Engine, LogsView, explain
from torchprobes.compilelog.events import Place
from torchprobes.compilelog.explanation import Explanation

SPEED = 10.0
TRACE_BYTES = 218_000_000
HEADER = "V1123 06:12:11.791000 13688 torch/_dynamo/utils.py:2350] "


def places(explanation: Explanation) -> Iterator[tuple[str, Place]]:
    """(section, place) of every row that says where it stands."""
    for field in dataclasses.fields(Explanation):
        rows: Any = getattr(explanation, field.name)
        for row in rows if isinstance(rows, tuple) else ():
            for place in getattr(row, "places", ()) or (getattr(row, "place", None),):
                if place is not None:
                    yield field.name, place


class Watch:
    """Notes when each row was first in the view of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.first: dict[tuple[str, Place], float] = {}
        self.revisions = 0
        self._engine, self._ended = engine, threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        last: LogsView | None = None
        while not self._ended.is_set():
            view, now = self._engine.view(), time.monotonic()
            if view is not last:
                last = view
                self.revisions += 1
                for key in places(view.explanation):
                    self.first.setdefault(key, now)
            time.sleep(0.003)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


class Written:
    """When which byte of which file was there."""

    def __init__(self) -> None:
        self._ends: dict[str, list[int]] = {}
        self._times: dict[str, list[float]] = {}

    def note(self, one: Write, now: float) -> None:
        self._ends.setdefault(one.path, []).append(one.offset + len(one.data or b""))
        self._times.setdefault(one.path, []).append(now)

    def at(self, path: str, end: int) -> float:
        return self._times[path][min(bisect_left(self._ends[path], end), len(self._times[path]) - 1)]


def cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def rss_peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def same(live: Explanation, once: Explanation) -> list[str]:
    """Fields in which a followed run differs from one that is read at once."""
    free = {"revision", "notes"}
    names = [field.name for field in dataclasses.fields(Explanation) if field.name not in free]
    return [name for name in names if getattr(live, name) != getattr(once, name)]


def wait(holds: Any, seconds: float = 60.0) -> float:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, "did not come true in time"
        time.sleep(0.005)
    return time.monotonic() - begun


@pytest.mark.bench
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
@pytest.mark.parametrize("mode", ["debug_only", "full"])
@pytest.mark.parametrize("case", ["03_graph_breaks", "04_recompile_storm", "08_ddp_gloo"])
def test_a_replay_at_ten_times_the_pace_is_explained_as_it_is_written(case: str, mode: str, tmp_path: Path) -> None:
    writes = plan(CORPUS / case / mode, json.loads((CORPUS / case / f"{mode}_timeline.json").read_bytes()))
    engine, written = Engine(str(tmp_path)).start(), Written()
    watch = Watch(engine)
    wait(lambda: engine.view().revision)
    pid = engine._child.pid if engine._child else 0
    before = cpu_s(pid)
    try:
        begun = time.monotonic()
        write(writes, tmp_path, SPEED, written.note)
        seconds = time.monotonic() - begun
        once = explain(str(tmp_path))
        wait(lambda: not same(engine.view().explanation, once))
        cost = cpu_s(pid) - before
    finally:
        watch.stop()
        engine.stop()
    found = sorted(
        (
            now - written.at(os.path.relpath(place.path, tmp_path), place.offset + max(place.size, 1)),
            section,
            place.path,
            place.offset,
            place.size,
        )
        for (section, place), now in watch.first.items()
    )
    late = [one[0] for one in found]
    p99 = late[min(len(late) - 1, int(len(late) * 0.99))]
    print(
        f"\n{case} {mode}: {len(late)} rows, p50 {statistics.median(late) * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, "
        f"max {late[-1] * 1e3:.0f} ms; {watch.revisions / seconds:.1f} snapshots/s, "
        f"child {cost / seconds:.0%} of a core; the latest: {found[-1][1]} in {os.path.basename(found[-1][2])}"
    )
    assert late


@pytest.fixture(scope="module")
def big_trace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with one trace of 218 MB: a recorded one again and again, each time with frames of its own."""
    folder = tmp_path_factory.mktemp("big")
    name = "torch_compile_debug/tlparse"
    source = next((CORPUS / "04_recompile_storm" / "debug_only" / name).glob("*.log*"))
    data = gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()
    path = folder / source.name.removesuffix(".gz")
    with path.open("wb") as file:
        for number in itertools.count():
            shift = number * 100
            file.write(
                re.sub(rb'"frame_id": (\d+)', lambda found, by=shift: b'"frame_id": %d' % (int(found[1]) + by), data)
            )
            if file.tell() >= TRACE_BYTES:
                break
    yield folder
    path.unlink()


@pytest.mark.bench
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not here")
def test_a_trace_of_218_mb(big_trace: Path) -> None:
    before = sorted(os.listdir(big_trace))
    begun = time.monotonic()
    engine = Engine(str(big_trace)).start()
    try:
        first = wait(lambda: engine.view().explanation.compiles)
        child = engine._child
        assert child is not None
        size = sum(path.stat().st_size for path in big_trace.iterdir())
        wait(lambda: engine.view().explanation.bytes_read == size)
        whole, cpu = time.monotonic() - begun, cpu_s(child.pid)
        explanation = engine.view().explanation
        print(
            f"\n{size / 1e6:.0f} MB: first findings {first:.2f} s, all {whole:.2f} s, child {cpu:.2f} s of CPU, "
            f"peak {rss_peak_bytes(child.pid) / 1e6:.0f} MB; {len(explanation.compiles)} compiles, "
            f"{explanation.left_out} rows left out"
        )
        assert sorted(os.listdir(big_trace)) == before
    finally:
        engine.stop()
    begun_cpu = time.process_time()
    explained = explain(str(big_trace))
    print(f"explain: {time.process_time() - begun_cpu:.2f} s of CPU, {explained.graphs} graphs")


@pytest.mark.bench
def test_following_a_thousand_files(tmp_path: Path) -> None:
    for number in range(1000):
        folder = tmp_path / f"node{number // 70}" / f"rank{number // 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.log").write_text("x\n")
    quiet = tmp_path / "node3" / "rank30" / "210.log"
    engine = Engine(str(tmp_path)).start()
    try:
        wait(lambda: len(engine.view().tree.files) == 1000)
        time.sleep(4.0)
        child = engine._child
        assert child is not None
        before, begun = cpu_s(child.pid), time.monotonic()
        time.sleep(20.0)
        cost = (cpu_s(child.pid) - before) / (time.monotonic() - begun)
        lags = []
        for _ in range(20):
            with quiet.open("a") as file:
                file.write("more\n")
            size = quiet.stat().st_size
            lags.append(
                wait(
                    lambda size=size: any(
                        f.path == str(quiet) and f.size_bytes == size for f in engine.view().tree.files
                    )
                )
            )
            time.sleep(0.3)
        print(
            f"\n1,000 files: {cost:.1%} of a core idle; a line in one of them is seen after "
            f"p50 {statistics.median(lags) * 1e3:.0f} ms, max {max(lags) * 1e3:.0f} ms"
        )
    finally:
        engine.stop()
