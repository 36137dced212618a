"""Arrival lag, live: the flight recorders of all ranks are read now and then, more often while somebody looks.

Only of jobs that torchdoctor launched: their ranks have a worker server that gives its recorder without holding
Python's lock (0.3 ms for a small ring, 33 ms for a full one, in a thread of its own). Times are of the host's own
clock, at the call; several hosts are compared by `verdict.lags`.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ...distributed import RankIdentity
from ..flight import BadDump
from ..flight.times import Call, call_times
from ..looking import looked_at
from ..node import NodeFolder
from ..told import told
from ..verdict.lags import LEAST_COLLECTIVES, Lag, behind_first
from ..worker_server import NoAnswer, ask, handlers
from .keeping import Keeper
from .roster import Roster

UNWATCHED_S: Final = 30.0
WATCHED_S: Final = 5.0
FIRST_S: Final = 5.0
"""The first look comes so long after all ranks take part in collectives."""

SHARE: Final = 0.005
"""The part of a core that looking may cost."""

NEWEST: Final = 1000
"""Collectives that are compared; of very many ranks fewer, `MOST_TIMES` in all."""
MOST_TIMES: Final = 64_000
FEWEST: Final = 200

RANK_S: Final = 0.5
AT_ONCE: Final = 8
"""So many ranks are asked at once: the newest of each must be the same collectives."""

HANDLERS: Final = ("dump_nccl_trace_json", "fr_trace_json")
"""The recorder of NCCL, and that of all other back ends: a build with NCCL has both, and a job may use both."""

Times = dict[Call, int]


class Lags:
    """`look` returns at once."""

    def __init__(self, node: NodeFolder, keeper: Keeper) -> None:
        self._node, self._keeper = node, keeper
        self._asking = Asking(node)
        self._due = 0.0
        self._who: tuple[tuple[int, ...], bool] = ((), False)
        """The processes that are looked at, and whether all of them are seen to step."""
        self._few = False
        """Whether they had made too few collectives, so that the next look is soon."""
        self._thread: threading.Thread | None = None
        self._looked_s = 0.0
        self._cost_s = 0.0
        self._found: dict[int, Lag] | None = None

    def look(self, roster: Roster, now: float) -> bool:
        """Have the recorders read if it is time; lay down what came of it. Whether that is news."""
        ranks = roster.ranks
        if len(ranks) > 1 and self._thread is None and roster.living == ranks:
            who = tuple(watched.identity for watched in ranks)
            if self._is_due(who, all(watched.tracker.takes_part for watched in ranks), now):
                self._looked_s = now
                self._thread = threading.Thread(target=self._run, args=(who,), name="lags", daemon=True)
                self._thread.start()
        if self._thread is None or self._thread.is_alive():
            return False
        self._thread, found = None, self._found
        self._keeper.record("lags", ranks=len(found or ()), cost_s=round(self._cost_s, 4))
        for watched in ranks:
            watched.tracker.lag = (found or {}).get(watched.identity.rank)
        return found is not None

    def _is_due(self, ranks: Sequence[RankIdentity], step: bool, now: float) -> bool:
        """Some seconds after all are seen to step, then by the pace; of ranks that tell nothing, by the pace alone."""
        who = (tuple(rank.pid for rank in ranks), step)
        if who != self._who:
            self._who, self._looked_s = who, 0.0
            self._due = now + (FIRST_S if step else UNWATCHED_S)
        elif self._looked_s:
            every = WATCHED_S if self._few or looked_at(str(self._node.path)) else UNWATCHED_S
            self._due = self._looked_s + max(every, self._cost_s / SHARE)
        return now >= self._due

    def _run(self, ranks: Sequence[RankIdentity]) -> None:
        self._found = None
        newest = max(FEWEST, min(NEWEST, MOST_TIMES // len(ranks)))
        begin = time.thread_time()
        with ThreadPoolExecutor(min(AT_ONCE, len(ranks)), "lag") as pool:
            read = list(pool.map(lambda rank: self._asking.timed(rank, newest), ranks))
        times = {rank.rank: found for rank, (found, _) in zip(ranks, read, strict=True)}
        self._found = arrivals(times) if all(times.values()) else {}
        self._few = not self._found and any(times.values())
        self._cost_s = time.thread_time() - begin + sum(cost for _, cost in read)


class Asking:
    """Asks ranks for their recorders; where each answers is kept, by process."""

    def __init__(self, node: NodeFolder) -> None:
        self._node = node
        self._known: dict[tuple[int, int], tuple[str, tuple[str, ...]]] = {}
        self._reading = threading.Lock()
        """A dump is a megabyte: one at a time is read into memory of ours."""

    def timed(self, rank: RankIdentity, newest: int) -> tuple[Times, float]:
        """`times`, and what they cost this thread, seconds."""
        begin = time.thread_time()
        try:
            return self.times(rank, newest), time.thread_time() - begin
        except (NoAnswer, BadDump, OSError):
            return {}, time.thread_time() - begin

    def times(self, rank: RankIdentity, newest: int) -> Times:
        """When it called its newest collectives.

        Raises:
            NoAnswer, BadDump: it cannot be asked, or what it says is no recorder's dump.
        """
        key = (rank.pid, rank.start_ticks)
        server, has = self._known.get(key) or self._find(rank)
        for name in has:
            data = ask(server, name, rank, RANK_S)
            with self._reading:
                found = call_times(data, newest)
            if found:
                self._known[key] = server, (name,)
                return found
        return {}

    def _find(self, rank: RankIdentity) -> tuple[str, tuple[str, ...]]:
        server = told(self._node, rank).server
        if not server:
            raise NoAnswer("no worker server")
        offered = handlers(server, rank, RANK_S)
        return server, tuple(name for name in HANDLERS if name in offered)


def arrivals(times: Mapping[int, Times]) -> dict[int, Lag]:
    """How late each rank comes to the last collectives that all of them called; {} for too few of those."""
    by_call: dict[Call, dict[int, int]] = defaultdict(dict)
    for rank, calls in times.items():
        for call, t_ns in calls.items():
            by_call[call][rank] = t_ns
    shared = [by for by in by_call.values() if len(by) == len(times)]
    shared.sort(key=lambda by: min(by.values()))
    return behind_first(shared) if len(shared) >= LEAST_COLLECTIVES else {}
