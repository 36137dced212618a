"""The lines of several growing files in the order of their time. For the child alone.

A line's time is its stamp, else that of the line before it in its file. What stands before the first stamp of a file
has the time of that stamp; a file without any stamp has none: what was there at the beginning stands first, what comes
has the time at which it was seen. Within a file time never runs backwards, so that its lines keep their order.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator

from torchprobes.compilelog.stamps import YEAR, stamp_us
from torchprobes.compilelog.stripes import PIECE, PRead

HALF_YEAR = YEAR // 2
SETTLE_S = 1.0
"""So long a row may still get earlier ones before it."""

TAIL = 20_000
"""Rows of what was there at the beginning that may get earlier ones before them."""

BURST = 8
"""Pieces of one file that are read before the next one's turn."""

_SHIFT = 8

Told = tuple[int, bytes]
"""From this row on, the rows are of these files."""


def local_us() -> int:
    """The local time now, as a stamp."""
    now = time.time()
    local = time.localtime(now)
    text = time.strftime("V%m%d %H:%M:%S", local) + f".{int(now % 1 * 1e6):06d}"
    return stamp_us(text.encode()) or 0


class Source:
    """One file: its new lines as times."""

    def __init__(self, pread: PRead) -> None:
        self._pread = pread
        self.offset = 0
        self.at_end = False
        self.times: list[int] = []
        """Of lines that were read and not taken yet; they never fall."""
        self.last = 0
        self._carry = b""
        self._opened = False
        """Whether the line that has no newline yet was told already."""
        self._stamped = False
        self._year = 0

    def read(self, arrived_us: int | None) -> bool:
        """Read a piece; whether there was anything. `arrived_us` is when lines without any stamp are said to come."""
        data = self._pread(PIECE, self.offset)
        self.at_end = not data
        if not data:
            return self._open(arrived_us)
        self.offset += len(data)
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            lines = (self._carry + whole).split(b"\n")
            self._carry = b""
            self._take(lines[1:] if self._opened else lines, arrived_us)
            self._opened = False
        self._carry = (self._carry + rest)[:PIECE]
        return True

    def _open(self, arrived_us: int | None) -> bool:
        if not self._carry or self._opened:
            return False
        self._opened = True
        self._take([self._carry], arrived_us)
        return True

    def _take(self, lines: list[bytes], arrived_us: int | None) -> None:
        stamps = [stamp_us(line) for line in lines]
        if not self._stamped:
            first = next((stamp for stamp in stamps if stamp is not None), None)
            self._stamped = first is not None
            if first is not None:
                self.last = max(self.last, first)
            elif arrived_us is not None:
                self.last = max(self.last, arrived_us)
        last, year = self.last, self._year
        for stamp in stamps:
            if stamp is not None:
                stamp += year
                if last - stamp > HALF_YEAR:  # New Year
                    year += YEAR
                    stamp += YEAR
                last = max(last, stamp)
            self.times.append(last)
        self.last, self._year = last, year

    def shift(self, us: int) -> None:
        """Its times are of the year after."""
        self._year += us
        self.last += us
        self.times = [stamp + us for stamp in self.times]

    def take(self, until_us: int) -> list[int]:
        """The times up to `until_us`, which are taken."""
        count = bisect_right(self.times, until_us)
        taken, self.times = self.times[:count], self.times[count:]
        return taken


def _keys(source: int, times: list[int]) -> list[int]:
    return [stamp << _SHIFT | source for stamp in times]


def _of(keys: list[int]) -> bytes:
    """The files of rows."""
    return bytes([key & 255 for key in keys])


class Merger:
    """Rows in order: `begin` for what is there, `follow` for what comes."""

    def __init__(self, preads: list[PRead]) -> None:
        self._sources = [Source(pread) for pread in preads]
        self._lines = [0] * len(preads)
        self._settled = 0
        """Rows whose place is final."""
        self._newest = 0
        """The time of the last of them."""
        self._tail: list[int] = []
        """Keys (time and file) of the rows after them."""
        self._arrivals: deque[tuple[float, int]] = deque()
        """(when they came, how many) of the tail's rows."""
        self.late: list[tuple[int, int]] = []
        """(file, line) of what came too late for its place, since the last look."""

    @property
    def read_bytes(self) -> int:
        """Bytes read of all files."""
        return sum(source.offset for source in self._sources)

    def begin(self) -> Iterator[Told]:
        """What is there, a batch of rows at a time: no file is read further ahead than a piece or two."""
        for source in self._sources:
            source.read(None)
        self._align_years()
        while keys := self._batch():
            self._settle(len(self._tail))
            told = self._settled, _of(keys)
            self._tail = keys
            self._settle(max(0, len(keys) - TAIL))
            yield told
        self._arrivals.append((time.monotonic(), len(self._tail)))

    def _align_years(self) -> None:
        """A file that begins after New Year is of the year after those that begin long after it in the calendar."""
        newest = max((source.times[0] for source in self._sources if source.times), default=0)
        for source in self._sources:
            if source.times and source.times[0] and newest - source.times[0] > HALF_YEAR:
                source.shift(YEAR)

    def _batch(self) -> list[int]:
        """The keys of the next rows: those before the last line that was read of each file that has more."""
        while True:
            for source in self._sources:
                while not source.times and not source.at_end:
                    source.read(None)
            behind = [source for source in self._sources if source.times and not source.at_end]
            until = min((source.times[-1] - 1 for source in behind), default=1 << 62)
            keys: list[int] = []
            for number, source in enumerate(self._sources):
                keys += self._taken(number, source.take(until))
            if keys or not behind:
                keys.sort()
                return keys
            for source in behind:
                source.read(None)

    def _taken(self, number: int, times: list[int]) -> list[int]:
        self._lines[number] += len(times)
        return _keys(number, times)

    def _settle(self, count: int) -> None:
        if count:
            self._newest = max(self._newest, self._tail[count - 1] >> _SHIFT)
            self._settled += count
            del self._tail[:count]

    def follow(self) -> Told | None:
        """What is new: the rows from the first one that changed on. None if there is nothing."""
        now = time.monotonic()
        while self._arrivals and now - self._arrivals[0][0] >= SETTLE_S:
            self._settle(self._arrivals.popleft()[1])
        fresh: list[int] = []
        for number, source in enumerate(self._sources):
            for _ in range(BURST):
                if not source.read(local_us()):
                    break
            fresh += self._placed(number, source.take(1 << 62))
        if not fresh:
            return None
        self._arrivals.append((now, len(fresh)))
        at = bisect_right(self._tail, min(fresh))
        self._tail[at:] = sorted(self._tail[at:] + fresh)
        return self._settled + at, _of(self._tail[at:])

    def _placed(self, number: int, times: list[int]) -> list[int]:
        """Keys of new lines; those that are older than what has settled stand right after it, and are late."""
        first, newest = self._lines[number], self._newest
        self.late += [(number, first + at) for at, stamp in enumerate(times) if stamp < newest]
        return self._taken(number, [max(stamp, newest) for stamp in times])
