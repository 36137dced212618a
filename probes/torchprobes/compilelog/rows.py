"""Rows of a log: its lines, or those that a filter keeps. The screen speaks rows; searches and marks know lines.

Everything here may be asked from any thread and answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .bits import Bits
from .lines import LineIndex
from .marks import Mark, Marks, Places
from .search import Query, Search, SearchView


class Rows(Protocol):
    """Which lines are rows."""

    kept: Bits | None
    """The lines that are rows; None if all are."""

    @property
    def count(self) -> int:
        """How many rows there are."""

    def before(self, line: int) -> int:
        """How many rows stand before `line`: the row of the first one at or after it."""

    def line_of(self, row: int) -> int | None:
        """The line that is row `row`, None if there is no such row."""

    def row_of(self, line: int) -> int | None:
        """The row of `line`, None if it is not one."""


class AllRows:
    """Row n is line n."""

    kept: Bits | None = None

    def __init__(self, index: LineIndex) -> None:
        self._index = index

    @property
    def count(self) -> int:
        """All lines that were counted."""
        return self._index.lines

    def before(self, line: int) -> int:
        """The line itself, or the end."""
        return max(0, min(line, self.count))

    def line_of(self, row: int) -> int | None:
        """The same, if it is there."""
        return row if 0 <= row < self.count else None

    row_of = line_of


class KeptRows:
    """Row n is the n-th line that a filter keeps, among those that were counted already."""

    def __init__(self, index: LineIndex, kept: Bits) -> None:
        self._index = index
        self.kept: Bits | None = kept
        self._kept = kept

    @property
    def count(self) -> int:
        """The filter may be ahead of the line numbers."""
        return self._kept.rank(self._index.lines)

    def before(self, line: int) -> int:
        """How many kept lines stand before `line`."""
        return self._kept.rank(line)

    def line_of(self, row: int) -> int | None:
        """The line of a row."""
        return self._kept.select(row)

    def row_of(self, line: int) -> int | None:
        """The row of a line that is kept."""
        return self._kept.rank(line) if line in self._kept else None


def _line_at(rows: Rows, row: int) -> int:
    """The line of a row; outside of them -1 or a line after the last."""
    line = rows.line_of(row) if row >= 0 else -1
    return 1 << 62 if line is None else line


class Found:
    """A search as the screen asks it: everything in rows; without a search `query` is None."""

    def __init__(self, search: Search | None, rows: Rows) -> None:
        self._search, self._rows = search, rows
        self.query: Query | None = search.query if search else None
        self._counted: tuple[int, int, int] = (-1, -1, 0)

    def view(self) -> SearchView:
        """The newest view."""
        if self._search is None:
            return SearchView()
        view = self._search.view
        return SearchView(self.query, self._count(), view.scanned_bytes, view.at_end, view.cause, view.ones)

    def _count(self) -> int:
        """Hits among the rows."""
        assert self._search is not None
        bits, kept = self._search.bits, self._rows.kept
        if kept is None:
            return bits.ones
        hits, lines, count = self._counted
        if (hits, lines) != (bits.lines, kept.lines):
            count = bits.rank_both(bits.lines, kept)
            self._counted = (bits.lines, kept.lines, count)
        return count

    def next(self, row: int) -> int | None:
        """The first row after `row` that is a hit."""
        if self._search is None:
            return None
        line = self._search.bits.next(_line_at(self._rows, row), self._rows.kept)
        return None if line is None else self._rows.row_of(line)

    def previous(self, row: int) -> int | None:
        """The last row before `row` that is a hit."""
        if self._search is None:
            return None
        line = self._search.bits.previous(_line_at(self._rows, row), self._rows.kept)
        return None if line is None else self._rows.row_of(line)

    def rank(self, row: int) -> int:
        """How many hits there are up to and with `row`."""
        if self._search is None:
            return 0
        line, kept = _line_at(self._rows, row) + 1, self._rows.kept
        return self._search.bits.rank(line) if kept is None else self._search.bits.rank_both(line, kept)

    def hit(self, row: int) -> bool:
        """Whether `row` is a hit."""
        return self._search is not None and _line_at(self._rows, row) in self._search.bits

    def span(self, row: int) -> tuple[int, int] | None:
        """Where `row` matches first, in bytes; None if it is no hit, or one of more than are kept."""
        return self._search.span(_line_at(self._rows, row)) if self._search else None


class MarkedRows:
    """Marks as the screen asks them: everything in rows."""

    def __init__(self, marks: Marks, rows: Rows) -> None:
        self._marks, self._rows = marks, rows
        self._kept = Places()
        self._seen = dict.fromkeys(Mark, 0)

    @property
    def counts(self) -> dict[Mark, int]:
        """How many there are of each, whether they are rows or not."""
        return self._marks.counts

    @property
    def _places(self) -> Places:
        return self._marks if self._rows.kept is None else self._kept

    def sift(self) -> None:
        """Take the places that came since among the rows; for the document's thread, a filter's only."""
        kept = self._rows.kept
        if kept is None:
            return
        for mark, lines in self._marks.lines.items():
            for line in lines[self._seen[mark] :]:
                if line >= kept.lines:
                    break
                self._seen[mark] += 1
                if line in kept:
                    self._kept.lines[mark].append(line)

    def next(self, marks: Sequence[Mark], row: int) -> int | None:
        """The first row after `row` that has one of `marks`, None if no such place is kept."""
        line = self._places.next(tuple(marks), min(_line_at(self._rows, row), 1 << 62))
        return None if line is None else self._rows.row_of(line)

    def previous(self, marks: Sequence[Mark], row: int) -> int | None:
        """The last row before `row` that has one of `marks`."""
        line = self._places.previous(tuple(marks), _line_at(self._rows, row))
        return None if line is None else self._rows.row_of(line)

    def on(self, first: int, count: int) -> dict[int, Mark]:
        """The marked rows among [first, first + count)."""
        start, stop = _line_at(self._rows, first), _line_at(self._rows, first + count)
        if self._rows.kept is None:
            return self._marks.on(first, count)
        found = self._kept.on(start, stop - start)
        return {row: mark for line, mark in found.items() if (row := self._rows.row_of(line)) is not None}
