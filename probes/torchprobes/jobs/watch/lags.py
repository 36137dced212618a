"""Arrival lag, live: the flight recorders of all ranks are read now and then, while somebody looks at the job.

Only of jobs that torchdoctor launched: their ranks have a worker server that gives its recorder without holding
Python's lock (0.3 ms for a small ring, 33 ms for a full one). Times are of the host's own clock; several hosts are
compared by `verdict.lags`.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ...distributed import RankIdentity
from ...rank_evidence import Flight
from ..flight import BadDump, parse_json
from ..node import NodeFolder
from ..told import told
from ..verdict.lags import Lag, behind_first
from ..worker_server import NoAnswer, ask, handlers
from .roster import Roster

EVERY_S: Final = 10.0
LOOKED_AT_S: Final = 30.0
"""A console touches `watched` in the node's folder while somebody looks; so long it counts."""

SHARE: Final = 0.005
NEWEST: Final = 200
LEAST: Final = 20
RANK_S: Final = 0.5
_HANDLERS: Final = ("fr_trace_json", "dump_nccl_trace_json")


class Lags:
    """`look` returns at once."""

    def __init__(self, node: NodeFolder) -> None:
        self._node = node
        self._due = 0.0
        self._running = False
        self._found: dict[int, Lag] | None = None

    def look(self, roster: Roster, now: float) -> bool:
        """Have the recorders read if somebody looks and it is time; lay down what came of it. Whether that is news."""
        ranks = roster.ranks
        if len(ranks) > 1 and not self._running and now >= self._due and roster.living == ranks:
            self._due = now + 1.0
            if looked_at(self._node.path):
                self._running = True
                who = tuple(watched.identity for watched in ranks)
                threading.Thread(target=self._run, args=(who,), name="lags", daemon=True).start()
        found, self._found = self._found, None
        if found is None:
            return False
        for watched in ranks:
            lag = found.get(watched.identity.rank)
            watched.tracker.lag_s = lag.lag_s if lag else None
            watched.tracker.last_share = lag.last_share if lag else None
        return True

    def _run(self, ranks: tuple[RankIdentity, ...]) -> None:
        begin = time.thread_time()
        try:
            flights = {}
            for rank in ranks:
                with contextlib.suppress(NoAnswer, BadDump, OSError):
                    flights[rank.rank] = _flight(self._node, rank)
            self._found = arrivals(flights) if len(flights) == len(ranks) else {}
        finally:
            cost = time.thread_time() - begin
            self._due = time.monotonic() + max(EVERY_S, cost / SHARE)
            self._running = False


def looked_at(node: Path) -> bool:
    """Whether somebody looks at the job."""
    try:
        return abs(time.time() - os.stat(node / "watched").st_mtime) < LOOKED_AT_S
    except OSError:
        return False


def _flight(node: NodeFolder, rank: RankIdentity) -> Flight:
    server = told(node, rank).server
    if not server:
        raise NoAnswer("no worker server")
    has = handlers(server, rank, RANK_S)
    found = [parse_json(ask(server, name, rank, RANK_S), "server", time.time_ns()) for name in _HANDLERS if name in has]
    return next((flight for flight in found if flight.entries), None) or Flight(t_ns=time.time_ns(), how="server")


def arrivals(flights: Mapping[int, Flight]) -> dict[int, Lag]:
    """How late each rank comes to the last collectives that all of them called; {} for too few of those."""
    times: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for rank, flight in flights.items():
        for entry in flight.entries:
            if entry.created_ns and not entry.p2p:
                times[entry.group, entry.seq][rank] = entry.created_ns
    shared = [by for _, by in sorted(times.items()) if len(by) == len(flights)]
    shared.sort(key=lambda by: max(by.values()))
    return behind_first(shared[-NEWEST:]) if len(shared) >= LEAST else {}
