"""Comparisons in words: short, bounded, the few named and the many counted."""

from __future__ import annotations

import pytest
from comparison_material import comparison_of, platforms
from report_material import report, result

from torchprobes.model import Verdict
from torchprobes.reports.comparison import words
from torchprobes.reports.comparison.model import Cause, Cell, Change, Comparison, Platform, Row, Said

PASS, FAIL = Cell(Verdict.PASS), Cell(Verdict.FAIL)


def columns(count: int) -> tuple[Platform, ...]:
    return platforms([report((result(),))] * count, [f"node{n}" for n in range(count)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ((), "No feature was asked about on any of them"),
        (("same",), "None of 1 feature differs"),
        (("other", "lost", "same", "worse", "worse"), "4 of 5 features differ: 1 lost, 2 worse, 1 other"),
    ],
)
def test_the_headline_counts_what_weighs_most_first(changes: tuple[Change, ...], said: str) -> None:
    rows = tuple(Row(name=f"a.{n}", group="a", cells=(), change=change) for n, change in enumerate(changes))
    assert words.headline(Comparison(platforms=(), rows=rows)) == said


def test_sides_name_the_rarest_value_first_and_tell_absent_from_unknown() -> None:
    cause = Cause(kind="gpu", name="power limit", values=("700 W", "700 W", "700 W", None, "", "350 W"), words="")
    assert words.sides(cause, columns(6)) == (
        ("not there", "node3"), ("not read", "node4"), ("350 W", "node5"), ("700 W", "node0, node1, node2"),
    )  # fmt: skip


def test_who_is_not_known_is_named() -> None:
    cause = Cause(kind="gpu", name="power limit", values=("700 W", "", None, ""), words="")
    assert words.unknown(cause, columns(4)) == "node1, node3"
    assert words.unknown(cause, columns(1)) == ""


def test_a_tally_names_who_differs_and_counts_the_rest() -> None:
    row = Row(name="a.b", group="a", cells=(*[PASS] * 10, FAIL, Cell()))
    assert words.tally(row, columns(12)) == (
        (Verdict.FAIL, 1, "node10"), (Verdict.PASS, 10, ""), (None, 1, "node11"),
    )  # fmt: skip
    alike = Row(name="a.b", group="a", cells=(PASS,) * 12)
    assert words.tally(alike, columns(12)) == ((Verdict.PASS, 12, ""),)


def test_many_names_are_cut_and_counted() -> None:
    assert words.named([f"n{n}" for n in range(9)]) == "n0, n1, n2, n3, n4, n5 and 3 more"
    cause = Cause(kind="a", name="b", values=(), words="", explains=("x",) * 8)
    assert words.explains(cause) == "x, x, x, x, x, x and 2 more"


def test_a_row_is_told_by_the_figures_of_its_words_then_by_those_with_a_share() -> None:
    said = [Said(f"f{n} dtype=bf16", 1.0, "s", share=0.9 if n == 2 else None) for n in range(5)]
    row = Row(name="a", group="a", cells=(Cell(Verdict.PASS, figures=tuple(said)), Cell()), change="worse",
              words=("f4 dtype=bf16: 1 s on a, 2 s on b", "sdpa: flash on a, math on b: lost"))  # fmt: skip
    assert words.telling(row) == ("f4 dtype=bf16", "f2 dtype=bf16")
    assert words.telling(row, 1) == ("f4 dtype=bf16",)


def test_ways_are_told_where_they_differ_and_in_the_order_of_the_words() -> None:
    ways = [(("gloo", "yes"), ("sdpa mask", how), ("sdpa", how)) for how in ("flash", "math")]
    cells = tuple(Cell(Verdict.PASS, ways=way) for way in ways)
    row = Row(name="a", group="a", cells=cells, change="lost", words=("sdpa: flash on a, math on b: lost",))
    assert words.telling_ways(row) == ("sdpa", "sdpa mask")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("gemm_best_rate dtype=bf16 size=8192", "gemm best rate · bf16 · 8192"),
        ("first_call_s model=toy", "first call · toy"),
        ("pieces", "pieces"),
        ("s", "s"),
        ("allreduce_us size=8 B", "allreduce · 8 B"),
    ],
)
def test_keys_are_words(key: str, said: str) -> None:
    assert words.key_words(key) == said


def test_rows_are_parted_by_who_was_asked() -> None:
    changes: tuple[Change, ...] = ("lost", "alone", "same")
    rows = tuple(Row(name=change, group="a", cells=(), change=change) for change in changes)
    parts = words.parted_rows(Comparison(platforms=(), rows=rows))
    assert [[row.name for row in part] for part in parts] == [["lost"], ["alone"], ["same"]]


def test_rows_that_are_the_same_are_alike() -> None:
    comparison = comparison_of(columns(2))
    assert [row.name for row in words.alike(comparison.rows)] == ["env.identity"]
    assert comparison.differing == ()
