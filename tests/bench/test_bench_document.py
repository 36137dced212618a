"""What an open log costs without a screen: printed, never judged by a clock. `pytest -s -m "bench or trials"`.

Seconds of wall depend on who else works on the machine: the CPU seconds beside them do not.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torchprobes.compilelog.document import Document
from torchprobes.compilelog.filter import Filter
from torchprobes.compilelog.merged import MergedDocument
from torchprobes.compilelog.one_file import OneFile
from torchprobes.compilelog.search import Query
from torchprobes.compilelog.search_all import SearchAll

PREFIX = b"1123 06:15:%02d.%06d 18663 torch/_"
WORDS = (
    b"dynamo/guards.py:5396] [3/1] [__guards] | | +- TYPE_MATCH: ___check_type_id(L['x'], 94)",
    b"inductor/codecache.py:1646] [0/0] [c7zj4qytmety6keurs3hsh5wn7foxp3dqx4kym2ucszzcb2ngrf] inductor_config[cpp.cxx]",
    b"inductor/scheduler.py:2101] [0/0] [__schedule] op3: SchedulerNode(ComputedBuffer) = [MemoryDep('buf3', c0)]",
    b"dynamo/symbolic_convert.py:5124] [0/0_1] [__graph_code] x = self.linear(y)  # File: model.py:12",
)

WRITER = """
import os, sys, time
line, rate, seconds = sys.argv[2].encode() + b"\\n", int(sys.argv[3]), float(sys.argv[4])
fd, start, done = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT), time.monotonic(), 0
while (now := time.monotonic() - start) < seconds:
    due = int(min(now, seconds) * rate) - done
    os.write(fd, line * due)
    done += due
    time.sleep(0.01)
os.write(fd, line * (int(rate * seconds) - done))
"""


def log(size: int) -> Iterator[bytes]:
    """Blocks of torch's lines, `size` bytes in all: one in 500 is a warning, one in 2,000 a recompile."""
    done = number = 0
    while done < size:
        lines = []
        for number in range(number, number + 20_000):  # noqa: B020 - it goes on where it was
            level = b"W" if number % 500 == 0 else b"V"
            words = b"dynamo/x.py:1] [1/0] Recompiling function f" if number % 2000 == 7 else WORDS[number % 4]
            lines.append(level + PREFIX % (number // 100_000 % 60, number % 1_000_000) + words)
        block = b"\n".join(lines) + b"\n"
        yield block
        done += len(block)
        number += 1


def wait_for(holds: Callable[[], object]) -> float:
    """Seconds until it holds."""
    start = time.perf_counter()
    while not holds():
        time.sleep(0.001)
        assert time.perf_counter() - start < 300
    return time.perf_counter() - start


def own_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def children_s() -> float:
    """CPU seconds of the children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def ticking() -> Iterator[list[float]]:
    """How late a sleep of 2 ms in another thread came, in seconds, each time."""
    late: list[float] = []
    over = threading.Event()

    def tick() -> None:
        while not over.is_set():
            start = time.perf_counter()
            time.sleep(0.002)
            late.append(time.perf_counter() - start - 0.002)

    thread = threading.Thread(target=tick)
    thread.start()
    yield late
    over.set()
    thread.join()


def told(name: str, late: list[float]) -> str:
    late = sorted(late)
    return f"{name}: another thread late p99 {late[len(late) * 99 // 100] * 1e3:.1f} ms, worst {late[-1] * 1e3:.1f} ms"


def searched(document: Document, query: Query) -> str:
    cpu = children_s()
    start = time.perf_counter()
    document.search(query)
    first = wait_for(lambda: document.found.query == query and document.found.view().count)
    wait_for(lambda: document.found.view().at_end)
    whole, count = time.perf_counter() - start, document.found.view().count
    document.search(None)
    wait_for(lambda: document.found.query is None)
    wait_for(lambda: children_s() > cpu)
    return (
        f"/{query.words}: first {first:.3f} s, all {whole:.2f} s, children {children_s() - cpu:.2f} s, {count:,} hits"
    )


@pytest.mark.trials
def test_a_document_of_a_gigabyte(tmp_path: Path) -> None:
    path, empty = tmp_path / "big.log", tmp_path / "empty.log"
    empty.touch()
    with path.open("wb") as file:
        file.writelines(log(1_000_000_000))
    nothing = Document(str(empty))
    wait_for(lambda: nothing.view().revision)
    memory, cpu = own_mb(), time.process_time()
    with ticking() as late:
        files = OneFile(str(path))
        document = Document(str(path), files=files)
        last = wait_for(lambda: document.page(-50, 50).lines)
        first = last + wait_for(lambda: document.page(0, 50).lines)
        whole = first + wait_for(lambda: document.view().revision and document.view().indexed)
    print(
        f"\n1 GB, {document.view().lines:,} lines: last page {last * 1e3:.0f} ms, first page {first * 1e3:.0f} ms, ",
        end="",
    )
    print(f"index {whole:.2f} s, CPU {time.process_time() - cpu:.2f} s, +{own_mb() - memory:.1f} MB")
    print(told("indexing", late))
    with ticking() as late:
        marked = wait_for(lambda: files.marked)
    print(f"marks {marked:.1f} s, CPU {time.process_time() - cpu:.2f} s. {told('marking', late)}")
    for words in ("Recompiling function", "recompiling function", "torch", r"recompil\w+ f"):
        print(searched(document, Query(words, regex="\\" in words)))
    for wanted in (Filter(levels=frozenset("WE")), Filter(levels=frozenset("V"), exclude="schedulernode")):
        generation = document.view().generation
        start = time.perf_counter()
        with ticking() as late:
            document.filter(wanted)
            rows = wait_for(lambda: document.view().generation > generation and document.view().rows > 50)  # noqa: B023
            wait_for(lambda: document.filtered.at_end)
        print(
            f"filter: 50 rows {rows:.2f} s, all {time.perf_counter() - start:.2f} s, {document.filtered.kept:,} rows, ",
            end="",
        )
        start = time.perf_counter()
        document.page(document.filtered.kept - 200, 100, 5.0)
        print(
            f"page {(time.perf_counter() - start) * 1e3:.1f} ms, +{own_mb() - memory:.1f} MB. {told('filtering', late)}"
        )
    document.search(Query("v"))
    wait_for(lambda: document.found.query and document.found.view().at_end)
    start = time.perf_counter()
    assert document.found.view().count >= document.found.rank(5_000_000)
    assert document.found.next(5) is not None
    print(
        f"{document.found.view().count:,} hits among the rows in {(time.perf_counter() - start) * 1e3:.1f} ms, ", end=""
    )
    print(f"+{own_mb() - memory:.1f} MB")
    document.close()
    nothing.close()


@pytest.mark.bench
def test_a_hundred_thousand_lines_a_second(tmp_path: Path) -> None:
    path = tmp_path / "stderr.log"
    path.touch()
    document = Document(str(path))
    wait_for(lambda: document.view().revision)
    cpu, start = time.process_time(), time.perf_counter()
    time.sleep(3)
    quiet = (time.process_time() - cpu) / (time.perf_counter() - start)
    line = (b"V" + PREFIX % (3, 456000) + WORDS[0]).decode()
    argv = [sys.executable, "-I", "-c", WRITER, str(path), line, "100000", "10"]
    cpu, start = time.process_time(), time.perf_counter()
    with ticking() as late:
        writer = subprocess.Popen(argv)
        behind = 0
        while writer.poll() is None:
            behind = max(behind, path.stat().st_size - document.view().indexed_bytes)
            time.sleep(0.01)
        spent = (time.process_time() - cpu) / (time.perf_counter() - start)
        wait_for(lambda: document.view().lines == 1_000_000)
    print(
        f"\n100,000 lines/s: nothing lost, at most {behind // len(line):,} lines behind, CPU {spent:.1%} of a core ",
        end="",
    )
    print(f"(quiet file {quiet:.2%}). {told('streaming', late)}")
    document.close()


@pytest.mark.trials
def test_four_logs_of_a_hundred_megabytes_as_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"rank_{rank}.log" for rank in range(4)]
    for path in paths:
        with path.open("wb") as file:
            file.writelines(log(25_000_000))
    memory, cpu = own_mb(), children_s()
    document = MergedDocument([str(path) for path in paths])
    first = wait_for(lambda: document.page(0, 50).lines)
    whole = first + wait_for(lambda: document.view().revision and document.view().indexed)
    print(f"\n100 MB merged, {document.view().rows:,} rows: first page {first:.2f} s, all {whole:.2f} s, ", end="")
    start = time.perf_counter()
    document.filter(Filter(levels=frozenset("W")))
    wait_for(lambda: document.filtered.at_end and document.view().rows == document.filtered.kept)
    print(f"filter {time.perf_counter() - start:.2f} s, +{own_mb() - memory:.1f} MB")
    document.close()
    wait_for(lambda: children_s() > cpu)
    print(f"children {children_s() - cpu:.2f} s of CPU")


@pytest.mark.bench
def test_a_search_of_a_thousand_files(tmp_path: Path) -> None:
    text = b"".join(log(20_000))[:20_000]
    paths = [tmp_path / f"{number}.log" for number in range(1000)]
    for path in paths:
        path.write_bytes(text)
    start = time.perf_counter()
    search = SearchAll([str(path) for path in paths], Query("schedulernode"))
    wait_for(lambda: search.view().finished)
    print(f"\n1,000 files of 20 kB searched in {time.perf_counter() - start:.2f} s, {search.view().count:,} hits")
