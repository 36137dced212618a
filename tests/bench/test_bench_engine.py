"""What the engine of the Logs pane costs, and how soon it tells: printed, never judged by a clock. `pytest -s -m bench`.

The corpus's runs are replayed at ten times their pace; each row with a place in a file is looked for in `Engine.view`
from the moment at which its last byte was written.
"""

from __future__ import annotations

import dataclasses
import os
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

from replay import CORPUS, Write, plan, write

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
    engine, written = Engine(str(tmp_path)).start(), Written()
    watch = Watch(engine)
    wait(lambda: engine.view().revision)
    pid = engine._child.pid if engine._child else 0
    before = cpu_s(pid)
    try:
        begun = time.monotonic()
        write(plan(CORPUS / case, mode), tmp_path, SPEED, written.note)
        seconds = time.monotonic() - begun
        once = explain(str(tmp_path))
        wait(lambda: not same(engine.view().explanation, once))
        cost = cpu_s(pid) - before
    finally:
        watch.stop()
        engine.stop()
    late = sorted(
        now - written.at(os.path.relpath(place.path, tmp_path), place.offset + max(place.size, 1))
        for (_, place), now in watch.first.items()
    )
    p99 = late[min(len(late) - 1, int(len(late) * 0.99))]
    print(
        f"\n{case} {mode}: {len(late)} rows, p50 {statistics.median(late) * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, "
        f"max {late[-1] * 1e3:.0f} ms; {watch.revisions / seconds:.1f} snapshots/s, "
        f"child {cost / seconds:.0%} of a core"
    )
    assert late
