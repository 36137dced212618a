"""Whose log is whose: each rank's files, one that many share, the launcher's; what is heard goes to its writer."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Final

from ...distributed import JobIdentity, RankIdentity
from ...model import Event
from ...rank_evidence import Sign
from ..find import logs as places_of
from ..find import reading
from ..find.scan import Census
from . import marks
from .agent import Agent
from .following import Follower, Heard, LogKey, LogTail
from .roster import Roster

AGENT: Final[LogKey] = (0, 0, "agent")


class Logs:
    """Follows the logs of one job. `whole` reads each from its beginning: they are as young as the job."""

    def __init__(self, follower: Follower, job: JobIdentity, folder: Path, *, whole: bool) -> None:
        self._follower, self._folder, self._whole = follower, folder, whole
        writers = Counter(path for rank in job.ranks for path in {rank.stdout, rank.stderr} if path)
        self._shared = {path for path, count in writers.items() if count > 1}
        self._followed: set[str] = set()
        self._agents, self._of_all = "", False

    def follow_agent(self, path: str) -> None:
        """The launcher's own log."""
        if path not in self._followed:
            self._followed.add(path)
            self._agents = path
            self._follower.follow(AGENT, LogTail(path, None, None, whole=self._whole))

    def find_agents(self, pid: int, proc: str = "/proc") -> None:
        """Look for the log of a launcher that we did not start, in a thread: it may lie anywhere."""

        def find() -> None:
            seen = reading.stat(proc, pid)
            path = str(places_of.places(Census(proc, {pid: seen}), seen)["stderr"]) if seen is not None else ""
            if path and path not in self._shared:
                self.follow_agent(path)

        threading.Thread(target=find, name="launcher's log", daemon=True).start()

    def follow(self, rank: RankIdentity) -> None:
        """The files that a rank writes to."""
        for stream, path in (("out", rank.stdout), ("err", rank.stderr)):
            if path == self._agents and path:  # the launcher gave its ranks no log of their own
                self._of_all = True
            elif path in self._shared:
                if path not in self._followed:
                    self._followed.add(path)
                    self._follower.follow((0, 0, path), LogTail(path, None, None, whole=self._whole))
            elif path and not (stream == "err" and path == rank.stdout):
                place = marks.path_of(self._folder, rank.attempt, rank.rank, stream)
                tail = LogTail(path, rank.rank, place, whole=self._whole)
                self._follower.follow((rank.pid, rank.start_ticks, stream), tail)

    def hear(self, roster: Roster, agent: Agent) -> tuple[list[Sign], list[Event], bool]:
        """Hand out what was heard since the last call: the new signs, the events, and whether there was anything."""
        look = self._follower.take()
        fresh: list[Sign] = []
        for key, heard in look.logs.items():
            fresh += heard.signs
            if key == AGENT and not self._of_all:
                agent.take(heard.signs)
            elif key[0] == 0:
                _of_all(heard, roster, agent)
            elif (watched := roster.of(key[0], key[1])) is not None:
                watched.hear(key[2], heard)
        return fresh, look.events, bool(look.logs or look.events)


def _of_all(heard: Heard, roster: Roster, agent: Agent) -> None:
    """A log into which all ranks write, and the launcher too: a line tells its writer, or nobody knows."""
    agent.take(heard.signs)
    for watched in roster.ranks:
        own = [sign for sign in heard.signs if sign.rank == watched.identity.rank]
        watched.add_signs(own)
        watched.tracker.log_ns = max(watched.tracker.log_ns, heard.grown_ns)
