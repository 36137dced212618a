"""The ranks of a job as they come: by their launcher's children, by their own events, by a look at all processes."""

from __future__ import annotations

import time
from typing import Final

from ...distributed import RankIdentity
from ...model import Event
from ...rundir import start_ticks
from .edges import Ends
from .finding import YOUNG_S, Finder, Found, Rescan, Says, children
from .order import Order
from .progress import Tracker
from .roster import Roster

MOST_RANKS: Final = 1 << 20
MOST_TRACKED: Final = 4096
RESCAN_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""After a look at all processes was made without a reason, the time to the next one; the last repeats."""

AGAIN_S: Final = 0.1
START_S: Final = 20.0
QUICK_S: Final = 10.0
CALM_S: Final = 0.5
"""At the start, and for a while after a rank came or went, others are looked for at every tick; else so often."""

KNOWN_S: Final = 10.0
"""So long a pid is taken for the process that it was: it may end, and be given to another child."""


class Ranks:
    """`look` gives the ranks that are new; it costs a read of the launcher's list of children."""

    def __init__(self, order: Order, host: str, ends: Ends, roster: Roster) -> None:
        self.world_size = order.job.world_size
        self.notes: tuple[str, ...] = ()
        self._launcher = order.job.launcher_pid
        self._ends, self._roster = ends, roster
        self._finder = Finder(host, "" if order.mode == "launched" else order.job.key)
        self._rescan = Rescan(order.job, order.mode == "launched")
        self._rescans = 0 if not order.job.ranks else len(RESCAN_S) - 1
        self._next_rescan = time.monotonic() + RESCAN_S[self._rescans]
        self._young: dict[tuple[int, int], tuple[float, float]] = {}
        self._asked: set[tuple[int, int]] = set()
        self._known: dict[int, float] = {}
        """Pids among the launcher's children that need no look, and until when they do not."""
        self._heard_of: set[tuple[int, int, int]] = set()
        self._trackers: dict[tuple[int, int, int], Tracker] = {}
        self._held_up: set[int] = set()
        self._quick_until = time.monotonic() + START_S
        self._next_look = 0.0

    @property
    def expecting(self) -> bool:
        """Whether somebody was asked about and has not been answered for."""
        return bool(self._asked)

    def again(self) -> None:
        """Something changed: look at all processes soon."""
        self._quick_until = time.monotonic() + QUICK_S
        self._next_look = 0.0
        self._rescans = 0
        self._next_rescan = min(self._next_rescan, time.monotonic() + RESCAN_S[0])

    def look(self) -> list[RankIdentity]:
        """Ranks that are new, or that may be."""
        now = time.monotonic()
        if now < self._next_look:
            return []
        self._next_look = now + (0.0 if now < self._quick_until else CALM_S)
        for pid in [pid for pid, until in self._known.items() if until < now]:
            del self._known[pid]
        if self._launcher is not None:
            for key in children(self._launcher, self._known):
                self._ask_again(key, now)
        found = [rank for one in self._finder.take() if (rank := self._answer(one)) is not None]
        return found + self._rescanned(now)

    # --- by the launcher's children -----------------------------------------------------------------------------

    def _ask_again(self, key: tuple[int, int], now: float) -> None:
        """Ask who a child of the launcher is, as long as it is young: a shim becomes a rank."""
        born, last = self._young.setdefault(key, (now, 0.0))
        if not last:
            self._ends.hold(*key)
        if now - born > YOUNG_S:
            self._known[key[0]] = now + KNOWN_S
            del self._young[key]
        elif key not in self._asked and now - last >= max(AGAIN_S, (now - born) / 10):
            self._young[key] = (born, now)
            self._asked.add(key)
            self._finder.ask(*key)

    def _answer(self, found: Found) -> RankIdentity | None:
        key = (found.pid, found.start_ticks)
        self._asked.discard(key)
        if found.world_size is not None:
            self.world_size = found.world_size
        if found.rank is None:
            if found.why.startswith("its memory") and found.pid not in self._held_up:
                self._held_up.add(found.pid)
                self.notes = (*self.notes[-7:], f"pid {found.pid} cannot be read: {found.why}")
            return None
        self._young.pop(key, None)
        self._known[found.pid] = time.monotonic() + KNOWN_S
        self._quick_until = time.monotonic() + QUICK_S
        return found.rank

    # --- by all processes -----------------------------------------------------------------------------------------

    def _rescanned(self, now: float) -> list[RankIdentity]:
        if now >= self._next_rescan:
            self._rescans = min(self._rescans + 1, len(RESCAN_S) - 1)
            self._next_rescan = now + RESCAN_S[self._rescans]
            self._rescan.ask()
        job = self._rescan.take()
        if job is None:
            if self._rescan.fault and self._rescan.fault not in self.notes:
                self.notes = (*self.notes[-7:], self._rescan.fault)
            return []
        self.notes = job.notes
        self.world_size = job.world_size if job.world_size is not None else self.world_size
        return [rank for rank in job.ranks if self._fits(rank)]

    def _fits(self, rank: RankIdentity) -> bool:
        """Whether it is news: not a second process for a rank that lives."""
        known = self._roster.rank(rank.rank)
        return known is None or known.exit is not None or rank.attempt > known.identity.attempt

    # --- by events ------------------------------------------------------------------------------------------------

    def told(self, event: Event) -> None:
        """Take in what a rank's own process says; one that nobody knows yet is asked about."""
        if event.rank is None or not 0 <= event.rank < MOST_RANKS or event.pid <= 0:
            return
        key = (event.pid, event.rank, event.attempt or 0)
        tracker = self._trackers.get(key)
        if tracker is None:
            if len(self._trackers) >= MOST_TRACKED:
                return
            tracker = self._trackers[key] = Tracker()
        tracker.take(event, time.monotonic_ns())
        watched = self._roster.rank(event.rank)
        if watched is not None and event.pid in (watched.identity.pid, watched.identity.inner_pid):
            watched.adopt(tracker)
        elif key not in self._heard_of:
            self._heard_of.add(key)
            ticks = start_ticks(event.pid)
            if ticks is not None and self._roster.of(event.pid, ticks) is None:
                self._asked.add((event.pid, ticks))
                self._finder.ask(event.pid, ticks, Says(event.rank, event.attempt or 0))
