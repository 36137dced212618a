"""Figures as lines: each with its unit and spread, and against what it should be as a bar."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len

from torchdoctor.paint import Line, Span, fit, join, line, wrap
from torchdoctor.signs import EMPTY, EXPECTED, FULL, LIMIT
from torchdoctor.text import safe
from torchprobes.model import Expectation, Figure, Result
from torchprobes.quantity import quantity

_NAMES, _VALUE, _WIDE, _PERCENT, _BAR = 26, 14, 18, 7, 44
_ONE_LINE: Final = 72
"""From this width on a figure's name stands beside its bar, else above it."""

_SPARE: Final = 1.1
"""A bar ends this far behind the largest number on it, so that a mark never stands at its very end."""


def said(value: float, unit: str) -> str:
    """A number with its unit; what is counted in bytes is told in binary units."""
    return quantity(value, "B" if unit == "bytes" else safe(unit))


def name_of(figure: Figure | Expectation) -> str:
    """A figure's name and what tells it from others of that name."""
    return join((safe(figure.name), *map(_label, figure.labels.items())), " ")


def _label(label: tuple[str, str]) -> str:
    """A label's value where it is a word of its own, else with its key."""
    key, value = label
    return safe(value) if value.replace("-", "").replace(" ", "").isalpha() else f"{safe(key)}={safe(value)}"


def figure_rows(figures: Iterable[Figure], width: int) -> list[Line]:
    """Name and value in columns; then what tells figures of one name apart, the spread, and how many."""
    rows = []
    for figure in figures:
        labels = join(map(_label, figure.labels.items()), " ")
        note = join((labels, _spread(figure), f"n {figure.n}" if figure.n > 1 else ""), "  ")
        name = fit(safe(figure.name), min(_NAMES, max(16, width - 40)))
        rows.append(line("    ", name, fit(said(figure.value, figure.unit), _WIDE, "right"), "  ", (note, "dim")))
    return rows


def _spread(figure: Figure) -> str:
    return "" if figure.spread is None else f"± {said(figure.spread, figure.unit)}"


# --- against an expectation --------------------------------------------------------------------------------------


def expected_rows(result: Result, width: int) -> tuple[list[Line], list[Figure]]:
    """(lines of the figures that something is expected of, worst first; the other figures)."""
    held = [(figure, expectation_of(figure, result.expectations)) for figure in result.figures]
    pairs = [(figure, expected) for figure, expected in held if expected is not None]
    pairs.sort(key=lambda pair: (not misses(*pair), share(*pair) if pair[1].higher_is_better else -share(*pair)))
    rows = [row for figure, expected in pairs for row in _held(figure, expected, width)]
    rows += _sources((expected for _, expected in pairs), width) if pairs else []
    return rows, [figure for figure, expected in held if expected is None]


def expectation_of(figure: Figure, expectations: Iterable[Expectation]) -> Expectation | None:
    """What is expected of a figure: of those with its name and among its labels, the one that names most of them."""
    fitting = [e for e in expectations if e.name == figure.name and e.labels.items() <= figure.labels.items()]
    return max(fitting, key=lambda e: len(e.labels), default=None)


def misses(figure: Figure, expected: Expectation) -> bool:
    """Whether it is past the limit at which `degraded` begins."""
    if expected.limit is None:
        return False
    return figure.value < expected.limit if expected.higher_is_better else figure.value > expected.limit


def share(figure: Figure, expected: Expectation) -> float:
    """The figure as a share of what is expected; 0 where nothing can be divided by."""
    return figure.value / expected.value if expected.value else 0.0


def _held(figure: Figure, expected: Expectation, width: int) -> list[Line]:
    """Name, value, bar and share; below them what is expected, and how sure the value is."""
    judged = expected.limit is not None and math.isfinite(figure.value)
    role = "warn" if misses(figure, expected) else "ok" if judged else "accent"
    name, wide = name_of(figure), width >= _ONE_LINE
    beside = _NAMES if wide else 0
    room = max(8, min(_BAR, width - 4 - beside - _VALUE - 2 - _PERCENT - 1))
    rows = [] if wide and cell_len(name) <= _NAMES else [line("    ", name)]
    rows.append(line(
        "    ", fit("" if rows else name, beside), (fit(said(figure.value, figure.unit), _VALUE, "right"), role), "  ",
        *against(figure, expected, room, role),
        (fit(quantity(share(figure, expected), "share"), _PERCENT, "right"), role),
    ))  # fmt: skip
    note = join((_of(expected), _spread(figure), f"n {figure.n}" if figure.n > 1 else ""))
    return [*rows, line(("      " + note, "dim"))]


def _of(expected: Expectation) -> str:
    """What is expected, and the limit at which `degraded` begins."""
    limit = "" if expected.limit is None else f", limit {said(expected.limit, expected.unit)}"
    return f"of {said(expected.value, expected.unit)}{limit}"


def _sources(expected: Iterable[Expectation], width: int) -> list[Line]:
    """What the marks on the bars are, and whose numbers: each source once."""
    sources = dict.fromkeys(safe(one.source) for one in expected if one.source)
    marks = f"{EXPECTED} expected   {LIMIT} limit: degraded from here"
    said_by = [row for source in sources for row in wrap(f"expected: {source}", max(20, width - 6))]
    return [line(("    " + text, "dim")) for text in (marks, *said_by)]


def against(figure: Figure, expected: Expectation, width: int, role: str) -> list[Span]:
    """The value on a scale from 0, with a mark where it is expected and one where `degraded` begins."""
    numbers = [figure.value, expected.value, expected.limit or 0.0]
    top = max(numbers) * _SPARE
    if not (all(map(math.isfinite, numbers)) and top > 0):
        return [(EMPTY * width, "dim")]
    full = _cells(figure.value, top, width)
    cells = [(FULL, role) if at < full else (EMPTY, "dim") for at in range(width)]
    for number, mark in ((expected.limit, LIMIT), (expected.value, EXPECTED)):
        if number is not None:
            cells[min(width - 1, _cells(number, top, width))] = (mark, "title")
    return _joined(cells)


def _cells(number: float, top: float, width: int) -> int:
    """How many cells a number fills; one that is above 0 fills one at least."""
    return min(width, max(int(number > 0), round(min(1.0, max(0.0, number / top)) * width)))


def _joined(cells: list[Span]) -> list[Span]:
    spans: list[Span] = []
    for text, role in cells:
        if spans and spans[-1][1] == role:
            spans[-1] = (spans[-1][0] + text, role)
        else:
            spans.append((text, role))
    return spans
