"""Rows of a log: its lines, or those that a filter keeps, of one file or of several merged. The screen speaks rows.

A *place* is (file, line of that file); searches, marks and filters know lines of files. Everything here may be asked
from any thread and answers at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from .bits import Bits
from .lines import LineIndex

Place = tuple[int, int]

END = 1 << 62
"""A line after every line."""


class Rows(Protocol):
    """Which lines are rows, and where."""

    @property
    def sources(self) -> int:
        """How many files there are."""
        ...

    @property
    def count(self) -> int:
        """How many rows there are."""
        ...

    def kept(self, source: int) -> Bits | None:
        """The lines of a file that are rows; None if all are."""
        ...

    def place(self, row: int) -> Place | None:
        """What row `row` shows, None if there is no such row."""
        ...

    def row(self, source: int, line: int) -> int | None:
        """The row of a line of a file, None if it is not one."""
        ...

    def first_line(self, row: int, source: int) -> int:
        """The first line of a file that stands at row `row` or after; one after its last if there is none."""
        ...

    def number(self, place: Place) -> int:
        """The number of a line among all lines, whether a filter keeps it or not."""
        ...

    def line_of(self, row: int) -> int | None:
        """The number of the line that row `row` shows, None if there is no such row."""
        ...

    def row_of(self, number: int) -> int | None:
        """The row of the line with this number, None if it is not one."""
        ...

    def row_near(self, number: int) -> int:
        """The row of the first line from this number on that is one; the number of rows if there is none."""
        ...


class Unfiltered(ABC):
    """Rows of which none is left out: a row and its line have the same number."""

    @property
    @abstractmethod
    def count(self) -> int:
        """All lines that are known."""

    def kept(self, source: int) -> Bits | None:
        """All of them."""
        return None

    def line_of(self, row: int) -> int | None:
        """The row itself, if it is there."""
        return row if 0 <= row < self.count else None

    def row_of(self, number: int) -> int | None:
        """The row itself, if it is there."""
        return self.line_of(number)

    def row_near(self, number: int) -> int:
        """The same, or the end."""
        return max(0, min(number, self.count))


class AllRows(Unfiltered):
    """One file: row n is line n."""

    sources = 1

    def __init__(self, index: LineIndex) -> None:
        self._index = index

    @property
    def count(self) -> int:
        """All lines that were counted."""
        return self._index.lines

    def place(self, row: int) -> Place | None:
        """The line."""
        return (0, row) if 0 <= row < self.count else None

    def row(self, source: int, line: int) -> int | None:
        """The line."""
        return self.line_of(line)

    def first_line(self, row: int, source: int) -> int:
        """The line."""
        return max(0, row)

    def number(self, place: Place) -> int:
        """The line."""
        return place[1]


class KeptRows:
    """One file: row n is the n-th line that a filter keeps, among those that were counted already."""

    sources = 1

    def __init__(self, index: LineIndex, kept: Bits) -> None:
        self._index = index
        self._kept = kept

    @property
    def count(self) -> int:
        """The filter may be ahead of the line numbers."""
        return self._kept.rank(self._index.lines)

    def kept(self, source: int) -> Bits | None:
        """Those that the filter keeps."""
        return self._kept

    def place(self, row: int) -> Place | None:
        """The n-th of them."""
        line = self._kept.select(row)
        return None if line is None else (0, line)

    def row(self, source: int, line: int) -> int | None:
        """How many stand before it, if it is kept."""
        return self.row_of(line)

    def first_line(self, row: int, source: int) -> int:
        """The line of the row."""
        line = self._kept.select(max(0, row))
        return END if line is None else line

    def number(self, place: Place) -> int:
        """The line."""
        return place[1]

    def line_of(self, row: int) -> int | None:
        """The line of a row."""
        return self._kept.select(row)

    def row_of(self, number: int) -> int | None:
        """The row of a line that is kept."""
        return self._kept.rank(number) if number in self._kept else None

    def row_near(self, number: int) -> int:
        """How many stand before it."""
        return self._kept.rank(number)
