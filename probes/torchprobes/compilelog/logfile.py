"""One file by its name and by a held descriptor: growth, truncation, rotation and disappearance are noticed.

Everything here may block for as long as the file system likes: only a thread of its own may call it.
"""

from __future__ import annotations

import os
import stat
import time
from enum import Enum

RECHECK_S = 0.5
"""How often the name is looked up again, to see that it still names the file that is held."""

_PROBE = 256
"""Bytes at the start of the file that must stay the same while it grows."""


class Change(str, Enum):
    """What became of a file since the last look."""

    NONE = "none"
    OPENED = "opened"
    TRUNCATED = "truncated"
    ROTATED = "replaced"


def open_regular(path: str, links: bool = True) -> int:
    """A descriptor to read the regular file `path`; never waits for the other end of a FIFO.

    Without `links` a path that ends in a symbolic link is refused.

    Raises:
        OSError: it cannot be opened, or is no regular file; `strerror` says which.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if links else os.O_NOFOLLOW)
    if not stat.S_ISREG(os.stat(path, follow_symlinks=links).st_mode):  # before open: opening a device can have effects
        raise OSError(0, "not a regular file")
    fd = os.open(path, flags)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(0, "not a regular file")


class LogFile:
    """The file `path`, followed: `look` says what changed, `pread` reads what is held."""

    def __init__(self, path: str, links: bool = True) -> None:
        self.path = path
        self.size = 0
        self.cause = ""
        """Why there is nothing to read, or why there will be nothing new: one line, "" if all is well."""
        self._links = links
        self._fd = -1
        self._start = b""
        self._looked_s = -RECHECK_S
        self._rests: tuple[int, int] | None = None
        self._replaced = False

    @property
    def fd(self) -> int:
        """The held descriptor, -1 if there is none."""
        return self._fd

    @property
    def rested(self) -> bool:
        """Whether the descriptor was let go by `rest`."""
        return self._rests is not None

    def look(self, done: int) -> Change:
        """Look again; `done` is how many bytes were taken so far. After any change but NONE, start from 0."""
        now = time.monotonic()
        again = now - self._looked_s >= RECHECK_S
        if again:
            self._looked_s = now
        if self._fd < 0:
            return self._open(done) if again or self._rests else Change.NONE
        self.size = os.fstat(self._fd).st_size
        changed = self._grown_or_truncated(done)
        return self._same_file() if again and done >= self.size and changed is Change.NONE else changed

    def _grown_or_truncated(self, done: int) -> Change:
        if self.size >= done and self._same_start():
            return Change.NONE
        self._start = os.pread(self._fd, _PROBE, 0)
        return Change.TRUNCATED

    def _open(self, done: int) -> Change:
        try:
            self._fd = open_regular(self.path, self._links)
        except FileNotFoundError:
            self.cause = "not there yet"
            return Change.NONE
        except OSError as error:
            self.cause = why(error)
            return Change.NONE
        self.cause = ""
        opened = os.fstat(self._fd)
        self.size = opened.st_size
        before, self._rests = self._rests, None
        if before is not None:
            if before != (opened.st_dev, opened.st_ino):
                self._start = os.pread(self._fd, _PROBE, 0)
                return Change.ROTATED
            return self._grown_or_truncated(done)
        self._start = os.pread(self._fd, _PROBE, 0)
        return Change.OPENED

    def _same_start(self) -> bool:
        """False if the first bytes changed: rewritten in place, and perhaps grown past its old size already."""
        if len(self._start) == _PROBE or self.size > len(self._start):
            now = os.pread(self._fd, _PROBE, 0)
            if not now.startswith(self._start):
                return False
            self._start = now
        return True

    def _same_file(self) -> Change:
        try:
            named, held = os.stat(self.path), os.fstat(self._fd)
        except FileNotFoundError:
            self.cause = "deleted; what was read stays"
            return Change.NONE
        except OSError as error:
            self.cause = why(error)
            return Change.NONE
        if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino):
            self.cause, self._replaced = "", False
            return Change.NONE
        self._replaced = not self._replaced
        if self._replaced:  # its writer may hold it a little longer: the next look lets it go
            return Change.NONE
        self.close()
        return Change.ROTATED if self._open(0) is Change.OPENED else Change.NONE

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at `offset`; fewer only at the end of the file."""
        return os.pread(self._fd, count, offset) if self._fd >= 0 else b""

    def rest(self) -> None:
        """Let go of the descriptor for now: the next look opens the file again, and goes on if it is still the same."""
        if self._fd >= 0:
            held = os.fstat(self._fd)
            self._rests = (held.st_dev, held.st_ino)
            self.close()

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def why(error: OSError) -> str:
    """One line for the person: what was wrong, and what to do where that is known."""
    if isinstance(error, PermissionError):
        return "permission denied: torch writes traces for their owner only; run torchdoctor as the job's user"
    return (error.strerror or str(error)).lower()
