"""Who has come to which collective, by what each rank recorded; and from that, who waits for whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...rank_evidence import Flight, GroupStatus
from ..wording import collective_words, op_words
from .case import Case
from .postures import pending_collective

Group = tuple[str, tuple[int, ...]]
"""A process group: its name, and its members where they are known (groups that were split share a name)."""


@dataclass(frozen=True, slots=True)
class Come:
    """How far one rank has come in a group: the last number it called, and the number that it waits in, if it does."""

    enqueued: int
    waits: int | None = None
    op: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Ranks that wait in number `seq` of a group, and the members that have not come to it.

    `untold` are members of whom nothing is recorded; `by` is the kind of the evidence.
    """

    group: str
    seq: int
    op: str
    waiters: tuple[int, ...]
    missing: tuple[int, ...]
    untold: tuple[int, ...]
    came: Mapping[int, int]
    by: str
    named: bool = False

    @property
    def words(self) -> str:
        """`all_reduce #5`, with the group's name where a rank has more than one."""
        return collective_words(self.op, self.seq, self.group if self.named else "")


def waits(case: Case) -> tuple[Wait, ...]:
    """All waits that the flight recorders show; without recorders, those that the ranks' own events show."""
    recorded = tuple(_waits(case, _recorded(case), "flight"))
    return recorded or tuple(_waits(case, _told(case), "events"))


def _recorded(case: Case) -> dict[Group, dict[int, Come]]:
    found: dict[Group, dict[int, Come]] = defaultdict(dict)
    for rank, seen in case.ranks.items():
        if not seen.evidence.flights:
            continue
        flight = seen.evidence.flights[-1]
        for status in flight.groups:
            come = _come(flight, status)
            if come is not None:
                found[status.group, status.ranks][rank] = come
    return found


def _come(flight: Flight, status: GroupStatus) -> Come | None:
    entries = [entry for entry in flight.entries if entry.group == status.group and not entry.p2p]
    numbers = [entry.seq for entry in entries]
    enqueued = max([*numbers, -1 if status.enqueued is None else status.enqueued])
    if enqueued < 0 and status.enqueued is None:
        return None
    pending = pending_collective(Flight(t_ns=flight.t_ns, how=flight.how, groups=(status,), entries=tuple(entries)))
    if pending is not None:
        return Come(enqueued, pending.seq, pending.op)
    behind = status.completed is not None and 0 <= status.completed < enqueued
    return Come(enqueued, (status.completed or 0) + 1 if behind and not entries else None)


def _told(case: Case) -> dict[Group, dict[int, Come]]:
    """By the ranks' own events: one number over all groups, which is worth less."""
    found: dict[int, Come] = {}
    for rank, seen in case.ranks.items():
        progress = seen.evidence.progress
        if progress is None or progress.enqueued is None:
            continue
        behind = progress.completed is not None and progress.completed < progress.enqueued
        op = op_words(progress.collective)
        found[rank] = Come(progress.enqueued, (progress.completed or 0) + 1 if behind else None, op)
    return {("*", ()): found} if found else {}


def _waits(case: Case, groups: Mapping[Group, Mapping[int, Come]], by: str) -> Iterator[Wait]:
    for (name, members), come in sorted(groups.items()):
        waiting = {rank: one for rank, one in come.items() if one.waits is not None}
        if not waiting:
            continue
        seq = max(one.waits for one in waiting.values() if one.waits is not None)
        at = {rank: one for rank, one in waiting.items() if one.waits == seq}
        everyone = members or _everyone(case, groups, name)
        missing = tuple(sorted(rank for rank, one in come.items() if one.enqueued < seq))
        untold = tuple(rank for rank in everyone if rank not in come)
        op = next(iter(at.values())).op
        came = {rank: one.enqueued for rank, one in come.items()}
        named = case.many_groups and name != "*"
        yield Wait(name, seq, op, tuple(sorted(at)), missing, untold, came, by, named)


def _everyone(case: Case, groups: Mapping[Group, Mapping[int, Come]], name: str) -> tuple[int, ...]:
    """The members of a group that names none: all ranks if it is the only group, else those that are in it."""
    if len(groups) == 1:
        return tuple(range(min(case.world or 0, 100_000))) or tuple(case.ranks)
    return tuple(sorted(rank for (other, _), come in groups.items() if other == name for rank in come))


def roots(found: tuple[Wait, ...]) -> tuple[tuple[int, ...], bool]:
    """The ranks that all waits lead to, and whether they wait for each other in a circle.

    A rank that is missing in one group because it waits in another is no culprit: the one that it waits for may be.
    """
    waits_for: dict[int, set[int]] = defaultdict(set)
    for wait in found:
        for rank in wait.waiters:
            waits_for[rank] |= set(wait.missing or wait.untold)
    blamed = set().union(*waits_for.values()) if waits_for else set()
    ends = {rank for rank in blamed if not waits_for.get(rank)}
    if ends:
        return tuple(sorted(ends)), False
    circle = {rank for rank in blamed if waits_for.get(rank)}
    return tuple(sorted(circle)), bool(circle)
