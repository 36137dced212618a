"""One look at all processes, within a deadline, whatever state they are in. Standard library only.

What does not block is read first and for all. Command lines and environments follow on a thread that is left behind
when one process holds it up: that process is then `stuck`, and another thread goes on with the rest. A scanner that
looks again reads only what is new: a pid whose start, name and age say that it is the program that it was.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from . import reading
from .reading import Seen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    Key = tuple[int, int, str]

PATIENCE_S: Final = 0.15
"""How long one process may hold up the others."""

YOUNG_S: Final = 10.0
"""A process younger than this may still become another program (a shell, the shim of a rank): it is read again."""

_TICKS = os.sysconf("SC_CLK_TCK")


class Census:
    """The processes of one look, by pid, and who descends from whom. `stuck` and `unread` count what is missing."""

    def __init__(self, proc: str, processes: dict[int, Seen]) -> None:
        self.proc = proc
        self.processes = processes
        self.stuck: list[int] = []
        self.unread = 0
        self._children: dict[int, list[Seen]] = {}
        for seen in processes.values():
            self._children.setdefault(seen.parent, []).append(seen)

    def children(self, seen: Seen) -> list[Seen]:
        """Its children in the order of their birth, ended ones too."""
        found = self._children.get(seen.pid, [])
        if len({one.start for one in found}) == len(found):
            return sorted(found, key=lambda one: one.start)
        order = {pid: place for place, pid in enumerate(reading.children(self.proc, seen))}
        return sorted(found, key=lambda one: (one.start, order.get(one.pid, one.pid), one.pid))

    def parent(self, seen: Seen) -> Seen | None:
        """Its parent, None if that is not seen."""
        return self.processes.get(seen.parent) if seen.parent > 0 else None

    def ancestors(self, seen: Seen) -> list[Seen]:
        """Its parents, the nearest first."""
        found: list[Seen] = []
        one = self.parent(seen)
        while one is not None and len(found) < 64:
            found.append(one)
            one = self.parent(one)
        return found


class Scanner:
    """Looks at /proc again and again; one thread calls it."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc
        self._known: dict[Key, Seen] = {}
        self._stuck: dict[Key, threading.Thread] = {}

    def look(self, until: float) -> Census:
        """All processes now; `until` is when to stop, of `time.monotonic`."""
        found = [seen for pid in reading.pids(self.proc) if (seen := reading.stat(self.proc, pid)) is not None]
        census = Census(self.proc, {seen.pid: seen for seen in found})
        self._stuck = {key: thread for key, thread in self._stuck.items() if thread.is_alive()}
        todo = [seen for seen in found if not (seen.kernel or seen.ended or self._remembers(seen))]
        self._read(todo, until)
        census.stuck = [seen.pid for seen in todo if seen.denied == "stuck"]
        census.unread = sum(seen.command is None and not seen.denied for seen in todo)
        self._known = {_key(seen): seen for seen in found if seen.command is not None}
        return census

    def _remembers(self, seen: Seen) -> bool:
        """Whether it needs no reading: taken over from the last look, or known to be stuck."""
        if _key(seen) in self._stuck:
            seen.denied = "stuck"
            return True
        known = self._known.get(_key(seen))
        if known is None or _age_s(seen) < YOUNG_S:
            return False
        seen.command, seen.environ, seen.denied = known.command, known.environ, known.denied
        seen.kind, seen.python = known.kind, known.python
        return True

    def _read(self, todo: list[Seen], until: float) -> None:
        queue = deque(todo)
        while queue and time.monotonic() < until:
            reader = _Reader(self.proc, queue)
            reader.start()
            held_up = reader.wait(until)
            if held_up is not None:
                held_up.denied = "stuck"
                self._stuck[_key(held_up)] = reader


class _Reader(threading.Thread):
    """Works through a queue of processes, until one holds it up."""

    def __init__(self, proc: str, queue: deque[Seen]) -> None:
        super().__init__(name="read processes", daemon=True)
        self._proc, self._queue = proc, queue
        self._at: Seen | None = None
        self._ended, self._left = threading.Event(), False

    def run(self) -> None:
        """Read one after the other; one that was left behind ends with what it holds."""
        while not self._left:
            try:
                self._at = self._queue.popleft()
            except IndexError:
                break
            reading.memory(self._proc, self._at)
        self._at = None
        self._ended.set()

    def wait(self, until: float) -> Seen | None:
        """Wait for its end; the process that holds it up, if one does for PATIENCE_S or at the deadline."""
        last = None
        while not self._ended.wait(max(0.0, min(PATIENCE_S, until - time.monotonic()))):
            at = self._at
            if at is not None and (at is last or time.monotonic() >= until):
                self._left = True
                return at
            last = at
        return None


def _key(seen: Seen) -> Key:
    return seen.pid, seen.start, seen.name


def _age_s(seen: Seen) -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) - seen.start / _TICKS
