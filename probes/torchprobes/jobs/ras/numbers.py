"""Which process is which rank, by RAS, where nothing better than the order of birth told it. Pure.

Workers of mp.spawn and of Ray keep their numbers to themselves; RAS has the rank of every pid in every communicator.
Only a communicator of the whole job numbers its ranks: a smaller one counts from 0 again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ...distributed import RankIdentity
from ...rank_evidence import NodeEvidence, Ras, RasCommunicator

BY_ORDER: Final = ("order",)
BY_RAS: Final = ("ras", "order")


def numbered(evidence: NodeEvidence) -> NodeEvidence:
    """The evidence with the ranks that RAS knows, in their order; the same object where nothing is to be corrected."""
    job = evidence.job
    who = tuple(rank.identity for rank in evidence.ranks)
    found = numbers(who, evidence.ras, job.world_size if job is not None else None)
    if not found:
        return evidence
    ranks = sorted(
        (replace(rank, identity=corrected(rank.identity, found)) for rank in evidence.ranks),
        key=lambda rank: rank.identity.rank,
    )
    if job is not None:
        job = replace(job, ranks=tuple(sorted((corrected(r, found) for r in job.ranks), key=lambda r: r.rank)))
    return replace(evidence, ranks=tuple(ranks), job=job)


def corrected(rank: RankIdentity, found: Mapping[int, int]) -> RankIdentity:
    """A rank with the number that `numbers` found for its process."""
    if rank.how != BY_ORDER or rank.pid not in found:
        return rank
    number = found[rank.pid]
    local = number if rank.local_rank == rank.rank else rank.local_rank
    return replace(rank, rank=number, local_rank=local, how=BY_RAS)


def numbers(ranks: Sequence[RankIdentity], ras: Sequence[Ras], world_size: int | None) -> dict[int, int]:
    """Pid -> rank of those ranks that are known by their order only; {} where RAS does not tell, or not clearly."""
    guessed = [rank for rank in ranks if rank.how == BY_ORDER]
    known = {rank.rank for rank in ranks if rank.how != BY_ORDER}
    if not guessed or not ras:
        return {}
    told = [found for one in ras[-1].communicators if (found := _of_whole(one, guessed, len(ranks), world_size))]
    if not told or any(found != told[0] for found in told):
        return {}
    return {} if known & set(told[0].values()) else told[0]


def _of_whole(
    communicator: RasCommunicator, guessed: Sequence[RankIdentity], least: int, world_size: int | None
) -> dict[int, int]:
    """Pid -> rank by a communicator that holds the whole job; {} if it does not, or if a pid stands for two."""
    size = communicator.size or len(communicator.ranks)
    pids = Counter(rank.pid for rank in communicator.ranks)
    by_pid = {rank.pid: rank.rank for rank in communicator.ranks if rank.pid is not None and pids[rank.pid] == 1}
    found = {rank.pid: by_pid.get(rank.inner_pid or rank.pid, -1) for rank in guessed}
    whole = size == world_size if world_size is not None else size >= least
    fits = all(0 <= number < size for number in found.values()) and len(set(found.values())) == len(found)
    return found if whole and fits else {}
