r"""Line numbers of a file that grows, without holding the file: one number per 64 KiB block.

The index keeps how many newlines there were up to the end of every block (8 bytes a block, 122 KiB per GiB). Line
`n` starts after newline `n`: bisect finds the block that holds it, one `pread` finds it in the block. Only bytes
that are new are ever counted. Lines are cut at `\n` alone and stay bytes: what is shown of them is
`torchdoctor.text`'s business.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

BLOCK = 1 << 16
"""Bytes per entry of the index."""

SHOWN = 4096
"""Bytes of one line that are ever read for the screen; the rest of a longer line is only counted."""

NEAR = 64
"""Lines so near to one another are read together."""

PRead = Callable[[int, int], bytes]
"""(how many bytes, from which offset) -> at most so many bytes, fewer at the end of the file."""


class Shrunk(Exception):
    """The file holds less than was indexed: it was truncated or rewritten, and has to be indexed anew."""


class Line(NamedTuple):
    """One line as it is to be shown."""

    number: int
    """Counted from 0; negative, -1 for the last one, while it is not known how many there are."""
    raw: bytes
    """At most `SHOWN` bytes, without the newline: the beginning, or what a progress bar (`\\r`) last drew."""
    length: int
    """Bytes of the whole line, without its newline."""
    ended: bool
    """False for a last line that has no newline (yet)."""
    source: int = 0
    """Which of several merged files it is of."""
    own: int = -1
    """Its number in that file, where `number` is its number in the merge."""
    late: bool = False
    """Of several merged files: it came too late to stand where its time says."""


class LineIndex:
    """Cumulative newline counts of the bytes that were fed; knows nothing of where they came from."""

    def __init__(self) -> None:
        self._ends = array("Q")
        self._ended = True
        self.size = 0
        self.newlines = 0

    def feed(self, data: bytes) -> None:
        """Count the bytes that follow those counted so far."""
        position = 0
        while position < len(data):
            stop = min(position + BLOCK - self.size % BLOCK, len(data))
            if self.size % BLOCK == 0:
                self._ends.append(0)
            self.newlines += data.count(b"\n", position, stop)
            self._ends[-1] = self.newlines
            self.size += stop - position
            position = stop
        if data:
            self._ended = data.endswith(b"\n")

    @property
    def lines(self) -> int:
        """How many lines there are, a last one without newline included."""
        return self.newlines + (not self._ended)

    @property
    def memory_bytes(self) -> int:
        """What the index itself occupies."""
        return self._ends.buffer_info()[1] * self._ends.itemsize

    @property
    def ends(self) -> bytes:
        """Newlines up to the end of each whole block, 8 bytes each."""
        return self._ends[: self.size // BLOCK].tobytes()

    def start_of(self, line: int, pread: PRead) -> int:
        """The offset at which `line` starts.

        Raises:
            Shrunk: if the block no longer holds the newline that was counted there.
        """
        if line == 0:
            return 0
        block = bisect_left(self._ends, line)
        missing = line - (self._ends[block - 1] if block else 0)
        data = pread(BLOCK, block * BLOCK)
        at = -1
        for _ in range(missing):
            at = data.find(b"\n", at + 1)
            if at < 0:
                raise Shrunk
        return block * BLOCK + at + 1

    def read(self, first: int, count: int, pread: PRead) -> list[Line]:
        """The lines [first, first + count) that exist.

        Raises:
            Shrunk: if the file holds less than was indexed.
        """
        first, last = max(0, first), min(first + count, self.lines)
        if first >= last:
            return []
        lines: list[Line] = []
        start = self.start_of(first, pread)
        while first + len(lines) < last:
            wanted = min(BLOCK, self.size - start)
            chunk = pread(wanted, start)
            if len(chunk) < wanted:
                raise Shrunk
            used = _split(chunk, first, last, lines)
            if not used:
                line, used = self._long(first + len(lines), start, pread)
                lines.append(line)
            start += used
        return lines

    def read_some(self, numbers: Sequence[int], pread: PRead) -> list[Line]:
        """The lines `numbers`, which rise, as far as they exist.

        Raises:
            Shrunk: if the file holds less than was indexed.
        """
        lines: list[Line] = []
        at = 0
        while at < len(numbers):
            stop = at + 1
            while stop < len(numbers) and numbers[stop] - numbers[stop - 1] <= NEAR:
                stop += 1
            first, wanted = numbers[at], set(numbers[at:stop])
            read = self.read(first, numbers[stop - 1] + 1 - first, pread)
            lines += [line for line in read if line.number in wanted]
            at = stop
        return lines

    def line_of(self, offset: int, pread: PRead) -> int:
        """The line in which byte `offset`, below `size`, stands.

        Raises:
            Shrunk: if the file holds less than was indexed.
        """
        block = offset // BLOCK
        count = offset - block * BLOCK
        data = pread(count, block * BLOCK)
        if len(data) < count:
            raise Shrunk
        return (self._ends[block - 1] if block else 0) + data.count(b"\n")

    def _long(self, number: int, start: int, pread: PRead) -> tuple[Line, int]:
        """A line that does not end in the bytes read: its two ends are read, what lies between is not."""
        ended = number < self.newlines
        end = self.start_of(number + 1, pread) - 1 if ended else self.size
        head = pread(min(SHOWN, end - start), start)
        tail = pread(min(SHOWN, end - start), max(start, end - SHOWN))
        return Line(number, _visible(head, tail, end - start), end - start, ended), end - start + ended


def last_lines(count: int, size: int, pread: PRead) -> list[Line]:
    """The last `count` lines of `size` bytes, or those in the last block, before anybody counted: numbers negative."""
    start = max(0, size - BLOCK)
    data = pread(size - start, start)
    ended = data.endswith(b"\n")
    rows = data.split(b"\n")[: -1 if ended else None]
    if start and len(rows) > 1:
        del rows[0]
    rows = rows[-count:] if data else []
    return [
        Line(at - len(rows), _visible(raw[:SHOWN], raw[-SHOWN:], len(raw)), len(raw), ended or at < len(rows) - 1)
        for at, raw in enumerate(rows)
    ]


def _split(chunk: bytes, first: int, last: int, lines: list[Line]) -> int:
    """Append the lines that end in `chunk`, up to line `last`; the bytes used, 0 if none ends there."""
    position = 0
    while first + len(lines) < last:
        end = chunk.find(b"\n", position)
        if end < 0:
            break
        length = end - position
        head = chunk[position : min(end, position + SHOWN)]
        tail = chunk[max(position, end - SHOWN) : end]
        lines.append(Line(first + len(lines), _visible(head, tail, length), length, True))
        position = end + 1
    return position


def _visible(head: bytes, tail: bytes, length: int) -> bytes:
    r"""What to show of a line: all of it if it is short, else what `\r` last drew, else its beginning."""
    if length <= SHOWN:
        return head
    drawn = tail.rstrip(b"\r").rfind(b"\r")
    return tail[drawn + 1 :] if drawn >= 0 else head
