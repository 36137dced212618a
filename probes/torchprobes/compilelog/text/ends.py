"""How processes ended, in the words of launchers and shells."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..events import Exited, Source
from .failures import ended, signal_name

_RANK = re.compile(r"  rank      : (\d+) \(local_rank: \d+\)\s*$")
_CODE = re.compile(r"  exitcode  : (-?\d+) \(pid: (\d+)\)\s*$")
_SHELL = re.compile(r"\S+: line \d+: +(\d+) (Killed|Segmentation fault|Aborted|Bus error|Terminated)\b.*")
_FATAL = re.compile(r"Fatal Python error: (Segmentation fault|Aborted|Bus error|Illegal instruction|Floating point)")
_BARE = re.compile(r"(Killed|Segmentation fault|Aborted|Bus error|Terminated)(?: \(core dumped\))?\s*$")
_TERMINATE = re.compile(r"terminate called (?:after throwing an instance of|without an active exception|recursively)")

_SIGNALS = {
    "Killed": "SIGKILL",
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Terminated": "SIGTERM",
    "Illegal instruction": "SIGILL",
    "Floating point": "SIGFPE",
}


@dataclass(slots=True)
class Ends:
    """What of a log tells an end."""

    _rank: int | None = None
    _last: tuple[Source, str] | None = None

    def read(self, line: str, source: Source) -> Exited | None:
        """The end that `line` tells for certain."""
        if rank := _RANK.match(line):
            self._rank = int(rank[1])
            return None
        if code := _CODE.match(line):
            who = Source(source.place, int(code[2]), self._rank)
            self._rank = None
            return ended(who, int(code[1]))
        if shell := _SHELL.match(line):
            return Exited(Source(source.place, int(shell[1])), None, _SIGNALS[shell[2]])
        if fatal := _FATAL.match(line):
            return Exited(source, None, _SIGNALS[fatal[1]])
        if _TERMINATE.match(line):
            return Exited(source, None, signal_name(6))
        bare = _BARE.match(line)  # only as the last word: a program may say so too
        if bare or line.strip():
            self._last = (source, _SIGNALS[bare[1]]) if bare else None
        return None

    def last(self, quiet_at: int) -> Exited | None:
        """The end that the last line tells, as nothing follows; at byte `quiet_at` something was said."""
        last, self._last = self._last, None
        return Exited(last[0], None, last[1]) if last and last[0].place.offset > quiet_at else None
