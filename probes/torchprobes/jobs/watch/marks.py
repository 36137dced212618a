"""When the bytes of a log came: marks of a watcher, for lines that print no stamp of their own.

A mark says: at `t_ns` the log was `offset` bytes long, and at the look before, `since_ms` earlier, it ended where the
mark before ends. So every byte has a time and a precision. A file of marks is bounded: when it is full its older half
is thinned, and what is thinned is known less exactly.
"""

from __future__ import annotations

import contextlib
import os
import struct
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_MARK: Final = struct.Struct("<QQI")
MOST: Final = 1 << 16
"""Marks a file: an hour and 49 minutes of a log that grows ten times a second, in full precision."""

_MOST_MS: Final = 0xFFFFFFFF


class Mark(NamedTuple):
    """Bytes up to `offset` had come at `t_ns`, and not yet `since_ms` earlier."""

    t_ns: int
    offset: int
    since_ms: int


def path_of(folder: Path, attempt: int, rank: int, stream: str) -> Path:
    """The file of marks of a log: `stream` is out or err."""
    return folder / f"a{attempt}.r{rank}.{stream}.marks"


class MarkWriter:
    """Appends marks to a file that holds at most `most`; a disk that takes none costs precision, nothing else."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._path, self._most = path, max(2, most)
        self._fd = -1
        self._count = 0

    def add(self, mark: Mark) -> None:
        """Append one."""
        if self._fd < 0 and not self._open():
            return
        with contextlib.suppress(OSError):
            os.write(self._fd, _pack(mark))
            self._count += 1
            if self._count >= self._most:
                self._thin()

    def restart(self) -> None:
        """The log was truncated: marks of before mean nothing."""
        if self._fd >= 0 or self._open():
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
                self._count = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._path.parent.mkdir(exist_ok=True, mode=0o700)
            self._fd = os.open(self._path, flags, 0o600)
            self._count = os.fstat(self._fd).st_size // _MARK.size
        except OSError:
            return False
        return True

    def _thin(self) -> None:
        """Join each two of the older half; a new file replaces the old one, so that a reader sees one of them whole."""
        marks = list(_unpack(os.pread(self._fd, self._count * _MARK.size, 0)))
        half = len(marks) // 2 & ~1
        thinned = [_joined(a, b) for a, b in zip(marks[:half:2], marks[1:half:2], strict=True)] + marks[half:]
        other = self._path.with_suffix(".new")
        other.write_bytes(b"".join(map(_pack, thinned)))
        os.replace(other, self._path)
        self.close()
        self._open()


def _joined(first: Mark, second: Mark) -> Mark:
    between = (second.t_ns - first.t_ns) // 1_000_000
    return Mark(second.t_ns, second.offset, min(_MOST_MS, max(0, between) + first.since_ms))


def _pack(mark: Mark) -> bytes:
    return _MARK.pack(max(0, mark.t_ns), mark.offset, min(_MOST_MS, max(0, mark.since_ms)))


def _unpack(data: bytes) -> Iterable[Mark]:
    whole = data[: len(data) // _MARK.size * _MARK.size]
    return (Mark(*fields) for fields in _MARK.iter_unpack(whole))


class MarkReader:
    """The marks of one log, read again as they grow; bounded by what a writer keeps."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._path, self._most = path, most
        self._known: tuple[int, int] = (0, -1)
        self._marks: list[Mark] = []
        self._offsets: list[int] = []

    def refresh(self) -> None:
        """Read what is new."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        try:
            stat = os.fstat(handle)
            known = (stat.st_ino, stat.st_size)
            if known != self._known:
                self._take(handle, known)
        except OSError:
            return
        finally:
            os.close(handle)

    def _take(self, handle: int, known: tuple[int, int]) -> None:
        inode, size = self._known
        grown = known[0] == inode and known[1] >= size >= 0
        start = len(self._marks) * _MARK.size if grown else 0
        fresh = list(_unpack(os.pread(handle, self._most * _MARK.size, start)))
        self._marks = self._marks + fresh if grown else fresh
        self._offsets = [mark.offset for mark in self._marks]
        self._known = known

    def at(self, offset: int) -> tuple[int, float] | None:
        """When the byte at `offset` came, and how exactly that is known in seconds; None if no mark says.

        The time is the end of the span in which it came. A byte before the first mark came before anybody looked.
        """
        index = bisect_right(self._offsets, offset)
        if index >= len(self._marks):
            return None
        mark = self._marks[index]
        return (mark.t_ns, mark.since_ms / 1000) if index or mark.since_ms else None
