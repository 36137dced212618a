"""The order of the lines of several files as one: which file each row is of, one byte a row.

Lines of one file keep their order, so that the n-th row of a file is its n-th line: rank and select do the rest.
One thread puts, any may ask.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from threading import Lock

BLOCK = 4096
"""Rows between two counts."""

SOURCES = 250
"""Files at most."""


class Weave:
    """Rows of `sources` files; the last ones may be put again in another order."""

    def __init__(self, sources: int) -> None:
        self.sources = sources
        self._of = bytearray()
        self._before = [array("Q", [0]) for _ in range(sources)]
        """For each file, how many of its rows stand before each block."""
        self._lock = Lock()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._of)

    @property
    def memory_bytes(self) -> int:
        """What it occupies."""
        return len(self._of) + sum(8 * len(before) for before in self._before)

    def put(self, at: int, data: bytes) -> None:
        """From row `at` on the rows are of the files `data`."""
        with self._lock:
            self._of[at:] = data
            block = at // BLOCK
            for before in self._before:
                del before[block + 1 :]
            for start in range(block * BLOCK, len(self._of) - BLOCK + 1, BLOCK):
                for source, before in enumerate(self._before):
                    before.append(before[-1] + self._of.count(source, start, start + BLOCK))

    def slice(self, start: int, stop: int) -> bytes:
        """The files of rows [start, stop)."""
        return bytes(self._of[start:stop])

    def count(self, source: int, row: int) -> int:
        """How many rows of a file stand before `row`."""
        with self._lock:
            return self._count(source, max(0, min(row, len(self._of))))

    def _count(self, source: int, row: int) -> int:
        block = row // BLOCK
        return self._before[source][block] + self._of.count(source, block * BLOCK, row)

    def place(self, row: int) -> tuple[int, int] | None:
        """(file, line of it) of a row, None if there is no such row."""
        with self._lock:
            if not 0 <= row < len(self._of):
                return None
            source = self._of[row]
            return source, self._count(source, row)

    def row(self, source: int, line: int) -> int | None:
        """The row of a line of a file, None if it is not there (yet)."""
        with self._lock:
            if line < 0:
                return None
            block = bisect_right(self._before[source], line) - 1
            at = block * BLOCK - 1
            for _ in range(line - self._before[source][block] + 1):
                at = self._of.find(source, at + 1)
                if at < 0:
                    return None
            return at
