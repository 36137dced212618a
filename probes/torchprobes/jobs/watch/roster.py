"""The ranks of a watched job, as one watcher knows them: who, how each ended, and what was seen of it so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ...distributed import RankIdentity, SourceState
from ...rank_evidence import Exit, GpuReading, ProcessReading, RankEvidence, Sign
from ..ras.numbers import BY_ORDER, BY_RAS
from ..view import cpu_percent
from . import oom
from .following import Heard
from .progress import Tracker
from .triggers import Pulse

READINGS: Final = 24
"""Looks at a process that are kept: twelve seconds at two a second."""

SIGNS: Final = 64
FIRST_SIGNS: Final = 16
"""Signs kept of a rank: the first ones, which tell the cause, and the newest."""


@dataclass(slots=True)
class Watched:
    """One rank."""

    identity: RankIdentity
    counter: str = ""
    exit: Exit | None = None
    tracker: Tracker = field(default_factory=Tracker)
    readings: deque[ProcessReading] = field(default_factory=lambda: deque(maxlen=READINGS))
    signs: list[Sign] = field(default_factory=list)
    tail: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lines: int = 0
    gpu: GpuReading | None = None
    looked: RankEvidence | None = None
    """What the last close look saw of it: stacks, flight recorder, sources."""

    timeout_s: float | None = None

    def hear(self, stream: str, heard: Heard) -> None:
        """What one of its logs brought."""
        self.lines += heard.lines
        self.tail[stream] = heard.tail
        self.tracker.log_ns = max(self.tracker.log_ns, heard.grown_ns)
        self.add_signs(heard.signs)

    def adopt(self, tracker: Tracker) -> None:
        """What its events told from the beginning, before it was known whose they are."""
        if tracker is not self.tracker:
            tracker.log_ns = self.tracker.log_ns
            self.tracker = tracker

    def look_came(self, looked: RankEvidence, same: bool) -> None:
        """What a close look saw. With `same` the look before saw the same standstill, and the two are compared.

        Of a rank that has ended, what was seen last while it lived stays.
        """
        before = self.looked
        if before is not None and self.exit is not None:
            looked = msgspec.structs.replace(
                looked, stacks=looked.stacks or before.stacks, flights=looked.flights or before.flights
            )
        elif before is not None and same:
            looked = msgspec.structs.replace(
                looked,
                stacks=(*before.stacks[-1:], *looked.stacks)[-2:],
                flights=(*before.flights[-1:], *looked.flights)[-2:],
                sources=looked.sources or before.sources,
            )
        self.looked = looked
        timeouts = [e.timeout_ms for f in looked.flights for e in f.entries if e.timeout_ms and not e.p2p]
        self.timeout_s = timeouts[-1] / 1000 if timeouts else self.timeout_s

    def add_signs(self, signs: Iterable[Sign]) -> None:
        """Keep signs, of many the first and the newest."""
        self.signs += signs
        if len(self.signs) > SIGNS:
            self.signs = self.signs[:FIRST_SIGNS] + self.signs[-(SIGNS - FIRST_SIGNS) :]

    def evidence(self, since_ns: int) -> RankEvidence:
        """All that is known of it now, with what the last close look saw; looks at its process from `since_ns` on."""
        looked = self.looked or RankEvidence(identity=self.identity)
        return RankEvidence(
            identity=self.identity,
            processes=self._processes(looked, since_ns),
            exit=self.exit,
            stacks=looked.stacks,
            flights=looked.flights,
            signs=_merged(self.signs, looked.signs),
            progress=self.tracker.progress() if self.tracker.told or self.tracker.log_ns else looked.progress,
            gpu=self.gpu or looked.gpu,
            sources=self._sources(looked.sources),
            tail=self.tail.get("err") or self.tail.get("out") or looked.tail,
        )

    def _sources(self, looked: tuple[SourceState, ...]) -> tuple[SourceState, ...]:
        """The sources of the close look; of its end we know more: it is held from the moment that it was found."""
        seen = self.exit is None or self.exit.seen != "gone"
        why = "" if seen else "it ended, and the kernel did not tell its exit code: reaped at once, or not ours to see"
        own = SourceState(source="exit", available=seen, why=why)
        return (own, *(state for state in looked if state.source != "exit"))

    def _processes(self, looked: RankEvidence, since_ns: int) -> tuple[ProcessReading, ...]:
        """Looks, oldest first: the first one since then that is far enough from the newest, the newest."""
        kept = [*looked.processes, *self.readings]
        kept.sort(key=lambda one: one.t_ns)
        recent = [one for one in kept if one.t_ns >= since_ns] or kept[-2:]
        return tuple(dict.fromkeys((recent[0], recent[-1]))) if recent else ()

    def pulse(self) -> Pulse:
        """What the triggers want to know."""
        tracker, gpu = self.tracker, self.gpu
        limit, power = (gpu.power_limit_w, gpu.power_w) if gpu else (None, None)
        cpu = cpu_percent(self.readings)
        return Pulse(
            moved_ns=tracker.moved_ns,
            log_ns=tracker.log_ns,
            told=tracker.told,
            pending=tracker.pending,
            cpu_share=None if cpu is None else cpu / 100,
            gpu_percent=gpu.utilization_percent if gpu else None,
            gpu_power_share=power / limit if power is not None and limit else None,
            longest_step_s=tracker.longest_s,
            pending_ns=tracker.moved_ns if tracker.pending else 0,
            timeout_s=self.timeout_s,
        )


def _merged(own: list[Sign], looked: tuple[Sign, ...]) -> tuple[Sign, ...]:
    """Ours, and of the close look's those that we did not see come."""
    known = {(sign.id, sign.text) for sign in own}
    return (*own, *(sign for sign in looked if (sign.id, sign.text) not in known))


class Roster:
    """All ranks of the newest attempt by rank, and every process that was ever one by pid."""

    def __init__(self) -> None:
        self.attempt = 0
        self.generation = 0
        """How often all ranks were taken for new ones."""
        self._by_pid: dict[tuple[int, int], Watched] = {}
        self._current: dict[int, Watched] = {}
        self.oom = oom.OomLedger()

    def add(self, identity: RankIdentity) -> Watched | None:
        """A rank that was found; None if it is no news. A later attempt takes the place of the one before.

        So does a process that comes when all ranks have ended: not every launcher counts its attempts.
        """
        key = (identity.pid, identity.start_ticks)
        known = self._current.get(identity.rank)
        if key in self._by_pid or identity.attempt < self.attempt:
            return None
        if identity.attempt > self.attempt or (known is not None and self.over):
            self.attempt, self._current = identity.attempt, {}
            self.generation += 1
        elif known is not None:
            return None
        watched = Watched(identity, counter=oom.counter_of(identity.pid))
        self._by_pid[key] = self._current[identity.rank] = watched
        return watched

    def renumber(self, identities: Iterable[RankIdentity]) -> bool:
        """Take over the numbers of those whom RAS knows and we by their order only; whether there were any.

        Nothing is changed if two would have one number.
        """
        better = {(i.pid, i.start_ticks): i for i in identities if i.how == BY_RAS}
        numbers: dict[int, tuple[Watched, RankIdentity]] = {}
        for watched in self._current.values():
            own = watched.identity
            told = better.get((own.pid, own.start_ticks)) if own.how == BY_ORDER else None
            if told is not None:
                own = msgspec.structs.replace(own, rank=told.rank, local_rank=told.local_rank, how=told.how)
            numbers[own.rank] = watched, own
        if len(numbers) != len(self._current) or all(w.identity is own for w, own in numbers.values()):
            return False
        for watched, own in numbers.values():
            watched.identity = own
        self._current = {number: watched for number, (watched, _) in numbers.items()}
        return True

    def of(self, pid: int, start_ticks: int | None = None) -> Watched | None:
        """The rank that a process is, or was; of several with one pid the newest."""
        if start_ticks is not None:
            return self._by_pid.get((pid, start_ticks))
        return next((w for w in reversed(self._by_pid.values()) if w.identity.pid == pid), None)

    def rank(self, number: int) -> Watched | None:
        """A rank of the newest attempt."""
        return self._current.get(number)

    @property
    def ranks(self) -> list[Watched]:
        """The ranks of the newest attempt, by rank."""
        return [self._current[number] for number in sorted(self._current)]

    @property
    def living(self) -> list[Watched]:
        """Those of them that have not ended."""
        return [watched for watched in self.ranks if watched.exit is None]

    @property
    def over(self) -> bool:
        """Whether there are ranks, and all of them have ended."""
        return bool(self._current) and not self.living
