"""The part of a file that a document shows: all of it as it grows, or a fixed window such as a trace's payload."""

from __future__ import annotations

import os

from .logfile import Change, LogFile
from .scan import Part


class Region:
    """A `LogFile`, or `window` = (offset, bytes) of one: offsets are the region's own, lines lose their first tab.

    May block for as long as the file system likes: only a thread of its own may call it.
    """

    def __init__(self, path: str, window: tuple[int, int] | None = None) -> None:
        self._file = LogFile(path)
        self.window = window
        self._offset, self._most = window or (0, 0)
        self.cause = ""

    @property
    def held(self) -> bool:
        """Whether there is a file to read."""
        return self._file.fd >= 0

    @property
    def size(self) -> int:
        """Bytes that are there."""
        if self.window is None:
            return max(0, self._file.size - self._offset)
        return max(0, min(self._file.size - self._offset, self._most))

    def look(self, done: int) -> Change:
        """Look again, see `LogFile.look`. A window of a file that is held never changes."""
        if self.window is None or not self.held:
            change = self._file.look(self._offset + done if self.held else 0)
            self.cause = self._file.cause
        else:
            change = Change.NONE
            self._file.size = os.fstat(self._file.fd).st_size
        if self.window is not None and self.held and self.size < self._most:
            self.cause = "the file is shorter than it was: what is shown is not whole"
        return change

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at `offset`."""
        if self.window is not None:
            count = max(0, min(count, self._most - offset))
        return self._file.pread(count, self._offset + offset)

    def inside(self, offset: int) -> int:
        """The region's own offset of one of the file."""
        return offset - self._offset

    def skip(self, count: int) -> None:
        """Begin `count` bytes later, at the line that begins next; for what is no window."""
        self._offset = 0
        data = self._file.pread(1 << 16, count - 1)
        self._offset = count + data.find(b"\n")

    @property
    def skipped(self) -> int:
        """Bytes before the part."""
        return self._offset

    @property
    def whole_size(self) -> int:
        """Bytes of the whole file."""
        return self._file.size

    def part(self, ends: bytes = b"") -> Part:
        """A descriptor of its own for a child, with the newlines that were counted."""
        stop = None if self.window is None else self._offset + self.size
        return Part(os.dup(self._file.fd), self._offset, stop, self.window is not None, ends)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
