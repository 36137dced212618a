"""Whether the kernel ended a process for want of memory, from the counters of its control group.

Version 2 counts in `memory.events`, version 1 in `memory.oom_control` (cgroup-v2.rst; memory.rst), both as `oom_kill`
of the group and what lies below it. The group is looked up while the process lives.
"""

from __future__ import annotations

import os
from typing import Final

_GROUPS: Final = "/sys/fs/cgroup"
_SMALL: Final = 8192


def counter_of(pid: int, proc: str = "/proc", groups: str = _GROUPS) -> str:
    """The file that counts the OOM kills of a process's group, "" if none can be read."""
    text = _text(f"{proc}/{pid}/cgroup")
    paths = {names: path for _, names, path in (row.split(":", 2) for row in text.splitlines() if row.count(":") > 1)}
    places = [f"{groups}{paths['']}/memory.events"] if "" in paths else []
    own = next((path for names, path in paths.items() if "memory" in names.split(",")), None)
    places += [] if own is None else [f"{groups}/memory{own}/memory.oom_control"]
    # In a namespace of its own the group is the root of what it sees.
    places += [f"{groups}/memory.events", f"{groups}/memory/memory.oom_control"]
    return next((place for place in places if kills(place) is not None), "")


def kills(counter: str) -> int | None:
    """How often the kernel killed for want of memory there; None if it does not say."""
    if not counter:
        return None
    rows = [row.partition(" ") for row in _text(counter).splitlines()]
    value = next((count for name, _, count in rows if name == "oom_kill"), "")
    return int(value) if value.isascii() and value.isdigit() else None


def _text(path: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(handle, _SMALL).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)


class OomLedger:
    """Which SIGKILLs were the kernel's: each kill that a group counts is laid to one end, the nearest in time."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._rises: dict[str, list[float]] = {}

    def watch(self, counter: str, now: float) -> None:
        """Look at a counter at the monotonic time `now`, in seconds; the first look is where it begins."""
        value = kills(counter)
        if value is None:
            return
        before = self._seen.get(counter)
        self._seen[counter] = value
        if before is not None and value > before:
            self._rises.setdefault(counter, []).extend([now] * min(value - before, _MOST_AT_ONCE))

    def claim(self, counter: str, now: float) -> bool:
        """Whether a process of this group that was just killed by SIGKILL was killed for want of memory."""
        self.watch(counter, now)
        rises = [rise for rise in self._rises.get(counter, ()) if now - rise < _NEAR_S]
        self._rises[counter] = rises[1:]
        return bool(rises)


_NEAR_S: Final = 2.0
"""A kill and the end that it brings are not further apart; an older one was of a process that is no rank."""

_MOST_AT_ONCE: Final = 4096
