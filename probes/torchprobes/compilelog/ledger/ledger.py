"""The ledger: events of all files in, one explanation out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Final

from ..events import Event, Exited, Loss, Lost, Source
from ..explanation import Explanation
from .group import Group
from .process import LOG, TEXT, TRACE, Process
from .snapshot import Sources, snapshot

MOST_PROCESSES: Final = 4096
"""Processes that are told apart; what others say is told together."""

OTHER_PIDS: Final = -1

_DEBUG_LOG: Final = "_debug.log"


@dataclass(slots=True)
class _File:
    """What is known of one file."""

    pids: set[int]
    processes: dict[int | None, Process] = field(default_factory=dict)
    """Of what it says without a pid, by rank."""
    read: bool = False
    last_line: str = ""


class Ledger:
    """Joins what the files of one run say. `take` is cheap; `explanation` makes a snapshot only if something changed.

    Events of a process are told apart by pid and rank. What a file says without a pid belongs to the one process that
    the file names elsewhere, or to the only process there is; else it stays with the file.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._pids: dict[int, list[Process]] = {}
        self._files: dict[str, _File] = {}
        self._lost: dict[str, int] = {}
        self._exited: list[Exited] = []
        self._revision = 0
        self._stale = True
        self._made: dict[int | None, Explanation] = {}
        self._ended = False

    def take(self, event: Event) -> None:
        """One more event; events of one file come in its order."""
        self._stale = True
        source = event.source
        if isinstance(event, Lost):
            name = "junk" if event.loss is Loss.TORN and source.trace else event.loss.value
            self._lost[name] = self._lost.get(name, 0) + 1
            return
        if isinstance(event, Exited) and source.pid is None:
            self._exited.append(event)
            return
        self._process(source).take(event, _tier(source))

    def ended(self, path: str, last_line: str = "") -> None:
        """A file was read to its end, as it is now; `last_line` is the last that the program itself said there."""
        file = self._files.setdefault(path, _File(set()))
        if not file.read or file.last_line != last_line:
            file.read, file.last_line = True, last_line
            self._stale = True

    def over(self) -> None:
        """Nothing more will come: the run is over, or a command wants an answer."""
        self._stale = self._stale or not self._ended
        self._ended = True

    def explanation(self, now_s: float | None = None, limit: int | None = None) -> Explanation:
        """What all of it adds up to. `now_s`: the time of a view that goes on, None for an answer about what is there.

        Args:
            now_s: seconds since the epoch.
            limit: the most rows of one list; what is more is counted in `left_out`.
        """
        if self._stale:
            self._revision += 1
            self._made.clear()
            self._stale = False
        made = self._made.get(limit)
        if made is None:
            sources = Sources(self.root, self._lost, self._heard(), self._last_line(), tuple(self._exited))
            made = snapshot(self._groups(), sources, self._ended or now_s is None, limit)
            made = self._made[limit] = replace(made, revision=self._revision)
        return made

    def _process(self, source: Source) -> Process:
        file = self._files.setdefault(source.place.path, _File(set()))
        if source.pid is not None:
            file.pids.add(source.pid)
            return self._of_pid(source.pid, source.rank)
        return self._of_rank(file.processes, source)

    @staticmethod
    def _of_rank(known: dict[int | None, Process], source: Source) -> Process:
        """Ranks are told only once the process group is there: what came before is the first rank's, if it is one's."""
        if source.rank in known:
            return known[source.rank]
        if source.rank is not None and list(known) == [None]:
            known[source.rank] = known.pop(None)
            known[source.rank].rank = source.rank
        elif source.rank is None and len(known) == 1:
            return next(iter(known.values()))
        return known.setdefault(source.rank, Process(None, source.rank, source.place.path))

    def _of_pid(self, pid: int, rank: int | None) -> Process:
        """Ranks are told only once the process group is there; two ranks with one pid are of two machines."""
        if pid not in self._pids and len(self._pids) >= MOST_PROCESSES:
            pid = OTHER_PIDS
        known = self._pids.setdefault(pid, [])
        for process in known:
            if process.rank == rank or rank is None or process.rank is None:
                process.rank = rank if process.rank is None else process.rank
                return process
        known.append(Process(pid, rank, ""))
        return known[-1]

    def _groups(self) -> list[Group]:
        """Processes, each with the files without a pid that are its own."""
        processes = [process for same in self._pids.values() for process in same]
        groups = [Group(process) for process in sorted(processes, key=_rank_and_pid)]
        files = sorted(self._files.items(), key=lambda item: item[0])
        guests = [(file, process) for _, file in files for process in file.processes.values()]
        groups += [Group(guest) for _, guest in guests if guest.traced]
        told = [group for group in groups if group.is_told]
        for file, guest in guests:
            if guest.traced:
                continue
            owner = self._owner(file, guest, told)
            if owner is not None:
                owner.guests.append(guest)
            else:
                groups.append(Group(guest))
        return _without_copies(groups)

    @staticmethod
    def _owner(file: _File, guest: Process, told: list[Group]) -> Group | None:
        named = [group for group in told if group.process.pid in file.pids]
        ranked = [group for group in told if guest.rank is not None and group.process.rank == guest.rank]
        for candidates in (named, ranked, told):
            if candidates:
                return candidates[0] if len(candidates) == 1 else None
        return None

    def _heard(self) -> bool:
        """Whether the text of the run's stderr was read to its end."""
        return any(f.read and "stderr" in os.path.basename(path) for path, f in self._files.items())

    def _last_line(self) -> str:
        return next((f.last_line for path, f in sorted(self._files.items(), reverse=True) if f.last_line), "")


def _without_copies(groups: list[Group]) -> list[Group]:
    """All but debug logs that repeat what stderr says of its ranks: nothing tells which process is which rank."""
    logs = {id(group) for group in groups if all(member.tiers <= {LOG} for member in group.members)}
    heard = sum(group.process.pid is None and group.is_told and TEXT in group.process.tiers for group in groups)
    return [group for group in groups if id(group) not in logs] if heard >= len(logs) else groups


def _rank_and_pid(process: Process) -> tuple[float, int]:
    """Ranks in their order, whichever file was read first; then who is none."""
    return process.rank if process.rank is not None else float("inf"), process.pid or 0


def _tier(source: Source) -> int:
    if source.trace:
        return TRACE
    name = os.path.basename(source.place.path)
    return LOG if name == "debug.log" or name.endswith(_DEBUG_LOG) else TEXT
