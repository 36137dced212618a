"""A filter: what a line's level, rank and compile id are, in every format; rows that follow a growing file."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torchprobes.compilelog import scan_child, stripes
from torchprobes.compilelog.bits import Bits
from torchprobes.compilelog.document import Document
from torchprobes.compilelog.filter import Filter, Filtering
from torchprobes.compilelog.judging import judge_of
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.scan import Part
from torchprobes.compilelog.search import Query

GLOG = b"1123 06:15:03.456000 18663 torch/_dynamo/x.py:51] "
OLD = b"[2026-11-23 06:37:46,366] "

LOG = [
    (b"V" + GLOG + b"[0/0] [__guards] tree", "V", None, "0/0"),
    (b"I" + GLOG + b"[0/0_1] Step 1", "I", None, "0/0_1"),
    (b"[rank0]:W" + GLOG + b"[1/2] Graph break from `Tensor.item()`", "W", 0, "1/2"),
    (b"[default3]:[rank11]:E" + GLOG + b"failed", "E", 11, None),
    (OLD + b"[0/0] torch._dynamo.guards.__guards: [DEBUG] tree", "V", None, "0/0"),
    (OLD + b"torch._dynamo.eval_frame: [WARNING] no", "W", None, None),
    (b"[rank1]:" + OLD + b"[3/1] torch._inductor: [ERROR] no", "E", 1, "3/1"),
    (b"[default2]:what the program printed", "-", 2, None),
    (b"step 4 loss 0.1", "-", None, None),
    (b"", "-", None, None),
    (b" 10%|#  | 1/10\r 20%|## | 2/10W" + GLOG + b"after a bar", "-", None, None),
    (b" 10%|#  | 1/10\rW" + GLOG + b"[0/0] drawn over a bar", "W", None, "0/0"),
    (b"V1123 06:19:45.02[rank1]:V1123 06:19:45.021000 7 a.py:1] torn", "V", None, None),
    (b"E2E test ok", "-", None, None),
    (b"[!0/0] compiled autograd has ids of its own, without a prefix this is text", "-", None, None),
    (b"V" + GLOG + b"[!0/0] ids of compiled autograd", "V", None, "!0/0"),
]
TEXT = b"\n".join(line for line, *_ in LOG)


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)


def kept(wanted: Filter, text: bytes = TEXT) -> list[int]:
    judge, _ = judge_of({"filter": wanted.asked})
    return [line for line, flag in enumerate(judge(text, None)) if flag]


@pytest.mark.parametrize("levels", ["V", "I", "W", "E", "-", "VW", "WE-", ""])
def test_levels_in_all_formats(levels: str) -> None:
    assert kept(Filter(levels=frozenset(levels))) == [n for n, (_, level, *_) in enumerate(LOG) if level in levels]


@pytest.mark.parametrize("ranks", [{0}, {11}, {1, 2}, {3}, set()])
def test_the_last_rank_before_the_prefix_counts(ranks: set[int]) -> None:
    assert kept(Filter(ranks=frozenset(ranks))) == [n for n, (_, _, rank, _) in enumerate(LOG) if rank in ranks]


def test_an_id_stands_for_all_of_its_attempts_and_an_attempt_for_itself() -> None:
    assert kept(Filter(compile_ids=frozenset({"0/0"}))) == [0, 1, 4, 11]
    assert kept(Filter(compile_ids=frozenset({"0/0_1"}))) == [1]
    assert kept(Filter(compile_ids=frozenset({"1/2", "3/1"}))) == [2, 6]
    assert kept(Filter(compile_ids=frozenset({"!0/0"}))) == [15]


def test_a_line_has_to_pass_all_of_it() -> None:
    assert kept(Filter(levels=frozenset("VI"), compile_ids=frozenset({"0/0"}))) == [0, 1, 4]
    assert kept(Filter(levels=frozenset("VI"), include="tree")) == [0, 4]
    assert kept(Filter(levels=frozenset("VI"), include="TREE")) == [], "a capital makes case matter"
    assert kept(Filter(include=r"\btree$", exclude=r"^\[2026")) == [0]
    assert kept(Filter(exclude="0")) == [7, 9, 13]
    assert kept(Filter()) == list(range(len(LOG)))


TRACEBACK = b"""\
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
RuntimeError: bad

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 2, in g
ValueError: worse""".split(b"\n")


def test_a_traceback_after_an_error_goes_with_it_and_nothing_else_does() -> None:
    lines = [b"E" + GLOG + b"[0/0] failed", *TRACEBACK, b"loss 0.3", b"I" + GLOG + b"fine", *TRACEBACK[:4]]
    text = b"\n".join(lines)
    assert kept(Filter(levels=frozenset("E")), text) == list(range(11))
    assert kept(Filter(levels=frozenset("-")), text) == [11, 13, 14, 15, 16]
    assert kept(Filter(compile_ids=frozenset({"0/0"})), text) == list(range(11))


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Document]]:
    documents: list[Document] = []

    def open_it(path: Path) -> Document:
        documents.append(Document(str(path)))
        return documents[-1]

    yield open_it
    for document in documents:
        document.close()


def rows(document: Document, first: int = 0, count: int = 1000) -> list[tuple[int, bytes]]:
    return [(line.number, line.raw) for line in document.page(first, count, 5.0).lines]


def test_rows_are_the_lines_that_are_kept_and_follow_the_file(opened, tmp_path: Path) -> None:
    path = tmp_path / "stderr.log"
    path.write_bytes(TEXT + b"\n")
    document = opened(path)
    until(lambda: document.view().rows == len(LOG))
    before = document.view()
    document.filter(Filter(levels=frozenset("WE")))
    expected = [(n, line) for n, (line, level, *_) in enumerate(LOG) if level in "WE"]
    until(lambda: document.filtered.at_end and document.view().rows == len(expected))
    assert rows(document) == expected
    assert document.view().generation > before.generation
    assert document.view().content == before.content
    assert document.view().lines == len(LOG)
    assert [document.row_of(number) for number, _ in expected] == list(range(len(expected)))
    assert [document.line_of(row) for row in range(len(expected))] == [number for number, _ in expected]
    assert (document.row_of(0), document.row_near(0), document.row_near(3), document.line_of(99)) == (None, 0, 1, None)
    with path.open("ab") as file:
        file.write(b"V" + GLOG + b"no\nW" + GLOG + b"yes\nW" + GLOG + b"without its en")
    until(lambda: document.view().rows == len(expected) + 2)
    assert [number for number, _ in rows(document)[-2:]] == [len(LOG) + 1, len(LOG) + 2]
    with path.open("ab") as file:
        file.write(b"d\n")
    until(lambda: rows(document)[-1] == (len(LOG) + 2, b"W" + GLOG + b"without its end"))
    document.filter(None)
    until(lambda: document.view().rows == len(LOG) + 3)
    assert document.filtered.filter is None


def test_hits_and_marks_are_told_in_rows(opened, tmp_path: Path) -> None:
    path = tmp_path / "stderr.log"
    tree, loud = b"V" + GLOG + b"a needle\n", b"W" + GLOG + b"a needle and Warning: \n"
    path.write_bytes((tree * 3 + loud + b"text\n") * 100)
    document = opened(path)
    document.search(Query("needle"))
    until(lambda: document.found.view().count == 400 and sum(n for _, n in document.view().counts) == 100)
    assert (document.found.next(0), document.found.previous(4), document.found.rank(4)) == (1, 3, 4)
    document.filter(Filter(levels=frozenset("W-")))
    until(lambda: document.view().rows == 200 and document.found.view().count == 100)
    found = document.found
    assert found.view().count_all == 400
    assert (found.next(-1), found.next(0), found.previous(200), found.next(198)) == (0, 2, 198, None)
    assert (found.rank(5), found.hit(0), found.hit(1)) == (3, True, False)
    start = loud.index(b"needle")
    assert (found.span(0), found.span(1)) == ((start, start + 6), None)
    until(lambda: len(document.marks.on(0, 200)) == 100)
    marks = document.marks
    assert marks.on(0, 4) == {0: Mark.WARNING, 2: Mark.WARNING}
    assert (marks.next((Mark.WARNING,), 0), marks.previous((Mark.WARNING,), 198)) == (2, 196)
    assert marks.counts[Mark.WARNING] == 100
    document.filter(Filter(levels=frozenset("V")))
    until(lambda: document.view().rows == 300 and document.found.view().count == 300)
    assert document.marks.next((Mark.WARNING,), -1) is None


def test_a_truncated_file_is_filtered_anew(opened, tmp_path: Path) -> None:
    path = tmp_path / "stderr.log"
    path.write_bytes((TEXT + b"\n") * 10)
    document = opened(path)
    document.filter(Filter(levels=frozenset("E")))
    until(lambda: document.view().rows == 20)
    path.write_bytes(b"E" + GLOG + b"new\n")
    until(lambda: document.view().rows == 1 and document.filtered.kept == 1)
    assert rows(document) == [(0, b"E" + GLOG + b"new")]


@pytest.mark.parametrize(("include", "words"), [("(a+)+b", "takes too long"), ("(", "not a regular expression")])
def test_an_expression_that_explodes_or_is_none_is_said(opened, tmp_path: Path, include: str, words: str) -> None:
    path = tmp_path / "stderr.log"
    path.write_bytes(b"a" * 200 + b"\n")
    document = opened(path)
    document.filter(Filter(include=include))
    until(lambda: document.filtered.cause)
    assert words in document.filtered.cause
    assert document.view().rows == 0


def test_several_workers_keep_what_one_keeps(monkeypatch, tmp_path: Path) -> None:
    """In small stretches, with tracebacks cut anywhere and lines longer than several stretches."""
    rng = random.Random(5)
    blocks = [[line] for line, *_ in LOG] + [[b"E" + GLOG + b"[0/0] failed", *TRACEBACK], [b"x" * 3000], [b"W" * 900]]
    data = b"".join(b"\n".join(rng.choice(blocks)) + b"\n" for _ in range(600))
    path = tmp_path / "log"
    path.write_bytes(data)
    for name, value in (("PIECE", 700), ("FIRST", 91)):
        monkeypatch.setattr(stripes, name, value)
    monkeypatch.setattr(scan_child, "MANY", 1000)
    monkeypatch.setattr(scan_child, "cores", lambda: 3)
    wanted = Filter(levels=frozenset("E-"), exclude="loss")
    answers: list[tuple[int, bytes, int]] = []
    monkeypatch.setattr(
        scan_child, "say", lambda kind, number, a, b, c, data: answers.append((c, data, b)) if kind == b"b" else None
    )
    with path.open("rb") as file:
        part = {"fd": file.fileno(), "start": 0, "stop": None, "counts": -1}
        scan_child.follow_of(0, part, {"filter": wanted.asked, "tabs": False, "spans": 0}).stripes(lambda: False)
    bits = Bits()
    for at, packed, lines in answers:
        bits.put(at, packed, lines)
    expected = kept(wanted, data[:-1])
    assert bits.lines == data.count(b"\n")
    assert [bits.select(row) for row in range(bits.ones)] == expected


def test_a_stopped_filter_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(TEXT)
    filtering = Filtering(Filter(levels=frozenset("E")), Part(os.open(path, os.O_RDONLY)))
    until(lambda: filtering.told.at_end)
    assert filtering.told.kept == 2
    child = filtering._child
    assert child is not None
    filtering.stop()
    until(lambda: child.returncode is not None)
    until(lambda: not any(thread.name == "scan" for thread in threading.enumerate()))
    assert filtering.told.cause == ""
