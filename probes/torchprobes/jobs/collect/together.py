"""Two collections of one node as one, so that what stood still in between can be told from what moved."""

from __future__ import annotations

from msgspec.structs import replace

from ...rank_evidence import NodeEvidence, RankEvidence


def together(first: NodeEvidence, second: NodeEvidence) -> NodeEvidence:
    """The second, with the looks of the first before its own; a rank that is another process by now has only its own.

    `looks_s` spans both: from the first look of the first to the last of the second.
    """
    before = {(one.identity.rank, one.identity.pid, one.identity.start_ticks): one for one in first.ranks}
    ranks = [_joined(before.get((r.identity.rank, r.identity.pid, r.identity.start_ticks)), r) for r in second.ranks]
    apart = (second.m_ns - first.m_ns) / 1e9 if first.m_ns and second.m_ns > first.m_ns else 0.0
    return replace(
        second,
        ranks=tuple(ranks),
        ras=(*first.ras, *second.ras),
        looks_s=round(apart + second.looks_s, 3) if apart else second.looks_s,
        seconds=round(apart + second.seconds, 3),
    )


def _joined(first: RankEvidence | None, second: RankEvidence) -> RankEvidence:
    if first is None:
        return second
    return replace(
        second,
        processes=(*first.processes, *second.processes),
        exit=second.exit or first.exit,
        stacks=(*first.stacks, *second.stacks),
        flights=(*first.flights, *second.flights),
        progress=second.progress or first.progress,
    )
