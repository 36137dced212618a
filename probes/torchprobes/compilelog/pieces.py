"""What the children that read a log have in common: the part of the file, and the lines before a piece of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from torchprobes.compilelog.stripes import PIECE, PRead

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
    """Where the last line without a newline begins; 0 if none of the last bytes is a newline."""
    data = pread(min(size, PIECE), size - min(size, PIECE))
    return size - len(data) + data.rfind(b"\n") + 1 if b"\n" in data else 0


def without_tabs(text: bytes) -> bytes:
    """Each line without its first tab."""
    return (b"\n" + text).replace(b"\n\t", b"\n")[1:]
