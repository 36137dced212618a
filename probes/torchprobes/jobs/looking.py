"""Somebody looks at a job: whoever shows it says so by touching a file, and its watcher looks closer meanwhile.

The file is `watched` in each node's folder of the run directory; that works over a shared file system too. What it
turns on costs the ranks little, and the watcher goes back to its usual pace by itself when nobody touches it any more.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final

WATCHED: Final = "watched"
EVERY_S: Final = 10.0
SCAN_S: Final = 1.0
COUNTS_S: Final = 30.0
"""So long one touch counts: two may be lost to a slow file system."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Looking:
    """Says of one run that somebody looks at it; `keep_up` may be called as often as it is read."""

    def __init__(self, run: str) -> None:
        self._nodes = os.path.join(run, "nodes")
        self._next = 0.0
        self._due: dict[str, float] = {}

    def keep_up(self) -> None:
        """Touch the file of each node whose time has come, of a new one soon; one that cannot be is passed over."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SCAN_S
        try:
            folders = [entry.path for entry in os.scandir(self._nodes) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for folder in folders:
            if self._due.get(folder, 0.0) <= now:
                self._due[folder] = now + EVERY_S
                with contextlib.suppress(OSError):
                    _touch(os.path.join(folder, WATCHED))


def looked_at(node: str) -> bool:
    """Whether somebody looks at the job of a node's folder."""
    try:
        return abs(time.time() - os.stat(os.path.join(node, WATCHED)).st_mtime) < COUNTS_S
    except OSError:
        return False


def _touch(path: str) -> None:
    handle = os.open(path, _NEW, 0o600)
    try:
        os.utime(handle)
    finally:
        os.close(handle)
