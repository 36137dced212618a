"""A trace's bytes cut into its records, whatever the pieces that they arrive in.

A record is one line, `V1123 06:12:11.791000 13688 torch/_dynamo/utils.py:2350] {...}`, and then its payload, each line
of it after a tab (`TorchLogsFormatter.format` in torch/_logging/_internal.py, the same in torch 2.3 to 2.15). The last
key of the line, `has_payload`, is the md5 of the payload: where that fits, the record need not wait for the next one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

MAX_RECORD = 8 << 20
"""Bytes kept of one record: what is longer is told with its true size, and its payload is cut."""

_V = ord("V")
_TAB = ord("\t")
_END = re.compile(rb"\n[^\t]")
_NEXT_HEAD = re.compile(rb"\nV\d{4} \d")
_NEXT_HEAD_SIZE = 8
_SUM_KEY = b'"has_payload": "'
_SUM = re.compile(rb'"has_payload": "([0-9a-f]{32})"\}\Z')
_SUM_SIZE = 50


class Record:
    """One record, or bytes that are none. It lends the cutter's bytes: good until the next one is asked for."""

    __slots__ = ("_held", "_payload", "_stop", "head", "junk", "offset", "payload_offset", "size")

    def __init__(self, held: bytearray, start: int, stop: int, offset: int, size: int, junk: bool) -> None:
        stop = min(stop, start + MAX_RECORD)
        line_end = held.find(b"\n", start, stop)
        self.head = bytes(held[start : line_end if line_end >= 0 else stop])
        """Its line, without the end."""
        self.junk = junk
        """Whether it stands where no record begins."""
        self.offset = offset
        self.size = size
        """Bytes of all of it, in the file."""
        self.payload_offset = offset + len(self.head) + 1
        self._held = held
        self._payload = start + len(self.head) + 1
        self._stop = stop

    @property
    def payload_size(self) -> int:
        """Bytes of its payload in the file, tabs and line ends too; 0 where it has none."""
        return max(0, self.offset + self.size - self.payload_offset)

    @property
    def cut(self) -> bool:
        """Whether it was too long to be kept whole."""
        return self.size > MAX_RECORD

    def payload(self) -> bytes:
        """Its payload, each line after a tab, as much of it as was kept."""
        return bytes(self._held[self._payload : self._stop])


class Cutter:
    """Takes the bytes of a file in order and gives its records. Holds one piece and one record, never more."""

    def __init__(self) -> None:
        self.offset = 0
        """Bytes taken."""
        self._held = bytearray()
        self._base = 0
        """Where in the file the held bytes begin: always the start of a record, or within junk."""
        self._junk = False
        self._line_end = -1
        """Where the held record's line ends, -1 while it does not."""
        self._searched = 0
        """Up to there the held record is known to have no end."""
        self._sum: _PayloadSum | None = None
        self._dropped = 0
        """Bytes of the held record that were too many to keep; `_last` is the last of them."""
        self._last = b""

    @property
    def waiting(self) -> tuple[int, int]:
        """The bytes held back, a record whose end is not there: where they begin, and how many."""
        return self._base, self.offset - self._base

    @property
    def in_junk(self) -> bool:
        """Whether those are no record's."""
        return self._junk

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that `data` completes, in order."""
        self.offset += len(data)
        if self._dropped:
            rest = self._drop(data)
            if rest is None:
                return
            yield self._record(0, len(self._held), len(self._held) + self._dropped)
            self._base = self.offset - len(rest)
            self._held = bytearray()
            self._dropped, data = 0, rest
            self._forget()
        self._held += data
        yield from self._whole()
        yield from self._settled()
        if len(self._held) > MAX_RECORD:
            self._last = bytes(self._held[-1:])
            self._dropped = len(self._held) - MAX_RECORD
            del self._held[MAX_RECORD:]

    def _whole(self) -> Iterator[Record]:
        """The records whose end can be seen."""
        start = 0
        while (stop := self._end(start)) > start:
            junk = self._junk
            yield self._record(start, stop, stop - start)
            self._forget()
            # Junk that was passed on in parts goes on until a record begins.
            self._junk = junk and not _NEXT_HEAD.match(self._held, stop - 1)
            start = stop
        if start:
            self._take(start)
        self._searched = len(self._held)

    def _end(self, start: int) -> int:
        """Where the record at `start` ends; -1 while that is not to be seen."""
        held = self._held
        if start >= len(held):
            return -1
        if self._junk or held[start] != _V:
            self._junk = True
            return self._end_of_junk(start)
        line_end = self._line_end
        if line_end < 0:
            self._line_end = line_end = held.find(b"\n", start if start > self._searched else self._searched)
            if line_end < 0:
                return -1
            if held.find(_SUM_KEY, line_end - _SUM_SIZE if line_end - _SUM_SIZE > start else start, line_end) < 0:
                return line_end + 1
        end = _END.search(held, line_end if line_end >= self._searched else self._searched - 1)
        return end.start() + 1 if end else -1

    def _end_of_junk(self, start: int) -> int:
        """Where a record begins again; where none does, all but what could be the start of one is given up."""
        begins = _NEXT_HEAD.search(self._held, max(start, self._searched - _NEXT_HEAD_SIZE))
        return begins.start() + 1 if begins else len(self._held) - _NEXT_HEAD_SIZE

    def _settled(self) -> Iterator[Record]:
        """The held record, if its payload is all there by its md5: there may be no next one for a long time."""
        held = self._held
        if (
            self._line_end < 0
            or len(held) < self._line_end + 3
            or held[-1:] != b"\n"
            or held[self._line_end + 1] != _TAB
        ):
            return
        if self._sum is None:
            expected = _SUM.search(held, max(0, self._line_end - _SUM_SIZE), self._line_end)
            self._sum = _PayloadSum(expected[1] if expected else b"", self._line_end + 2)
        if self._sum.fits(held):
            yield self._record(0, len(held), len(held))
            self._take(len(held))
            self._forget()

    def _record(self, start: int, stop: int, size: int) -> Record:
        return Record(self._held, start, stop, self._base + start, size, self._junk)

    def _take(self, count: int) -> None:
        del self._held[:count]
        self._base += count
        self._line_end -= count if self._line_end >= 0 else 0

    def _forget(self) -> None:
        """What was known of the held record: it is over."""
        self._line_end, self._searched, self._sum, self._junk = -1, 0, None, False

    def _drop(self, data: bytes) -> bytes | None:
        """What follows the record that is too long; None while it goes on."""
        joined = self._last + data
        end = _END.search(joined)
        if end is None:
            self._dropped += len(data)
            self._last = joined[-1:]
            return None
        rest = joined[end.start() + 1 :]
        self._dropped += len(data) - len(rest)
        return rest


class _PayloadSum:
    """The md5 of a payload that grows: each of its bytes is looked at once."""

    def __init__(self, expected: bytes, at: int) -> None:
        self._expected = expected.decode("ascii")
        self._sum = hashlib.md5(usedforsecurity=False)
        self._at = at

    def fits(self, held: bytearray) -> bool:
        """Whether the payload, which ends where `held` does, is the one that was announced."""
        stop = len(held) - 1  # the last line's end is no part of it
        self._sum.update(held[self._at : stop].replace(b"\n\t", b"\n"))
        self._at = stop
        return self._sum.hexdigest() == self._expected
