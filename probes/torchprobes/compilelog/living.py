"""Whether the process that wrote a file still lives, as far as this host can tell; None where it cannot.

A pid means something on its own host only. A file on a network file system may be another host's, so that a missing
pid says nothing there; a container's pid is another number outside. So a process counts as ended only if its file lies
on a local file system, no process of that pid began before the file's first record, and nobody holds the file open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

_LOCAL: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "overlay", "f2fs", "bcachefs", "jfs", "reiserfs"}
)
"""File systems of one kernel; any other may be shared with other hosts."""

_CLOCK_S: Final = 5.0
"""What a process's start and its file's first record may differ by: clocks are set."""


def on_network(path: str) -> bool:
    """Whether `path` may lie on a file system that other hosts write to."""
    return _file_system(os.path.realpath(path)) not in _LOCAL


def _file_system(path: str) -> str:
    """The type of the file system that holds `path`, by the longest mount point; "" where nothing tells."""
    best, kind = "", ""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, point, found, *_ = f"{line} ".split(" ")
                point = point.replace("\\040", " ")
                if len(point) >= len(best) and (path + "/").startswith(point.rstrip("/") + "/"):
                    best, kind = point, found
    except (OSError, ValueError):
        return ""
    return kind


def lives(pid: int, first_s: float | None, path: str) -> bool | None:
    """Whether process `pid`, which wrote `path` since `first_s` (epoch seconds), still lives; None: cannot be told."""
    began = _began_s(pid)
    if began is not None and first_s is not None and began <= first_s + _CLOCK_S:
        return True
    if on_network(path):
        return None
    return _held_open(path)


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
