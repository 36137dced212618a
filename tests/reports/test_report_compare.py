"""Two runs held against each other: what is told first, and what counts as a change."""

from __future__ import annotations

import pytest
from report_material import finding, result

from torchprobes.model import Figure, Verdict
from torchprobes.reports.compare import FigureChange, compare


def figure(value: float, unit: str = "us", spread: float | None = None, **labels: str) -> Figure:
    return Figure(name="f", value=value, unit=unit, spread=spread, labels=labels)


def test_what_got_worse_comes_first_and_what_is_the_same_last() -> None:
    def one(name: str, verdict: Verdict = Verdict.PASS, **more: object) -> object:
        return result(name, verdict, **more)

    then = [one("same"), one("worse"), one("better", Verdict.FAIL), one("found"), one("moved", figures=(figure(1.0),)),
            one("gone")]  # fmt: skip
    now = [one("same"), one("new"), one("moved", figures=(figure(2.0),)), one("found", findings=(finding(),)),
           one("better"), one("worse", Verdict.DEGRADED)]  # fmt: skip
    changes = compare(then, now)  # type: ignore[arg-type]
    assert [change.name for change in changes] == ["worse", "better", "found", "moved", "new", "gone", "same"]
    assert [change.changed for change in changes] == [True] * 6 + [False]
    assert changes[2].new_findings == ("TD-HST-001",)


@pytest.mark.parametrize(
    ("then", "now", "moved"),
    [
        (figure(100.0, spread=1.0), figure(104.0, spread=1.0), False),
        (figure(100.0, spread=1.0), figure(106.0, spread=1.0), True),
        (figure(100.0, spread=5.0), figure(109.0, spread=5.0), False),
        (figure(100.0), figure(125.0), False),
        (figure(100.0), figure(135.0), True),
        (figure(1.0, "graphs"), figure(2.0, "graphs"), True),
        (figure(20.0, "graphs"), figure(22.0, "graphs"), True),
        (figure(0.0, "graphs"), figure(0.0, "graphs"), False),
        (figure(0.0, "graphs"), figure(1.0, "graphs"), True),
        (figure(1.0, "us"), figure(1.0, "ms"), False),
        (None, figure(1.0), True),
    ],
)
def test_a_figure_moves_when_it_differs_by_more_than_noise(then: Figure | None, now: Figure, moved: bool) -> None:
    assert FigureChange(then, now).moved is moved


def test_figures_are_held_against_those_with_the_same_labels_in_any_order() -> None:
    then = result("p", figures=(figure(1.0, dtype="a", n="1"), figure(9.0, dtype="b")))
    now = result("p", figures=(figure(2.0, n="1", dtype="a"), figure(9.0, dtype="b")))
    (change,) = compare([then], [now])
    assert [(c.then and c.then.value, c.now and c.now.value, c.ratio) for c in change.figures] == [
        (1.0, 2.0, 2.0), (9.0, 9.0, 1.0),
    ]  # fmt: skip
    assert len(change.moved) == 1


def test_a_probe_that_was_cut_short_has_no_missing_figures() -> None:
    then, now = result("p", figures=(figure(1.0),)), result("p", Verdict.ERROR)
    (change,) = compare([then], [now])
    assert change.verdict_changed
    assert change.moved == ()
    (change,) = compare([then], [result("p", Verdict.FAIL)])
    assert len(change.moved) == 1
