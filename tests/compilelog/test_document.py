"""An open log: shown at once, followed through truncation, rotation and disappearance, never waited for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchprobes.compilelog.document import Document
from torchprobes.compilelog.lines import LineIndex, last_lines
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.search import Query


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Document]]:
    documents: list[Document] = []

    def open_it(path: Path) -> Document:
        documents.append(Document(str(path)))
        return documents[-1]

    yield open_it
    for document in documents:
        document.close()


def texts(document: Document, first: int = 0, count: int = 1000) -> list[bytes]:
    return [line.raw for line in document.page(first, count, 5.0).lines]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_lines_come_as_they_are_written_and_the_last_one_without_its_end(opened, tmp_path: Path) -> None:
    path = tmp_path / "stderr.log"
    document = opened(path)
    until(lambda: document.view().cause == "not there yet")
    path.write_bytes(b"one\ntw")
    until(lambda: document.view().lines == 2)
    assert texts(document) == [b"one", b"tw"]
    append(path, b"o\n\xf0\x9f")
    until(lambda: document.view().lines == 3)
    assert texts(document) == [b"one", b"two", b"\xf0\x9f"]
    append(path, b"\xa6\x8a\n")
    until(lambda: texts(document)[-1] == "🦊".encode())
    assert document.view().cause == ""


@pytest.mark.parametrize("grown", [0, 50_000])
def test_a_truncated_file_is_read_anew_also_when_it_has_grown_past_its_old_size(opened, tmp_path: Path, grown) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n" * 1000)
    document = opened(path)
    until(lambda: document.view().lines == 1000)
    before = document.view().generation
    path.write_bytes(b"new\n" * (3 + grown))
    until(lambda: document.view().generation > before and document.view().lines == 3 + grown)
    assert document.view().note == "truncated"
    assert texts(document, 0, 3) == [b"new"] * 3


def test_a_rotated_file_is_drained_and_the_new_one_opened(opened, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    document = opened(path)
    until(lambda: document.view().lines == 1)
    path.rename(tmp_path / "log.1")
    until(lambda: "deleted" in document.view().cause)
    assert texts(document) == [b"old"]
    path.write_bytes(b"new\nnew\n")
    until(lambda: document.view().lines == 2)
    assert texts(document) == [b"new", b"new"]
    assert (document.view().note, document.view().cause) == ("replaced", "")


def test_what_was_read_stays_when_the_folder_vanishes(opened, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "log"
    path.write_bytes(b"kept\n")
    document = opened(path)
    until(lambda: document.view().lines == 1)
    path.unlink()
    folder.rmdir()
    until(lambda: document.view().cause)
    assert texts(document) == [b"kept"]


def test_what_is_no_regular_file_is_said_and_never_opened(opened, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/null")):
        document = opened(path)
        until(lambda document=document: document.view().cause)
        assert document.view().cause == "not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_another_user_is_said(opened, tmp_path: Path) -> None:
    path = tmp_path / "trace.log"
    path.touch(mode=0)
    document = opened(path)
    until(lambda: "permission denied" in document.view().cause)


def test_marks_are_found_while_the_file_grows(opened, tmp_path: Path) -> None:
    path = tmp_path / "stderr.log"
    path.write_bytes(b"fine\nTraceback (most recent call last):\n")
    document = opened(path)
    until(lambda: dict(document.view().counts).get(Mark.ERROR) == 1)
    append(path, b"x\nRecompiling function f\n")
    until(lambda: dict(document.view().counts).get(Mark.RECOMPILE) == 1)
    assert document.marks.next((Mark.ERROR, Mark.RECOMPILE), 1) == 3


def test_a_file_system_that_hangs_costs_the_asker_one_short_wait(opened, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n" * 10)
    document = opened(path)
    until(lambda: document.view().lines == 10)
    hang = threading.Event()
    monkeypatch.setattr(LineIndex, "read", lambda *_: hang.wait(20) and [])
    waits = []
    for _ in range(20):
        start = time.monotonic()
        page = document.page(0, 5, 0.02)
        waits.append(time.monotonic() - start)
        assert page.lines == ()
    assert sum(wait >= 0.02 for wait in waits) == 1, (
        "only the first question waits; what is owed is not waited for again"
    )
    hang.set()


def test_closing_ends_the_thread_and_lets_go_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n")
    document = Document(str(path))
    until(lambda: document.view().lines == 1)
    document.close()
    until(lambda: not any(thread.name == "log log" for thread in threading.enumerate()))
    held = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    ]
    assert str(path) not in held


def test_the_last_lines_are_there_before_the_file_is_indexed(opened, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)) + b"open")
    waiting = threading.Event()
    feed = LineIndex.feed
    monkeypatch.setattr(LineIndex, "feed", lambda index, data: waiting.is_set() and feed(index, data))
    document = opened(path)
    until(lambda: document.page(-3, 3).lines)
    lines = document.page(-3, 3, 5.0).lines
    assert [(line.number, line.raw, line.ended) for line in lines] == [
        (-3, b"line 99998", True),
        (-2, b"line 99999", True),
        (-1, b"open", False),
    ]
    assert not document.view().indexed
    waiting.set()
    until(lambda: document.view().revision and document.view().indexed)
    assert [line.number for line in document.page(-3, 3, 5.0).lines] == [99_998, 99_999, 100_000]
    assert [line.number for line in document.page(-200_000, 2, 5.0).lines] == [0, 1]


def test_the_last_lines_of_a_file_of_one_huge_line_are_its_end(opened, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1_000_000)
    assert len(last_lines(40, 1_000_000, lambda count, offset: path.read_bytes()[offset : offset + count])) == 1
    assert last_lines(40, 0, lambda *_: b"") == []
    assert [line.raw for line in last_lines(40, 4, lambda *_: b"a\n\nb")] == [b"a", b"", b"b"]


TRACE = b'V1123 {"has_payload"}\n\tdef f(x):\n\t\treturn x\nno tab\n\nV1123 {"next"}\n'
PAYLOAD = (TRACE.index(b"\t"), TRACE.index(b"V1123", 5) - TRACE.index(b"\t"))


def test_a_window_shows_a_payload_without_its_tabs_and_never_changes(opened, tmp_path: Path) -> None:
    path = tmp_path / "trace.log"
    path.write_bytes(TRACE)
    document = Document(str(path), window=PAYLOAD)
    until(lambda: document.view().indexed and document.view().lines)
    assert texts(document) == [b"def f(x):", b"\treturn x", b"no tab", b""]
    assert [line.length for line in document.page(0, 9).lines] == [9, 9, 6, 0]
    document.search(Query("^\treturn", regex=True))
    until(lambda: document.found.view().at_end)
    assert (document.found.next(-1), document.found.span(1)) == (1, (0, 7))
    document.ask_offset(TRACE.index(b"return"))
    document.ask_offset(0)
    until(lambda: document.line_at(TRACE.index(b"return")) == 1)
    assert document.line_at(0) is None, "it stands before the window"
    append(path, b"V1123 more\n")
    path.rename(tmp_path / "old")
    path.write_bytes(b"another file\n" * 20)
    document.ask_offset(TRACE.index(b"no tab"))
    until(lambda: document.line_at(TRACE.index(b"no tab")) == 2)
    assert texts(document) == [b"def f(x):", b"\treturn x", b"no tab", b""]
    (tmp_path / "old").write_bytes(b"")
    until(lambda: "shorter" in document.view().cause)
    document.close()


def test_the_line_of_an_offset_is_told_once_it_is_known(opened, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%d\n" % (number % 10) for number in range(100_000)))
    document = opened(path)
    assert document.line_at(6) is None
    for offset in (0, 1, 6, 199_999, 200_004):
        document.ask_offset(offset)
    until(lambda: document.line_at(199_999) is not None)
    assert [document.line_at(offset) for offset in (0, 1, 6, 199_999)] == [0, 0, 3, 99_999]
    assert document.line_at(200_004) is None
    append(path, b"a\nb\nc\n")
    until(lambda: document.line_at(200_004) == 100_002)
    path.write_bytes(b"x\n" * 150_000)
    until(lambda: document.view().content == 2 and document.line_at(200_004) == 100_002)


def test_sparse_lines_are_those_that_plain_splitting_gives() -> None:
    data = b"".join(b"line %d\n" % number for number in range(50_000))
    index = LineIndex()
    index.feed(data)
    numbers = [0, 1, 5, 80, 200, 201, 30_000, 49_999, 60_000]
    read: list[int] = []

    def pread(count: int, offset: int) -> bytes:
        read.append(count)
        return data[offset : offset + count]

    assert [line.raw for line in index.read_some(numbers, pread)] == [b"line %d" % number for number in numbers[:-1]]
    assert len(read) <= 10, "lines near to one another are read together"
