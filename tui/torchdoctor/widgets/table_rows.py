"""Tables as lines: columns that give way by rank on a narrow screen, and take what is left on a wide one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, TypeVar

from torchdoctor.paint import Align, Line, Span, fit, line
from torchprobes.cells import CellState

T = TypeVar("T")

GAP = 2


@dataclass(frozen=True, slots=True, eq=False)
class Column(Generic[T]):
    """A column of `width` cells at least and `most` where there is room (0: no more).

    The highest `rank` gives way first, 0 never does. `show` makes the spans of a cell of this width; a single one is
    fitted, several must fill the width themselves. `reads` is everything that `show` looks at, for a column whose
    cells stay the same for a while: those are made once.
    """

    title: str
    width: int
    rank: int
    show: Callable[[T, int], Sequence[Span]]
    left: bool = False
    most: int = 0
    reads: Callable[[T], Hashable] | None = None


Fitted = Sequence[tuple[Column[T], int]]
"""Columns with the widths that they got."""


@lru_cache(maxsize=64)
def fit_columns(columns: tuple[Column[T], ...], width: int) -> tuple[tuple[Column[T], int], ...]:
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
    return tuple((column, grown[column]) for column in chosen)


def _width(columns: Sequence[Column[T]]) -> int:
    return sum(column.width for column in columns) + GAP * max(0, len(columns) - 1)


def head_line(fitted: Fitted[T]) -> Line:
    """The titles."""
    return line(((" " * GAP).join(fit(column.title, width, _align(column)) for column, width in fitted), "dim"))


def table_row(subject: T, fitted: Fitted[T]) -> Line:
    """The cells of one subject."""
    spans: list[Span] = []
    for column, width in fitted:
        if column.reads is None:
            spans += _cell(subject, column, width)
            continue
        key = (column, width, column.reads(subject))
        made = _MADE.get(key)
        if made is None:
            if len(_MADE) >= _MOST_MADE:
                _MADE.clear()
            made = _MADE[key] = _cell(subject, column, width)
        spans += made
    text, role = spans.pop()  # the last cell has no gap behind it
    return (*spans, (text[:-GAP], role))


_MADE: Final[dict[tuple[object, int, Hashable], Sequence[Span]]] = {}
"""Cells of columns that say what they read."""

_MOST_MADE: Final = 4096


def _cell(subject: T, column: Column[T], width: int) -> Sequence[Span]:
    """The spans of one cell and the gap behind it."""
    parts = column.show(subject, width)
    if len(parts) != 1:
        return (*parts, _GAP)
    text, role = parts[0]
    return ((fitted_text(text, width, _align(column)) + _GAP[0], role),)


_GAP: Final[Span] = (" " * GAP, "")


_STATES = frozenset(state.value for state in CellState)


def fitted_text(text: str, width: int, align: Align) -> str:
    """As wide as the column; a state gives up its age before it is cut."""
    word = text.partition(" ")[0]
    return fit(word if len(text) > width and word in _STATES else text, width, align)


def _align(column: Column[T]) -> Align:
    return "left" if column.left else "right"
