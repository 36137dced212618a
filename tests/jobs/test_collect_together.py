"""Two collections as one: looks in their order, what lies between them, and a process that was replaced."""

from __future__ import annotations

import msgspec

from torchprobes.distributed import JobIdentity, RankIdentity
from torchprobes.jobs.collect import together
from torchprobes.rank_evidence import Exit, NodeEvidence, ProcessReading, RankEvidence

S = 10**9


def node(at_s: float, cpu_s: float, start_ticks: int = 5, ended: bool = False) -> NodeEvidence:
    who = RankIdentity(rank=0, pid=7, start_ticks=start_ticks)
    stamp = round(at_s * S)
    rank = RankEvidence(
        identity=who,
        processes=(ProcessReading(t_ns=stamp, cpu_s=cpu_s), ProcessReading(t_ns=stamp + S, cpu_s=cpu_s)),
        exit=Exit(t_ns=stamp, code=1) if ended else None,
    )
    job = JobIdentity(key="k", launcher="torchrun", host="n1", ranks=(who,))
    return NodeEvidence(host="n1", t_ns=stamp, m_ns=stamp, job=job, ranks=(rank,), looks_s=1.0, seconds=1.5)


def test_the_looks_of_both_are_there_and_their_span() -> None:
    both = together(node(10, 3.0), node(12.5, 4.0))
    assert [reading.cpu_s for reading in both.ranks[0].processes] == [3.0, 3.0, 4.0, 4.0]
    assert (both.looks_s, both.seconds, both.t_ns) == (3.5, 4.0, round(12.5 * S))


def test_a_number_that_was_used_again_is_another_rank() -> None:
    both = together(node(10, 3.0, start_ticks=5), node(12.5, 0.1, start_ticks=9))
    assert [reading.cpu_s for reading in both.ranks[0].processes] == [0.1, 0.1]


def test_an_end_that_only_the_first_saw_stays() -> None:
    assert together(node(10, 3.0, ended=True), node(12.5, 3.0)).ranks[0].exit is not None


def test_without_a_monotonic_time_nothing_is_claimed_of_the_span() -> None:
    assert together(msgspec.structs.replace(node(10, 3.0), m_ns=0), node(12.5, 4.0)).looks_s == 1.0
