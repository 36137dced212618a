"""The bytes of one growing file, each once and in order, whatever becomes of the file."""

from __future__ import annotations

import os
import pwd
import shlex
import time
from typing import Final

from .logfile import Change, LogFile, why
from .marks import Mark, Marks
from .sources import Role, Sourced

CHECK_S: Final = 0.5
"""How often it is made sure that the path still names what is held, and that it was not written anew."""


class Tail:
    """One file that the readers read. `glance` is cheap; only `check` finds what is not plain growth."""

    def __init__(self, path: str, source: Sourced, *, links: bool = False) -> None:
        self.path = path
        self.sourced = source
        self.offset = 0
        """Bytes handed out of the file as it is now."""
        self.cause = ""
        """Why it cannot be read, or what was deleted; "" while all is well."""
        self.grown_at = 0.0
        """Monotonic: when there last was something new; 0 for never."""
        self.checked_at = -CHECK_S
        self.gone = False
        self._file = LogFile(path, links)
        self._began = False
        self._texts = source.role in (Role.TEXT, Role.DEBUG)
        self._marks = Marks(kept=0)

    @property
    def size(self) -> int:
        """Bytes that the file had when it was last looked at."""
        return self._file.size

    @property
    def waits(self) -> bool:
        """Whether there is something to read."""
        return self._file.fd >= 0 and self._file.size > self.offset

    @property
    def held(self) -> bool:
        """Whether it costs a descriptor."""
        return self._file.fd >= 0

    @property
    def rested(self) -> bool:
        """Whether its descriptor was let go, to be taken up again when the file grows."""
        return self._file.rested

    @property
    def counts(self) -> tuple[tuple[Mark, int], ...]:
        """Marks in what a text has said so far, without those that are 0."""
        return tuple((mark, count) for mark, count in self._marks.counts.items() if count)

    def glance(self) -> bool:
        """Whether a held file is not as long as what was read of it: one system call."""
        fd = self._file.fd
        return fd >= 0 and os.lseek(fd, 0, os.SEEK_END) != self.offset  # a third of what fstat costs

    def check(self, now: float) -> Change:
        """Look carefully; TRUNCATED and ROTATED mean that what comes next is the beginning of another content."""
        self.checked_at = now
        try:
            change = self._file.look(self.offset)
        except OSError as error:
            self._file.close()
            self.cause = why(error)
            return Change.NONE
        self.cause = self._said()
        if change is Change.OPENED and self._began:
            change = Change.ROTATED  # it was gone in between
        if change is not Change.NONE:
            self.offset, self._began = 0, True
            self._marks = Marks(kept=0)
        return change

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; b"" at the end."""
        try:
            data = self._file.pread(count, self.offset)
        except OSError as error:
            self._file.close()
            self.cause = why(error)
            return b""
        if not data:
            self._file.size = min(self._file.size, self.offset)  # it shrank since; the next check says so
            return b""
        self.offset += len(data)
        self.grown_at = time.monotonic()
        if self._texts:
            self._marks.feed(data)
        return data

    def again(self) -> None:
        """Begin anew: what was handed out is handed out again."""
        self.offset = 0
        self._marks = Marks(kept=0)

    def rest(self) -> None:
        """Let go of the descriptor for now; `check` takes it up again."""
        self._file.rest()

    def close(self) -> None:
        """Let go of the file: a deleted one must not keep its room on the disk because of us."""
        self._file.close()

    def _said(self) -> str:
        """Why the file is not open, or what was deleted; the command to run where only its owner may read it."""
        cause = self._file.cause
        return refused(self.path) or cause if cause.startswith("permission denied") else cause


def refused(path: str) -> str:
    """One line for a file that only its owner may read, with the command to run; "" where nobody knows the owner."""
    try:
        uid = os.lstat(path).st_uid
    except OSError:
        return ""
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = f"#{uid}"
    return f"permission denied: only {owner} may read it; run: sudo -u {owner} torchdoctor logs {shlex.quote(path)}"
