"""What the children that read a log have in common: the part of the file, and the lines before a piece of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from torchprobes.compilelog.stripes import PIECE, PRead, Work, alarm, cores, in_order

BLOCK = 1 << 16
"""As `lines.BLOCK`: what the console counts newlines of."""

BACK = 1 << 14
"""Bytes before a piece that are looked at again, for a traceback that began there."""

MANY = 8 << 20
"""From so many bytes on several workers share them."""


def part_of(fd: int, start: int, stop: int | None) -> tuple[PRead, Callable[[], int]]:
    """Reading and size of [start, stop) of a file."""

    def pread(count: int, offset: int) -> bytes:
        if stop is not None:
            count = max(0, min(count, stop - start - offset))
        return os.pread(fd, count, start + offset)

    def size() -> int:
        there = os.fstat(fd).st_size
        return max(0, (there if stop is None else min(there, stop)) - start)

    return pread, size


def before_of(pread: PRead, begin: int, back: int) -> bytes:
    """The whole lines before `begin`, where a line begins; at most `back` bytes."""
    before = pread(min(begin, back), begin - min(begin, back))
    return before if len(before) == begin else before[before.find(b"\n") + 1 :]


def last_newline(pread: PRead, size: int) -> int:
    """The offset of the last newline; -1 if there is none."""
    stop = size
    while stop > 0:
        start = max(0, stop - PIECE)
        newline = pread(stop - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline
        stop = start
    return -1


def without_tabs(text: bytes) -> bytes:
    """Each line without its first tab."""
    return (b"\n" + text).replace(b"\n\t", b"\n")[1:]


def whole(pread: PRead, size: int, work: Work, rest: Work) -> Iterator[bytes]:
    """The answers for all of a file as it is now, in order: `work` for its lines, `rest` for a last one without end.

    Raises:
        TooSlow: a piece took too long.
        OSError, EOFError: the file cannot be read, or shrank.
    """
    stop = last_newline(pread, size)
    if stop >= MANY and cores() > 1:
        yield from (answer for _, answer in in_order(work, stop, cores()))
    elif stop >= 0:
        for start in range(0, max(1, stop), PIECE):
            with alarm():
                answer = work(start, min(stop, start + PIECE))
            yield answer
    if stop + 1 < size:
        with alarm():
            answer = rest(stop + 1, size)
        yield answer
