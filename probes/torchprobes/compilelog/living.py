"""Whether the process that wrote a file still lives, as far as this host can tell; None where it cannot.

A pid means something on its own host only. A file on a network file system may be another host's, so that a missing
pid says nothing there; a container's pid is another number outside. So a process counts as ended only if its file lies
on a local file system, no process of that pid began before the file's first record, and nobody holds the file open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from .events import Exited, Place, Source

MOUNTS: Final = "/proc/self/mounts"

_LOCAL: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "overlay", "f2fs", "bcachefs", "jfs", "reiserfs"}
)
"""File systems of one kernel; any other may be shared with other hosts."""

LOOK_S: Final = 0.5
"""How often it is looked whether processes live, where that is cheap."""

SHARE: Final = 0.003
HELD_LOOK_S: Final = 5.0
"""How often all processes are looked through for one that holds a file whose pid is not there."""

_CLOCK_S: Final = 5.0
"""What a process's start and its file's first record may differ by: clocks are set."""


class Living:
    """Processes that have written, until they are known to have ended."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int | None], Source] = {}
        """By pid and rank, the first record with a time."""
        self._ended: set[tuple[int, int | None]] = set()
        self._look_at = 0.0
        self._again: dict[tuple[int, int | None], float] = {}

    def wrote(self, source: Source) -> None:
        """A process has written a record."""
        if source.pid is None or source.at_s is None:
            return
        known = self._first.setdefault((source.pid, source.rank), source)
        if source.trace and not known.trace:  # a trace is held open by its process alone
            self._first[source.pid, source.rank] = source

    def ended(self, now: float) -> list[Exited]:
        """Those that were found to have ended since the last look, each once; nobody tells how."""
        if now < self._look_at:
            return []
        begun = time.thread_time()
        waiting = self._first.keys() - self._ended
        gone = [key for key in sorted(waiting, key=str) if self._is_gone(key, now)]
        self._ended.update(gone)
        self._look_at = now + max(LOOK_S, (time.thread_time() - begun) / SHARE)
        return [Exited(_at(self._first[key])) for key in gone]

    def _is_gone(self, key: tuple[int, int | None], now: float) -> bool:
        source = self._first[key]
        if _began_before(key[0], source.at_s):
            return False
        if now < self._again.get(key, 0.0):
            return False
        self._again[key] = now + HELD_LOOK_S
        return not on_network(source.place.path) and _held_open(source.place.path) is False


def _at(source: Source) -> Source:
    """Who it was; the evidence is that nobody of that pid is there, so that it stands nowhere and has no time."""
    return replace(source, place=Place(source.place.path, 0), compile_id="", attempt=0, at_s=None)


def on_network(path: str) -> bool:
    """Whether `path` may lie on a file system that other hosts write to."""
    return _file_system(os.path.realpath(path)) not in _LOCAL


def _file_system(path: str) -> str:
    """The type of the file system that holds `path`, by the longest mount point; "" where nothing tells."""
    best, kind = "", ""
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, point, found, *_ = f"{line} ".split(" ")
                point = point.replace("\\040", " ")
                if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
                    best, kind = point, found
    except (OSError, ValueError):
        return ""
    return kind


def _began_before(pid: int, first_s: float | None) -> bool:
    """Whether there is a process `pid` that may have written at `first_s`: the kernel gives numbers again."""
    began = _began_s(pid)
    return began is not None and first_s is not None and began <= first_s + _CLOCK_S


def _began_s(pid: int) -> float | None:
    """When process `pid` began, in epoch seconds; None if there is none, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()
        ticks = int(words[19])
    except (OSError, IndexError, ValueError):
        return None
    if words[0] in (b"Z", b"X"):
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _held_open(path: str) -> bool | None:
    """Whether a process that we may look into has the file open to write; torch's own lets its user look into it."""
    try:
        named = os.stat(path)
    except OSError:
        return None
    return any(_writes(pid, fd, named) for pid in _pids(named.st_uid) for fd in _descriptors(pid))


def _pids(uid: int) -> Iterator[str]:
    """Processes of a user: a trace has mode 0600, so its writer is its owner."""
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == uid:
                yield name
        except OSError:  # it ended
            continue


def _descriptors(pid: str) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:  # it ended, or is one that hides itself (ssh's)
        return []


def _writes(pid: str, fd: str, named: os.stat_result) -> bool:
    """Whether that descriptor is the file, open to write."""
    try:
        found = os.stat(f"/proc/{pid}/fd/{fd}")
        if (found.st_dev, found.st_ino) != (named.st_dev, named.st_ino):
            return False
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as info:
            flags = next((line.split()[1] for line in info if line.startswith("flags:")), "0")
    except OSError:
        return False
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
