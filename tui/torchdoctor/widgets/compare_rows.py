"""Two runs side by side: the runs to choose from, and what differs between one of them and what is on screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from torchdoctor.paint import BLANK, Line, Page, Span, fit, heading, join, labelled, line
from torchdoctor.signs import VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.figure_rows import name_of, said
from torchdoctor.widgets.probe_rows import counts
from torchprobes.model import Report, Result
from torchprobes.quantity import quantity
from torchprobes.reports.compare import FigureChange, ProbeChange, compare

_VALUE, _RATIO, _VERDICT = 13, 9, 11
_LOWER: Final = frozenset({"us", "ms", "s", "B", "bytes", "breaks", "recompiles"})
_HIGHER: Final = frozenset({"B/s", "FLOP/s", "x"})
"""Units that tell by themselves whether more is better; of others the ratio has no colour."""

Runs = Sequence[tuple[str, Report]]


def runs_page(runs: Runs | None, note: str, width: int) -> Page:
    """The earlier runs of this machine, newest first; the cursor stands on one of them."""
    rows: list[Line] = [BLANK, heading("compare with an earlier run", "enter chooses, esc goes back"), BLANK]
    if runs is None or not runs:
        return Page([*rows, *labelled("", safe(note), width, at=2)])
    keys = {}
    for path, report in runs:
        keys[len(rows)] = path
        mark, role = VERDICTS[report.verdict]
        rows.append(line("  ", (f"{mark} {fit(report.verdict.value, 9)}", role), f"{_when(report)}  ",
                         (fit(safe(report.tier), 9), "dim"), *counts(r.verdict for r in report.results),
                         ("   " + _identity(report), "dim")))  # fmt: skip
    return Page(rows, keys)


def comparison_page(then: Report, now: Mapping[str, Result], where: str, width: int) -> Page:
    """What came to something else first; what is the same in both at the end, in a line each.

    `now` are the results on screen, by name; `where` says where they are from.
    """
    rows: list[Line] = [BLANK, heading("two runs side by side", "esc goes back")]
    rows += labelled("then", join((_when(then), f"tier {safe(then.tier)}" * bool(then.tier), _identity(then))),
                     width, at=_AT)  # fmt: skip
    rows += labelled("now", safe(where), width, at=_AT)
    changes = [change for change in compare(then.results, now.values()) if change.now is not None]
    differ = [change for change in changes if change.changed and change.then is not None]
    marks = []
    rows += [BLANK, heading("changed", str(len(differ)) if differ else "nothing")]
    for change in differ:
        rows.append(BLANK)
        marks.append(len(rows))
        rows += _changed(change, width)
    rows += _rest("the same in both", (c for c in changes if not c.changed))
    rows += _rest("not in the earlier run", (c for c in changes if c.then is None))
    return Page(rows, marks=frozenset(marks))


_AT = 8


def _when(report: Report) -> str:
    """`2026-01-02 03:04Z`: when a run began."""
    return f"{safe(report.started[:16]).replace('T', ' ')}Z"


def _identity(report: Report) -> str:
    """What two runs of a machine can differ in before any probe is asked."""
    target, machine = report.target, report.machine
    return join((f"torch {safe(target.torch)}" if target.torch else "no torch",
                 f"driver {safe(machine.driver)}" if machine.driver else "", safe(target.python)))  # fmt: skip


def _changed(change: ProbeChange, width: int) -> list[Line]:
    """A probe that differs: its verdicts, why, and the figures that moved."""
    then, now = change.then, change.now
    if then is None or now is None:
        return []
    rows = [line("  ", (fit(safe(change.name), 34), "title"), *_verdict(then), "  → ", *_verdict(now))]
    if change.verdict_changed or change.new_findings:
        rows += labelled("then", safe(then.reason), width, at=_AT + 4, indent=4)
        rows += labelled("now", safe(now.reason), width, at=_AT + 4, indent=4)
    if then.device != now.device:
        rows += labelled("device", f"{safe(then.device)} then, {safe(now.device)} now", width, at=_AT + 4, indent=4)
    if then.cache_state != now.cache_state:
        told = f"{safe(then.cache_state) or 'not told'} then, {safe(now.cache_state) or 'not told'} now"
        rows += labelled("cache", told, width, at=_AT + 4, indent=4)
    return rows + [_figure(moved, width) for moved in change.moved]


def _verdict(result: Result) -> list[Span]:
    mark, role = VERDICTS[result.verdict]
    return [(f"{mark} {fit(result.verdict.value, _VERDICT - 2)}", role)]


def _figure(change: FigureChange, width: int) -> Line:
    """Name, value then, value now, and now as a multiple of then."""
    name = max(16, min(44, width - 4 - 2 * _VALUE - 4 - _RATIO - 1))
    ratio = "" if change.ratio is None else quantity(change.ratio, "x")
    sides = [(fit("–" if f is None else said(f.value, f.unit), _VALUE, "right"), "") for f in (change.then, change.now)]
    return line("    ", (fit(name_of(change.figure), name), "dim"), sides[0], ("  → ", "dim"), sides[1],
                (fit(ratio, _RATIO, "right"), _role(change)))  # fmt: skip


def _role(change: FigureChange) -> str:
    """Whether it moved for the better, as far as its unit tells."""
    unit, ratio = change.figure.unit, change.ratio
    if ratio is None or unit not in _LOWER | _HIGHER:
        return ""
    return "ok" if (ratio > 1) == (unit in _HIGHER) else "warn"


def _rest(title: str, changes: Iterable[ProbeChange]) -> list[Line]:
    rows: list[Line] = []
    for change in changes:
        result = change.now
        if result is not None:
            rows.append(line("  ", (fit(safe(change.name), 34), "dim"), *_verdict(result), "   ",
                             (safe(result.reason), "dim")))  # fmt: skip
    return [BLANK, heading(title, str(len(rows))), *rows] if rows else []
