"""Whether a SIGKILL was the kernel's: its log and the cgroup may tell it a moment after the end that they explain."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from ...rank_evidence import Exit
from .gpus import Gpus
from .roster import Roster, Watched

SETTLE_S: Final = 0.7
"""The kernel's line of an OOM kill came up to 0.5 s after the end that it explains, on a busy node."""


class Settling:
    """Ends by SIGKILL that wait for the word of the kernel; none of them is sure until it had its time."""

    def __init__(self, roster: Roster, gpus: Gpus) -> None:
        self._roster, self._gpus = roster, gpus

    @property
    def waits(self) -> bool:
        """Whether there is such an end."""
        return any(watched.exit is not None and not watched.exit.settled for watched in self._roster.ranks)

    def begin(self, watched: Watched) -> None:
        """An end that was just seen; one that its own launcher asked for is explained."""
        end = watched.exit
        if end is not None and end.signal == "SIGKILL" and not (end.asked or end.oom):
            watched.exit = msgspec.structs.replace(end, settled=False, cgroup=bool(watched.counter))
            self._settle(watched)

    def look(self) -> bool:
        """Look at the counters again; whether an end has settled by that. The kernel's lines come by `said`."""
        waiting = [watched for watched in self._roster.ranks if watched.exit is not None and not watched.exit.settled]
        return sum(self._settle(watched) for watched in waiting) > 0  # each of them, not until the first

    def _settle(self, watched: Watched) -> bool:
        end, now = watched.exit, time.monotonic()
        assert end is not None
        oom = self._roster.oom.claim(watched.counter, now)
        if oom or now - end.m_ns / 1e9 >= SETTLE_S:
            watched.exit = msgspec.structs.replace(end, oom=oom, settled=True)
            return True
        return False

    def said(self, end: Exit, pid: int) -> Exit:
        """An end with what the kernel's log says of it."""
        if end.signal == "SIGKILL" and any(event.kind == "oom" and event.pid == pid for event in self._gpus.events):
            return msgspec.structs.replace(end, oom=True, settled=True)
        return end
