"""Ranks that only their order of birth numbered get the numbers that RAS has for their pids."""

from __future__ import annotations

from typing import Any

import pytest

from torchprobes.distributed import JobIdentity, RankIdentity
from torchprobes.jobs.ras.numbers import BY_ORDER, BY_RAS, numbered, numbers
from torchprobes.jobs.watch.roster import Roster
from torchprobes.rank_evidence import NodeEvidence, RankEvidence, Ras, RasCommunicator, RasRank, Stack


def born(*pids: int, how: tuple[str, ...] = BY_ORDER) -> tuple[RankIdentity, ...]:
    return tuple(RankIdentity(rank=at, local_rank=at, pid=pid, start_ticks=7, how=how) for at, pid in enumerate(pids))


def communicator(*pids: int | None, size: int | None = None, id_: str = "0x1") -> RasCommunicator:
    ranks = tuple(RasRank(rank=at, pid=pid) for at, pid in enumerate(pids))
    return RasCommunicator(id=id_, size=len(pids) if size is None else size, ranks=ranks)


def ras(*communicators: RasCommunicator) -> tuple[Ras, ...]:
    return (Ras(t_ns=1, how="json", communicators=communicators),)


def test_pids_are_ranks_as_ras_says() -> None:
    assert numbers(born(11, 12, 13), ras(communicator(12, 13, 11)), None) == {11: 2, 12: 0, 13: 1}


def test_a_container_is_known_by_its_inner_pids() -> None:
    inner = tuple(
        RankIdentity(rank=at, pid=900 + at, inner_pid=pid, start_ticks=7, how=BY_ORDER) for at, pid in enumerate((5, 6))
    )
    assert numbers(inner, ras(communicator(6, 5)), 2) == {900: 1, 901: 0}


@pytest.mark.parametrize(
    ("ranks", "said", "world"),
    [
        (born(11, 12, how=("environ",)), ras(communicator(12, 11)), 2),  # they know better
        (born(11, 12), (), 2),
        (born(11, 12), ras(communicator(12, 11)), 4),  # a part of the job: it counts from 0 again
        (born(11, 12, 13), ras(communicator(12, 11)), None),
        (born(11, 12), ras(communicator(12, None)), 2),  # one that gave no answer
        (born(11, 12), ras(communicator(12, 11), communicator(11, 12, id_="0x2")), 2),  # two that disagree
        (born(11, 12), ras(communicator(12, 11, 12, size=3)), 3),  # the pid of another host
        ((*born(11, 12), RankIdentity(rank=2, pid=13, start_ticks=7, how=("environ",))),
         ras(communicator(13, 12, 11, size=3), communicator(11, 12, 13, id_="0x2")), 3),
    ],
)  # fmt: skip
def test_what_is_not_clear_changes_nothing(ranks: Any, said: tuple[Ras, ...], world: int | None) -> None:
    assert numbers(ranks, said, world) == {}


def test_a_number_that_is_taken_is_given_to_nobody() -> None:
    known = RankIdentity(rank=0, pid=13, start_ticks=7, how=("environ",))
    guessed = RankIdentity(rank=1, pid=14, start_ticks=7, how=BY_ORDER)
    assert numbers((known, guessed), ras(communicator(14, 13)), 2) == {}


def evidence(*pids: int, said: tuple[Ras, ...]) -> NodeEvidence:
    who = born(*pids)
    job = JobIdentity(key="spawn:1", launcher="spawn", host="one", ranks=who)
    ranks = tuple(RankEvidence(identity=one, stacks=(Stack(how="py-spy", t_ns=one.pid),)) for one in who)
    return NodeEvidence(host="one", t_ns=1, job=job, ranks=ranks, ras=said)


def test_evidence_goes_with_its_process() -> None:
    found = numbered(evidence(11, 12, 13, said=ras(communicator(12, 13, 11))))
    assert [(r.identity.rank, r.identity.local_rank, r.identity.pid, r.stacks[0].t_ns) for r in found.ranks] == [
        (0, 0, 12, 12), (1, 1, 13, 13), (2, 2, 11, 11)
    ]  # fmt: skip
    assert found.job is not None
    assert [(rank.rank, rank.pid, rank.how) for rank in found.job.ranks] == [
        (0, 12, BY_RAS), (1, 13, BY_RAS), (2, 11, BY_RAS)
    ]  # fmt: skip
    same = evidence(11, 12, said=())
    assert numbered(same) is same


def test_a_watcher_takes_the_numbers_over() -> None:
    roster = Roster()
    for one in born(11, 12, 13):
        roster.add(one)
    first = roster.of(11, 7)
    looked = numbered(evidence(11, 12, 13, said=ras(communicator(12, 13, 11))))
    assert roster.renumber(one.identity for one in looked.ranks)
    assert [(watched.identity.rank, watched.identity.pid) for watched in roster.ranks] == [(0, 12), (1, 13), (2, 11)]
    assert roster.rank(2) is first
    assert not roster.renumber(one.identity for one in looked.ranks), "no news"
    assert roster.add(born(11)[0]) is None, "found again by its order: it is known"


def test_numbers_that_would_collide_are_not_taken_over() -> None:
    roster = Roster()
    for one in born(11, 12):
        roster.add(one)
    two = RankIdentity(rank=1, pid=11, start_ticks=7, how=BY_RAS)
    assert not roster.renumber([two])
    assert [watched.identity.pid for watched in roster.ranks] == [11, 12]
