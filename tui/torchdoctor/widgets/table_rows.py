"""Tables as lines: columns that give way by rank on a narrow screen, and take what is left on a wide one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from torchdoctor.paint import Align, Line, Span, fit, line
from torchprobes.samples import CellState

T = TypeVar("T")

GAP = 2


@dataclass(frozen=True, slots=True, eq=False)
class Column(Generic[T]):
    """A column of `width` cells at least and `most` where there is room (0: no more).

    The highest `rank` gives way first, 0 never does. `show` makes the spans of a cell of this width; a single one is
    fitted, several must fill the width themselves.
    """

    title: str
    width: int
    rank: int
    show: Callable[[T, int], Sequence[Span]]
    left: bool = False
    most: int = 0


Fitted = Sequence[tuple[Column[T], int]]
"""Columns with the widths that they got."""


def fit_columns(columns: Sequence[Column[T]], width: int) -> list[tuple[Column[T], int]]:
    """The columns that fit; what is left goes to those that want more, the most important ones first."""
    chosen = list(columns)
    while _width(chosen) > width and any(column.rank for column in chosen):
        chosen.remove(max(chosen, key=lambda column: column.rank))
    left = width - _width(chosen)
    grown = {column: column.width for column in chosen}
    for column in sorted(chosen, key=lambda column: column.rank):
        more = min(max(0, column.most - column.width), max(0, left))
        grown[column] += more
        left -= more
    return [(column, grown[column]) for column in chosen]


def _width(columns: Sequence[Column[T]]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)


def head_line(fitted: Fitted[T]) -> Line:
    """The titles."""
    return line(((" " * GAP).join(fit(column.title, width, _align(column)) for column, width in fitted), "dim"))


def table_row(subject: T, fitted: Fitted[T]) -> Line:
    """The cells of one subject."""
    spans: list[Span] = []
    for column, width in fitted:
        parts = column.show(subject, width)
        if len(parts) == 1:
            text, role = parts[0]
            spans.append((fitted_text(text, width, _align(column)), role))
        else:
            spans += parts
        spans.append((" " * GAP, ""))
    return tuple(spans[:-1])


_STATES = frozenset(state.value for state in CellState)


def fitted_text(text: str, width: int, align: Align) -> str:
    """As wide as the column; a state gives up its age before it is cut."""
    word = text.partition(" ")[0]
    return fit(word if len(text) > width and word in _STATES else text, width, align)


def _align(column: Column[T]) -> Align:
    return "left" if column.left else "right"
