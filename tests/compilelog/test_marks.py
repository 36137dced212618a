"""Marks: records of torch's logging count once, at their first line; a traceback told at INFO is no error."""

from __future__ import annotations

import random

import pytest

from torchprobes.compilelog.marks import Mark, Marks

LOG = b"""\
V1123 06:15:03.456000 18 torch/_dynamo/symbolic_convert.py:5124] [0/0] [__graph_breaks] Graph break in user code at m:9
V1123 06:15:03.456000 18 torch/_dynamo/symbolic_convert.py:5124] [0/0] [__graph_breaks] Graph Break Reason: a print
plain words
[rank0]:W1123 06:15:04.000000 7 torch/_dynamo/x.py:1] [2/0] Graph break from `Tensor.item()`, consider setting:
[rank0]:W1123 06:15:04.000000 7 torch/_dynamo/x.py:1] [2/0]     torch._dynamo.config.capture_scalar_outputs = True
W1123 06:15:05.000000 7 torch/_dynamo/x.py:2] [0/8] torch._dynamo hit config.recompile_limit (8)
W1123 06:15:05.000000 7 torch/_dynamo/x.py:2] [0/8]    function: 'f' (m.py:5)
I1123 06:15:06.000000 7 torch/_dynamo/x.py:3] Traceback (most recent call last):
E1123 06:15:07.000000 7 torch/_inductor/x.py:4] [0/0] Exception No valid triton configs
E1123 06:15:07.000000 7 torch/_inductor/x.py:4] [0/0] Traceback (most recent call last):
E1123 06:15:08.000000 7 torch/_inductor/x.py:4] [0/0] another record
V1123 06:15:17.268000 7 torch/_dynamo/guards.py:5396] [3/1] [__recompiles] Recompiling function f in m.py:15
Traceback (most recent call last):
  File "m.py", line 1, in <module>
/site/torch/x.py:7: UserWarning: Online softmax is disabled
[2026-11-23 06:37:46,366] [0/0] torch._dynamo.symbolic_convert.__graph_breaks: [DEBUG] Graph break: call_function
"""

EXPECTED = {Mark.BREAK: [0, 15], Mark.WARNING: [3, 14], Mark.LIMIT: [5], Mark.ERROR: [8, 10, 12], Mark.RECOMPILE: [11]}


def places(marks: Marks, mark: Mark) -> list[int]:
    found, line = [], -1
    while (after := marks.next((mark,), line)) is not None:
        found.append(after)
        line = after
    return found


@pytest.mark.parametrize("step", [1, 3, 64, 1000, 100_000])
def test_the_marks_of_a_log_do_not_depend_on_how_it_came(step: int) -> None:
    marks = Marks()
    for start in range(0, len(LOG), step):
        marks.feed(LOG[start : start + step])
    assert {mark: places(marks, mark) for mark in EXPECTED} == EXPECTED
    assert {mark: marks.counts[mark] for mark in EXPECTED} == {mark: len(at) for mark, at in EXPECTED.items()}


def test_next_and_previous_go_through_several_kinds_in_the_order_of_lines() -> None:
    marks = Marks()
    marks.feed(LOG)
    kinds = (Mark.ERROR, Mark.BREAK, Mark.LIMIT)
    assert marks.next(kinds, 5) == 8
    assert marks.previous(kinds, 8) == 5
    assert marks.next(kinds, 15) is None
    assert marks.previous(kinds, 0) is None
    assert marks.on(3, 6) == {3: Mark.WARNING, 5: Mark.LIMIT, 8: Mark.ERROR}


def test_healthy_words_are_no_marks() -> None:
    marks = Marks()
    marks.feed(b"error_rate=0 Errors: none\nE2E test ok\nW1 = torch.randn(3)\nGraph breaks: 0\nloss 0.1\n" * 50)
    assert not any(marks.counts.values())


def test_a_huge_line_keeps_the_line_numbers_right_and_memory_small() -> None:
    rng, marks = random.Random(1), Marks()
    data = b"a" * 3_000_000 + b"\nb\n" + b"Fatal Python error: Segmentation fault\n" + b"c" * 200_000
    position = 0
    while position < len(data):
        step = rng.randrange(1, 90_000)
        marks.feed(data[position : position + step])
        position += step
    assert places(marks, Mark.ERROR) == [2]


def test_places_are_bounded_and_counts_go_on() -> None:
    marks = Marks(kept=3)
    marks.feed(b"Traceback (most recent call last):\n" * 10)
    assert marks.counts[Mark.ERROR] == 10
    assert places(marks, Mark.ERROR) == [0, 1, 2]
