"""One process as /proc has it: bounded reads that raise OSError when it is gone, hidden or somebody else's.

`stat`, `status` and `cgroup` answer also for a process that is stuck in the kernel; its command line and environment
lie in its own memory, and reading those can block for ever (see `slow_reads`).
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final, NamedTuple

from ...masking import mask_text

MAX_COMMAND: Final = 400
STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "uninterruptible",
    "Z": "zombie",
    "T": "stopped",
    "t": "traced",
    "I": "idle",
    "X": "dead",
}
"""States of proc(5) in words."""

_COMMAND_BYTES: Final = 4096
_ENVIRONMENT_BYTES: Final = 256 << 10
_SMALL: Final = 1 << 14
_MOST_FILES: Final = 2048
_DEVICES: Final = ("/dev/nvidia", "/dev/kfd", "/dev/dri/", "/dev/accel")


class Stat(NamedTuple):
    """What /proc/PID/stat says: the program's name, state, parent, CPU ticks used, start in ticks, resident pages."""

    name: str
    state: str
    parent: int
    cpu_ticks: int
    started: int
    resident_pages: int


def stat(proc: Path, pid: int) -> Stat:
    """The process as the scheduler has it."""
    data = _read(f"{proc}/{pid}/stat", _SMALL)
    head, _, tail = data.rpartition(b")")
    fields = tail.split()
    name = printable(head.partition(b"(")[2])
    try:
        state = STATES.get(fields[0].decode(errors="replace"), fields[0].decode(errors="replace"))
        cpu_ticks = int(fields[11]) + int(fields[12])
        return Stat(name, state, int(fields[1]), cpu_ticks, int(fields[19]), int(fields[21]))
    except (IndexError, ValueError):
        raise OSError(0, f"/proc/{pid}/stat is not understood") from None


def real_uid(proc: Path, pid: int) -> int:
    """Who started it. The owner of its folder will not do: it is root for one that may not be dumped."""
    for line in _read(f"{proc}/{pid}/status", _SMALL).splitlines():
        name, _, rest = line.partition(b":")
        if name == b"Uid" and rest.split()[:1] and rest.split()[0].isdigit():
            return int(rest.split()[0])
    raise OSError(0, f"/proc/{pid}/status names no user")


def cgroup(proc: Path, pid: int) -> tuple[str, ...]:
    """The paths of its control groups, that of version 2 first, then that of the memory controller (cgroups(7))."""
    paths: list[tuple[int, str]] = []
    for line in _read(f"{proc}/{pid}/cgroup", _SMALL).splitlines():
        number, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        order = 0 if number == b"0" and not controllers else 1 if controllers == b"memory" else 2
        paths.append((order, printable(path)))
    return tuple(dict.fromkeys(path for _, path in sorted(paths)))


def command(proc: Path, pid: int) -> str:
    """Its command line without secrets, at most MAX_COMMAND characters, "" for a kernel's thread. May block."""
    words = _read(f"{proc}/{pid}/cmdline", _COMMAND_BYTES).rstrip(b"\0").split(b"\0")
    texts = (printable(word) for word in words)
    line = " ".join(shlex.quote(text) if " " in text else text for text in texts)
    return mask_text(line)[:MAX_COMMAND]


def environment(proc: Path, pid: int) -> dict[str, str]:
    """What it was started with; for looking up known names only, never to be shown. May block."""
    entries = _read(f"{proc}/{pid}/environ", _ENVIRONMENT_BYTES).split(b"\0")
    pairs = (entry.decode(errors="replace").partition("=") for entry in entries)
    return {name: value for name, _, value in pairs if name}


def holds_device(proc: Path, pid: int) -> bool:
    """Whether it has an accelerator's device file open."""
    folder = f"{proc}/{pid}/fd"
    for name in os.listdir(folder)[:_MOST_FILES]:
        try:
            if os.readlink(f"{folder}/{name}").startswith(_DEVICES):
                return True
        except FileNotFoundError:
            continue
    return False


def printable(data: bytes) -> str:
    """Bytes as text in which nothing can steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in data.decode(errors="replace"))


def _read(path: str, most: int) -> bytes:
    """At most so many bytes; /proc gives a page at a time."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces, size = [], 0
        while size < most and (data := os.read(handle, most - size)):
            pieces.append(data)
            size += len(data)
        return b"".join(pieces)
    finally:
        os.close(handle)
