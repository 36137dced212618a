"""What logs cost: printed, never judged by a clock. `pytest -s -m "bench or trials"`."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.app import App, ComposeResult

from torchdoctor.widgets.log_view import LogView
from torchprobes.compilelog.document import Document
from torchprobes.compilelog.lines import LineIndex
from torchprobes.compilelog.marks import Marks
from torchprobes.compilelog.search import Query

LINE = (
    b"V1123 06:15:03.456000 18663 torch/_dynamo/guards.py:5396] [3/1] [__guards] "
    b"| | +- TYPE_MATCH: ___check_type_id(L['x'], 94)\n"
)

WRITER = """
import os, sys, time
line, rate, seconds = sys.argv[2].encode() + b"\\n", int(sys.argv[3]), float(sys.argv[4])
fd, start, done = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT), time.monotonic(), 0
while (now := time.monotonic() - start) < seconds:
    due = int(now * rate) - done
    os.write(fd, line * due)
    done += due
    time.sleep(0.01)
"""


class BenchApp(App[None]):
    """A log view with the app's own rhythm of 5 Hz."""

    def __init__(self) -> None:
        super().__init__()
        self.log_view = LogView()

    def compose(self) -> ComposeResult:
        yield self.log_view

    def on_mount(self) -> None:
        self.set_interval(0.2, self.log_view.refresh_data)
        self.log_view.lines.focus()


@contextmanager
def writing(path: Path, rate: int, seconds: float) -> Iterator[None]:
    argv = [sys.executable, "-I", "-c", WRITER, str(path), LINE.decode().rstrip(), str(rate), str(seconds)]
    writer = subprocess.Popen(argv)
    try:
        yield
    finally:
        writer.kill()
        writer.wait()


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def seconds_of(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.bench
def test_indexing_and_marking_against_a_bare_count_of_newlines() -> None:
    data = LINE * 400_000
    pieces = [data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20)]
    bare = min(seconds_of(lambda: [piece.count(b"\n") for piece in pieces]) for _ in range(5))
    index, marks = LineIndex(), Marks()
    indexing = seconds_of(lambda: [index.feed(piece) for piece in pieces])
    marking = seconds_of(lambda: [marks.feed(piece) for piece in pieces])
    assert index.lines == 400_000
    size = len(data) / 1e6
    print(f"\nindex {indexing / bare:.1f} x a bare count ({size / indexing:.0f} MB/s), ", end="")
    print(f"marks {marking / bare:.1f} x ({size / marking:.0f} MB/s), {index.memory_bytes / (size / 1e3):.0f} B per GB")


async def worst_block(stop: asyncio.Event) -> list[float]:
    """How late a 5 ms sleep came, in seconds, until `stop`."""
    late = []
    while not stop.is_set():
        start = time.perf_counter()
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - start - 0.005)
    return late


async def key_times(app: BenchApp, keys: list[str]) -> list[float]:
    """Seconds from each key to the screen that shows its effect."""
    times = []
    for key in keys:
        drawn = asyncio.Event()
        start = time.perf_counter()
        app.simulate_key(key)
        app.call_later(lambda drawn=drawn: app.screen.call_after_refresh(drawn.set))
        await asyncio.wait_for(drawn.wait(), 10)
        times.append(time.perf_counter() - start)
        await asyncio.sleep(0.05)
    return times


@pytest.mark.bench
@pytest.mark.parametrize("rate", [0, 10_000, 100_000])
async def test_following_and_keys_while_lines_stream(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "stderr.log"
    path.write_bytes(LINE * 1000)
    app = BenchApp()
    async with app.run_test(size=(120, 40)) as pilot:
        app.log_view.open(str(path))
        await pilot.pause()
        with writing(path, rate, 12.0):
            stop, memory, cpu, start = asyncio.Event(), rss_bytes(), time.process_time(), time.perf_counter()
            blocks = asyncio.create_task(worst_block(stop))
            await asyncio.sleep(2)
            times = await key_times(app, ["k", "pageup", "g", "G"] * 15)
            stop.set()
            late = await blocks
            spent = (time.process_time() - cpu) / (time.perf_counter() - start)
        lines = app.log_view.lines
        assert lines.document is not None
        assert lines.lines > 1000 or rate == 0
        times.sort()
        print(f"\n{rate:>7,} lines/s: key to frame p50 {statistics.median(times) * 1e3:.0f} ms, ", end="")
        print(f"p95 {times[int(len(times) * 0.95)] * 1e3:.0f} ms; worst block {max(late) * 1e3:.0f} ms; ", end="")
        print(f"CPU {spent:.0%}; {lines.lines:,} lines; +{(rss_bytes() - memory) / 1e6:.1f} MB")
        app.log_view.close()


def wait_for(holds) -> float:
    """Seconds until it holds."""
    start = time.perf_counter()
    while not holds():
        time.sleep(0.001)
        assert time.perf_counter() - start < 300
    return time.perf_counter() - start


@pytest.mark.trials
def test_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    with path.open("wb") as file:
        while file.tell() < 1_000_000_000:
            file.write(LINE * 100_000)
    memory, cpu = rss_bytes(), time.process_time()
    document = Document(str(path))
    first = wait_for(lambda: document.page(0, 50).lines)
    whole = first + wait_for(lambda: document.view().indexed)
    at_end = seconds_of(lambda: document.page(document.view().lines - 50, 50))
    marked = whole + wait_for(lambda: document._marked >= document.view().size_bytes)
    print(
        f"\n1 GB: first page {first * 1e3:.0f} ms, index {whole:.2f} s, page at the end {at_end * 1e3:.1f} ms, ", end=""
    )
    print(f"marks {marked:.1f} s, CPU {time.process_time() - cpu:.1f} s, +{(rss_bytes() - memory) / 1e6:.1f} MB")
    document.search(Query("no such words"))
    searched = wait_for(lambda: document.found.view().at_end)
    print(f"literal search of all {searched:.2f} s")
    document.close()
