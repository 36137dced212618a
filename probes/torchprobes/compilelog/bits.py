"""Which lines of a log were chosen: one bit a line, with rank and select; 1 MB for 6 million lines.

`rank` counts the chosen lines before one, `select` finds the n-th; both look at one block of 64 bytes and at the
counts of the blocks before it. One thread puts, any may ask.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from threading import Lock

_BYTES = 64
_LINES = 8 * _BYTES
_STEP = 1 << 15
"""Bytes that are compared at once."""

_FLAGS = bytes(value == ord("1") for value in range(256))
_ONES = bytes(value.bit_count() for value in range(256))


def _cut(value: int, count: int) -> int:
    """The lowest `count` bits."""
    return value & ((1 << count) - 1)


class Bits:
    """Grows at its end; the last bytes may be put again, as an unfinished line is judged again."""

    def __init__(self) -> None:
        self.lines = 0
        """Lines that were judged."""
        self.ones = 0
        """Those that were chosen."""
        self._bits = bytearray()
        self._before = array("Q")
        self._lock = Lock()

    def put(self, at: int, data: bytes, lines: int) -> None:
        """`data` are the bits from byte `at` on, lowest first; `lines` is how many lines there are now."""
        with self._lock:
            self._bits[at:] = data
            block = at // _BYTES
            ones = self._before[block] if block < len(self._before) else self.ones
            del self._before[block:]
            for start in range(block * _BYTES, len(self._bits), _BYTES):
                self._before.append(ones)
                ones += self._word(start // _BYTES).bit_count()
            self.lines, self.ones = lines, ones

    def _word(self, block: int) -> int:
        return int.from_bytes(self._bits[block * _BYTES : (block + 1) * _BYTES], "little")

    @property
    def memory_bytes(self) -> int:
        """What it occupies."""
        return len(self._bits) + len(self._before) * self._before.itemsize

    def __contains__(self, line: int) -> bool:
        with self._lock:
            return 0 <= line < self.lines and bool(self._bits[line >> 3] >> (line & 7) & 1)

    def flags(self, start: int, stop: int) -> bytes:
        """One byte a line of [start, stop), as far as they were judged: 1 for those that were chosen."""
        with self._lock:
            stop = min(stop, self.lines)
            if start >= stop:
                return b""
            value = int.from_bytes(self._bits[start >> 3 : (stop + 7) >> 3], "little") >> (start & 7)
        digits = f"{_cut(value, stop - start):0{stop - start}b}"
        return digits[::-1].encode().translate(_FLAGS)

    def rank(self, line: int) -> int:
        """How many lines before `line` were chosen."""
        with self._lock:
            if line <= 0:
                return 0
            if line >= self.lines:
                return self.ones
            block, rest = divmod(line, _LINES)
            return self._before[block] + _cut(self._word(block), rest).bit_count()

    def select(self, row: int) -> int | None:
        """The chosen line that has `row` chosen lines before it, None if there are not so many."""
        with self._lock:
            if not 0 <= row < self.ones:
                return None
            block = bisect_right(self._before, row) - 1
            missing, at = row - self._before[block], block * _BYTES
            while (ones := _ONES[self._bits[at]]) <= missing:
                missing -= ones
                at += 1
            value = self._bits[at]
            for _ in range(missing):
                value &= value - 1
            return 8 * at + (value & -value).bit_length() - 1

    def next(self, line: int, among: Bits | None = None) -> int | None:
        """The first chosen line after `line`, one that is in `among` too; None if there is none."""
        if among is None:
            return self.select(self.rank(line + 1))
        first = max(0, line + 1)
        for block in range(first // _LINES, min(len(self._before), len(among._before))):
            both = self._word(block) & among._word(block)
            if block == first // _LINES:
                both &= -1 << (first % _LINES)
            if both:
                return block * _LINES + (both & -both).bit_length() - 1
        return None

    def previous(self, line: int, among: Bits | None = None) -> int | None:
        """The last chosen line before `line`, one that is in `among` too; None if there is none."""
        if among is None:
            return self.select(self.rank(line) - 1)
        last = min(line, self.lines, among.lines)
        for block in range((last - 1) // _LINES, -1, -1) if last > 0 else ():
            both = self._word(block) & among._word(block)
            both = _cut(both, last - block * _LINES)
            if both:
                return block * _LINES + both.bit_length() - 1
        return None

    def rank_both(self, line: int, among: Bits) -> int:
        """How many lines before `line` were chosen in both."""
        stop, ones = max(0, min(line, self.lines, among.lines)), 0
        for at in range(0, (stop + 7) // 8, _STEP):
            ours, theirs = self._bits[at : at + _STEP], among._bits[at : at + _STEP]
            both = int.from_bytes(ours, "little") & int.from_bytes(theirs, "little")
            ones += _cut(both, stop - 8 * at).bit_count()
        return ones
