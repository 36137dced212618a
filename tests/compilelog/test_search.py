"""Search: exact counts, smart case, in what comes, and an expression that explodes hurts nobody."""

from __future__ import annotations

import io
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchprobes.compilelog import scan_child, stripes
from torchprobes.compilelog.document import Document
from torchprobes.compilelog.lines import LineIndex
from torchprobes.compilelog.scan import HEAD, Part, ScanView, Track
from torchprobes.compilelog.search import Query, Search


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


@pytest.fixture
def searching() -> Iterator[Callable[[Path, Query], Search]]:
    running: list[Search] = []

    def start(path: Path, query: Query) -> Search:
        running.append(Search(query, Part(os.open(path, os.O_RDONLY))))
        return running[-1]

    yield start
    for search in running:
        search.stop()


def hits(search: Search) -> list[int]:
    found, line = [], -1
    while (after := search.tracks[0].bits.next(line)) is not None:
        found.append(after)
        line = after
    return found


def lines_of_words(rng: random.Random, count: int) -> bytes:
    words = ["graph", "Graph", "break", "[0/0]", "(8)", "é", "a.b", ""]
    return "\n".join(" ".join(rng.choices(words, k=rng.randrange(6))) for _ in range(count)).encode()


QUERIES = [
    Query("graph"),
    Query("Graph"),
    Query("(8)"),
    Query("a.b"),
    Query("é"),
    Query(r"^\[0", True),
    Query(r"b\S*k$", True),
]


def plainly(data: bytes, query: Query) -> list[tuple[int, int, int]]:
    """(line, start, end) of every hit, by a plain loop."""
    words = query.words if query.regex else re.escape(query.words)
    plain = re.compile(words.encode(), re.IGNORECASE if query.ignore_case else 0)
    lines = data.split(b"\n")[: -1 if data.endswith(b"\n") else None]
    return [(n, *m.span()) for n, line in enumerate(lines) if (m := plain.search(line))]


def told(search: Search) -> list[tuple[int, int, int]]:
    return [(line, *(search.span(line) or ())) for line in hits(search)]  # type: ignore[misc]


def in_process(path: Path, query: Query, striped: bool, ends: bytes = b"") -> list[tuple[int, int, int]]:
    """What the child says, taken by a search that has no child."""
    search = object.__new__(Search)
    search.view, search.tracks = ScanView(), (Track(),)

    def say(kind: bytes, number: int, a: int, b: int, c: int, data: bytes) -> None:
        search._take(io.BytesIO(HEAD.pack(kind, number, a, b, c, len(data)) + data))

    with path.open("rb") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_child, "say", say)
        part = {"fd": file.fileno(), "start": 0, "stop": None, "counts": 7}
        patch.setattr(scan_child, "counts_of", lambda _: ends)
        follow = scan_child.follow_of(0, part, {"search": query.asked, "tabs": False, "spans": 100_000})
        if striped:
            follow.stripes(lambda: False)
            assert search.view.lines > 1000
        while follow.step():
            pass
    return told(search)


@pytest.mark.parametrize("query", QUERIES)
def test_the_matching_lines_are_those_that_a_plain_loop_finds(query: Query, monkeypatch, tmp_path: Path) -> None:
    """In process, with small pieces, so that lines are cut anywhere; by one, and by several workers."""
    data = lines_of_words(random.Random(query.words), 2000)
    path = tmp_path / "log"
    path.write_bytes(data)
    monkeypatch.setattr(scan_child, "PIECE", 173)
    monkeypatch.setattr(stripes, "PIECE", 173)
    monkeypatch.setattr(stripes, "FIRST", 91)
    monkeypatch.setattr(scan_child, "MANY", 1000)
    monkeypatch.setattr(scan_child, "cores", lambda: 3)
    expected = plainly(data, query)
    assert expected
    for striped in (False, True):
        assert in_process(path, query, striped) == expected


@pytest.mark.parametrize("words", ["Graph", "graph break", "no such words", "torch"])
def test_newlines_that_were_counted_are_not_counted_again(monkeypatch, tmp_path: Path, words: str) -> None:
    """Lines are numbered from what the index knows of whole blocks, also where a line is longer than a block."""
    rng = random.Random(words)
    lines = [b"torch %d" % number for number in range(20_000)]
    for _ in range(60):
        lines[rng.randrange(len(lines))] = rng.choice([b"a Graph break", b"graph BREAK", b"x" * 150_000 + b"Graph"])
    data = b"\n".join(lines) + b"\n" + b"".join(b"torch %d\n" % number for number in range(20_000))
    path = tmp_path / "log"
    path.write_bytes(data)
    index = LineIndex()
    index.feed(data)
    monkeypatch.setattr(stripes, "PIECE", 3 << 16)
    monkeypatch.setattr(stripes, "LONGEST", 200_000)
    monkeypatch.setattr(scan_child, "MANY", 1000)
    monkeypatch.setattr(scan_child, "cores", lambda: 2)
    found = in_process(path, Query(words), True, index.ends)
    assert [line for line, *_ in found] == [line for line, *_ in plainly(data, Query(words))]


def test_hits_come_with_counts_places_and_ranks(searching, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a needle\nhay\nNeedle and needle\nhay\nneedle without end")
    search = searching(path, Query("needle"))
    until(lambda: search.view.at_end)
    assert search.view.ones == 3
    assert told(search) == [(0, 2, 8), (2, 0, 6), (4, 0, 6)]
    assert search.span(1) is None
    assert (search.tracks[0].bits.next(0), search.tracks[0].bits.previous(4), search.tracks[0].bits.rank(3)) == (
        2,
        2,
        2,
    )


def test_what_is_written_later_is_searched_too_and_an_open_line_counts_once(searching, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first needle\nopen nee")
    search = searching(path, Query("needle"))
    until(lambda: search.view.at_end)
    for more, count in ((b"dle", 2), (b" more\nhay\n", 2), (b"needle\n", 3)):
        with path.open("ab") as file:
            file.write(more)
        size = path.stat().st_size
        until(lambda size=size: search.view.scanned_bytes == size and search.view.at_end)
        assert search.view.ones == count


def test_a_capital_makes_case_matter_but_a_class_does_not(searching) -> None:
    assert Query("needle").ignore_case
    assert not Query("Needle").ignore_case
    assert Query(r"\S+\D", regex=True).ignore_case
    assert not Query(r"\SX", regex=True).ignore_case


def test_a_broken_expression_is_one_clear_line(searching, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x\n")
    search = searching(path, Query("(", regex=True))
    until(lambda: search.view.cause)
    assert "not a regular expression" in search.view.cause
    assert "\n" not in search.view.cause


def test_an_expression_that_explodes_is_ended_and_the_console_goes_on(searching, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 200 + b"\n")
    search = searching(path, Query("(a+)+b", regex=True))
    until(lambda: search.view.cause)
    assert "takes too long" in search.view.cause


def test_a_stopped_search_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x\n")
    search = Search(Query("x"), Part(os.open(path, os.O_RDONLY)))
    until(lambda: search.view.at_end)
    child = search._child
    assert child is not None
    search.stop()
    until(lambda: child.returncode is not None)
    assert search.view.cause == ""
    until(lambda: not any(thread.name == "scan" for thread in threading.enumerate()))


def test_a_document_searches_again_when_its_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"needle\n" * 5)
    document = Document(str(path))
    document.search(Query("needle"))
    until(lambda: document.found.view().count == 5)
    path.write_bytes(b"needle\n")
    until(lambda: document.found.view().count == 1 and document.found.view().at_end)
    document.search(None)
    until(lambda: document.found.query is None)
    document.close()
