"""What a line of torch's logging looks like: its prefix, and who said it, told apart by letters and by colours."""

from __future__ import annotations

import itertools
import time

import pytest

from torchdoctor.widgets.highlight import WHOS, shortened, spans, who_compile, who_rank

NEW = "V1123 06:15:17.268000 18663 torch/_dynamo/guards.py:5396] [3/1_2] [__recompiles] Recompiling function f"
OLD = "[2026-11-23 06:37:11,748] [0/0] torch._dynamo.guards.__recompiles: [DEBUG] text"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (NEW, "V 06:15:17 [3/1_2] [__recompiles] Recompiling function f"),
        (f"[rank11]:{NEW}", "r11 V 06:15:17 [3/1_2] [__recompiles] Recompiling function f"),
        (f"[default0]:[rank1]:{NEW}", "r1 V 06:15:17 [3/1_2] [__recompiles] Recompiling function f"),
        (OLD, "V 06:37:11 [0/0] [__recompiles] text"),
        ("[rank0]:[2026-11-23 06:37:11,748] torch._inductor.scheduler: [WARNING] x", "r0 W 06:37:11 x"),
        ("[default1]:epoch 3", "[default1]:epoch 3"),
        ("Very well", "Very well"),
        ("", ""),
    ],
)
def test_the_prefix_is_shortened_and_nothing_else(line: str, expected: str) -> None:
    assert shortened(line) == expected


def parts(line: str) -> dict[str, str]:
    return {line[start:end]: part for start, end, part in spans("log", line)}


@pytest.mark.parametrize("shown", [str, shortened])
def test_level_rank_and_compile_id_have_their_looks_shortened_or_whole(shown) -> None:
    found = parts(shown(f"[rank1]:W{NEW[1:]}"))
    assert found["[3/1_2]"] == who_compile("3/1")
    assert found["W"] == "warning"
    rank = "r1 " if shown is shortened else "[rank1]:"
    assert found[rank] == who_rank(1)
    assert parts(shown(NEW.replace("V1123", "E1123", 1)))["E"] == "error"
    assert "V" not in parts(shown(NEW))


def test_the_old_format_has_them_too() -> None:
    found = parts(OLD.replace("DEBUG", "WARNING"))
    assert found["WARNING"] == "warning"
    assert found["[0/0]"] == who_compile("0/0")


def test_looks_are_stable_and_neighbours_differ() -> None:
    assert [who_rank(n) for n in range(WHOS)] == [f"who{n}" for n in range(WHOS)]
    ids = [[who_compile(f"{frame}/{nth}") for nth in range(8)] for frame in range(20)]
    assert all(len(set(row)) == 8 for row in ids), "compiles of one frame"
    assert all(above[0] != below[0] for above, below in itertools.pairwise(ids))
    assert who_compile("3/1") == who_compile("3/1_4") == who_compile("[3/1]")


def test_what_only_looks_like_a_prefix_is_left_alone() -> None:
    assert list(spans("log", "Indeed [3/1] it does")) == []
    assert list(spans("log", "r2d2 said")) == []
    assert list(spans("text", NEW)) == []


@pytest.mark.parametrize(
    "line",
    ["[rank1]:" * 512, "V1123 06:15:17.0" + "1" * 4000, "[" * 4096, "'" * 4096, '"\\' * 2048, "a.py" * 1024,
     "1 " * 2048, "[2026-11-23 06:37:11,748] " + "a." * 2000, "r1 V 06:15:17 [3/" + "1/" * 2000],
    ids=range(9),
)  # fmt: skip
def test_no_line_takes_long(line: str) -> None:
    start = time.process_time()
    for language in ("log", "python", "ir", "json"):
        list(spans(language, shortened(line)))
    assert time.process_time() - start < 1.0, "linear: milliseconds; a rule that explodes takes minutes"
