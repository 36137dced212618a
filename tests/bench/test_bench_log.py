"""What a log of any size costs: printed, never judged by a clock. `pytest -s -m "bench or trials"`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench_terminal import CONSOLE, Pty

from torchprobes.compilelog.lines import LineIndex
from torchprobes.compilelog.marks import Marks

LINE = (
    b"V1123 06:15:03.456000 18663 torch/_dynamo/guards.py:5396] [3/1] [__guards] "
    b"| | +- TYPE_MATCH: ___check_type_id(L['x'], 94)\n"
)


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.fixture(scope="module")
def gigabyte(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("gigabyte") / "big.log"
    with path.open("wb") as file:
        while file.tell() < 1_000_000_000:
            file.write(LINE * 100_000)
    yield path
    path.unlink()


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


@contextmanager
def opened(folder: Path, state: Path) -> Iterator[Pty]:
    """The console on a folder with an empty log, and perhaps a big one below it; the keys are in its list."""
    with Pty([*CONSOLE, "logs", str(folder)], (120, 40), {"TORCHDOCTOR_STATE": str(state)}) as screen:
        screen.until(b"a-small.log")
        screen.rest(3)
        screen.answer("\t", b"read")
        yield screen


@pytest.mark.trials
def test_a_gigabyte_in_the_console(gigabyte: Path, tmp_path: Path) -> None:
    small = tmp_path / "empty"
    small.mkdir()
    (small / "a-small.log").write_text("small\n")
    (small / "b-small.log").write_bytes(b"")
    with opened(small, tmp_path) as screen:
        screen.answer("G", b"empty")
        screen.rest(5)
        base = screen.rss_bytes()
    (gigabyte.parent / "a-small.log").write_text("small\n")
    with opened(gigabyte.parent, tmp_path) as screen:
        first = screen.answer("G", rb"TYPE_MATCH")
        whole = first + _passed(screen, rb"line [\d,]{9} of")
        screen.rest(3)
        memory = screen.rss_bytes() - base
        screen.answer("\r", b"follow up")
        screen.answer("&", b"how only")
        filtered = screen.answer("level:V guard\r", rb"[\d,]{9} of [\d,]{9} lines", 60)
        screen.rest(20)
        with_filter = screen.rss_bytes() - base
        peak = screen.rss_bytes("VmHWM")
    print(f"\n1 GB: first page {first * 1e3:.0f} ms after the key, all lines known {whole:.1f} s after it; ", end="")
    print(
        f"{memory / 1e6:+.1f} MB over an empty file, {with_filter / 1e6:+.1f} MB with a filter that keeps all ", end=""
    )
    print(f"(first counts {filtered:.1f} s after it); peak {peak / 1e6:.0f} MB")


def _passed(screen: Pty, shows: bytes) -> float:
    start = time.monotonic()
    screen.until(shows)
    return time.monotonic() - start
