"""What a document is of: one file, or its part, as its thread reads it. May block as long as the file system likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .filter import Filtering
from .lines import Line, LineIndex, Shrunk, last_lines
from .logfile import Change
from .marks import Marks
from .region import Region
from .rows import AllRows, KeptRows, Rows
from .scan import Part

SLICE = 1 << 18
"""Bytes indexed between two looks at what was asked for: a fraction of a millisecond."""

SMALL = 1 << 16
"""Bytes looked at for marks at once: of bigger blocks, each copy costs the system more than the look."""


class Files(Protocol):
    """The file or files of a document. For its thread alone, but for the rows, which anybody may ask."""

    @property
    def marks(self) -> Sequence[Marks]:
        """The marks of each file."""
        ...

    @property
    def cause(self) -> str:
        """Why there is nothing (new) to read; "" if all is well."""
        ...

    @property
    def note(self) -> str:
        """What else a person should know of them; "" if nothing."""
        ...

    @property
    def version(self) -> int:
        """Raised when rows that were told are others now."""
        ...

    @property
    def held(self) -> bool:
        """Whether there is something to read."""
        ...

    @property
    def lines(self) -> int:
        """Lines whose number is known."""
        ...

    @property
    def done_bytes(self) -> int:
        """Bytes that were indexed."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes that are there."""
        ...

    def look(self) -> Change:
        """Look again; after anything but NONE all begins anew."""
        ...

    def index(self) -> bool:
        """Index the next slice; whether there was one."""
        ...

    def mark(self) -> bool:
        """Look for marks in the next slice that was indexed; whether there is more."""
        ...

    def restart(self) -> None:
        """Forget what was read."""
        ...

    def rows(self, filtering: Filtering | None) -> Rows:
        """The rows: all lines, or what the filter keeps."""
        ...

    def sift(self, rows: Rows) -> bool:
        """Bring filtered rows up to date, a slice at a time; whether there is more."""
        ...

    def read(self, rows: Rows, first: int, count: int) -> list[Line]:
        """Rows [first, first + count), as far as they exist; a negative `first` counts from the end.

        Raises:
            Shrunk: a file holds less than was indexed.
        """
        ...

    def parts(self) -> list[Part]:
        """Descriptors for a child, which closes them."""
        ...

    def order(self) -> bytes | None:
        """The file of each line, one byte each; None if there is only one file."""
        ...

    def line_at(self, offset: int) -> int | None:
        """The line in which byte `offset` of the file stands; None if that is not known (yet)."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


class OneFile:
    """One file that grows, or a fixed window of it."""

    def __init__(self, path: str, window: tuple[int, int] | None = None) -> None:
        self._region = Region(path, window)
        self.note = ""
        self.version = 0
        self.restart()

    def restart(self) -> None:
        """Forget what was read."""
        self._index, self._marks, self._marked = LineIndex(), Marks(), 0
        self.marks: Sequence[Marks] = (self._marks,)

    @property
    def cause(self) -> str:
        """Why there is nothing (new) to read."""
        return self._region.cause

    @property
    def held(self) -> bool:
        """Whether there is a file."""
        return self._region.held

    @property
    def lines(self) -> int:
        """Lines counted."""
        return self._index.lines

    @property
    def done_bytes(self) -> int:
        """Bytes counted."""
        return self._index.size

    @property
    def size_bytes(self) -> int:
        """Bytes that are there."""
        return self._region.size

    def look(self) -> Change:
        """What became of the file."""
        return self._region.look(self._index.size)

    def index(self) -> bool:
        """Count the lines of the next slice."""
        if self._index.size >= self._region.size:
            return False
        self._index.feed(self._slice(self._index.size))
        return True

    @property
    def marked(self) -> bool:
        """Whether all that was counted was looked at for marks."""
        return self._marked >= self._index.size

    def mark(self) -> bool:
        """Look for marks in the next slice."""
        stop = min(self._index.size, self._marked + SLICE)
        while self._marked < stop:
            data = self._region.pread(min(SMALL, stop - self._marked), self._marked)
            if not data:
                break
            self._marks.feed(data)
            self._marked += len(data)
        return not self.marked

    def _slice(self, offset: int) -> bytes:
        return self._region.pread(min(SLICE, self._region.size - offset), offset)

    def rows(self, filtering: Filtering | None) -> Rows:
        """Its lines, or those that are kept."""
        return KeptRows(self._index, filtering.bits[0]) if filtering else AllRows(self._index)

    def sift(self, rows: Rows) -> bool:
        """Nothing to do: the filter's own bits are the rows."""
        return False

    def read(self, rows: Rows, first: int, count: int) -> list[Line]:
        """Lines by their rows."""
        pread = self._region.pread
        if first < 0:
            lines = last_lines(min(count, -first), self._region.size, pread)
        elif rows.kept(0) is None:
            lines = self._index.read(first, count, pread)
        else:
            shown = range(first, min(first + count, rows.count))
            numbers = [line for row in shown if (line := rows.line_of(row)) is not None]
            lines = self._index.read_some(numbers, pread)
        return lines if self._region.window is None else [_without_tab(line) for line in lines]

    def parts(self) -> list[Part]:
        """Itself."""
        return [self._region.part(self._index.ends)]

    def order(self) -> bytes | None:
        """There is only one file."""
        return None

    def line_at(self, offset: int) -> int | None:
        """By the index."""
        inside = self._region.inside(offset)
        if not 0 <= inside < self._index.size:
            return None
        try:
            return self._index.line_of(inside, self._region.pread)
        except Shrunk:
            return None

    def close(self) -> None:
        """Let go of the file."""
        self._region.close()


def _without_tab(line: Line) -> Line:
    return line._replace(raw=line.raw[1:], length=line.length - 1) if line.raw.startswith(b"\t") else line
