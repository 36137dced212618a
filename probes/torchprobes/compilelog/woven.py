"""Rows of several files merged by time: all of their lines, or those that a filter keeps."""

from __future__ import annotations

from collections.abc import Sequence

from .bits import Bits
from .rows import END, Place, Unfiltered
from .weave import Weave

STEP = 1 << 15
"""Rows sifted at once."""


class WovenRows(Unfiltered):
    """Row n is the n-th line by time."""

    def __init__(self, weave: Weave) -> None:
        self._weave = weave
        self.sources = weave.sources

    @property
    def count(self) -> int:
        """All lines that were ordered."""
        return self._weave.rows

    def place(self, row: int) -> Place | None:
        """Which line of which file it is."""
        return self._weave.place(row)

    def row(self, source: int, line: int) -> int | None:
        """Where a line of a file stands."""
        return self._weave.row(source, line)

    def first_line(self, row: int, source: int) -> int:
        """How many lines of the file stand before the row."""
        return self._weave.count(source, row)

    def number(self, place: Place) -> int:
        """Its row."""
        row = self._weave.row(*place)
        return -1 if row is None else row


class KeptWoven:
    """Row n is the n-th line by time of those that a filter keeps. `sift` goes on with what came."""

    def __init__(self, weave: Weave, kept: Sequence[Bits]) -> None:
        self._all, self._bits = weave, tuple(kept)
        self.sources = weave.sources
        self._weave = Weave(weave.sources)
        self._sifted = 0
        """Rows of all lines that were looked at."""

    def sift(self) -> bool:
        """Look at the next rows that the filter judged already; whether there were any. For one thread."""
        lines = [self._all.count(source, self._sifted) for source in range(self.sources)]
        rows = self._all.slice(self._sifted, self._sifted + STEP)
        flags = [iter(bits.flags(line, line + STEP)) for bits, line in zip(self._bits, lines, strict=True)]
        fresh, looked = bytearray(), 0
        for looked, source in enumerate(rows, 1):
            flag = next(flags[source], None)
            if flag is None:
                looked -= 1
                break
            if flag:
                fresh.append(source)
        self._sifted += looked
        if fresh:
            self._weave.put(self._weave.rows, bytes(fresh))
        return looked > 0

    def forget(self, row: int) -> None:
        """The rows of all lines from `row` on are in another order now."""
        if row < self._sifted:
            kept = sum(bits.rank(self._all.count(source, row)) for source, bits in enumerate(self._bits))
            self._weave.put(kept, b"")
            self._sifted = row

    @property
    def count(self) -> int:
        """Those that were looked at."""
        return self._weave.rows

    def kept(self, source: int) -> Bits | None:
        """What the filter keeps of a file."""
        return self._bits[source]

    def place(self, row: int) -> Place | None:
        """Which line of which file it is."""
        place = self._weave.place(row)
        line = self._bits[place[0]].select(place[1]) if place else None
        return None if place is None or line is None else (place[0], line)

    def row(self, source: int, line: int) -> int | None:
        """Where a line of a file stands, if it is kept."""
        bits = self._bits[source]
        return self._weave.row(source, bits.rank(line)) if line in bits else None

    def first_line(self, row: int, source: int) -> int:
        """The next line of the file that is kept."""
        line = self._bits[source].select(self._weave.count(source, max(0, row)))
        return END if line is None else line

    def number(self, place: Place) -> int:
        """Its row among all lines."""
        row = self._all.row(*place)
        return -1 if row is None else row

    def line_of(self, row: int) -> int | None:
        """The number of the line of a row."""
        place = self.place(row)
        return None if place is None else self._all.row(*place)

    def row_of(self, number: int) -> int | None:
        """The row of a line that is kept."""
        place = self._all.place(number)
        return None if place is None else self.row(*place)

    def row_near(self, number: int) -> int:
        """How many kept lines stand before it."""
        before = range(self.sources)
        return min(self.count, sum(self._bits[source].rank(self._all.count(source, number)) for source in before))
