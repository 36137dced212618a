"""The verdict on a job: all rules propose, one is picked, and it says when it is not sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ...distributed import JobVerdict, StackGroup
from ...model import Evidence, Frozen
from ...rank_evidence import NodeEvidence
from ..stacks.groups import grouped
from .candidate import Candidate
from .case import Case, lay_out
from .crashes import crashes, returned_early
from .hardware import hardware, kernel_evidence
from .health import health
from .held import held
from .lags import stragglers
from .launchers import agents, cancelled, lost_nodes, network, ports, slurm_out_of_memory
from .leaving import left_waiting
from .mismatch import mismatches
from .missing import by_counts, by_elimination, by_names, by_record, by_stacks, by_use
from .raising import raising, suffering
from .resolve import pick
from .states import states

MOST_EVIDENCE: Final = 64

Rule = Callable[[Case], Iterable[Candidate]]


class Judged(Frozen, frozen=True, kw_only=True):
    """What is made of a job. `states` is, by rank, one of RANK_STATES and why; evidence comes heaviest first."""

    verdict: JobVerdict
    evidence: tuple[Evidence, ...] = ()
    stacks: tuple[StackGroup, ...] = ()
    states: dict[int, tuple[str, str]] = msgspec.field(default_factory=dict)


RULES: Final[tuple[Rule, ...]] = (
    hardware,
    crashes,
    ports,
    slurm_out_of_memory,
    mismatches,
    held,
    agents,
    raising,
    suffering,
    by_record,
    by_names,
    returned_early,
    left_waiting,
    by_counts,
    network,
    lost_nodes,
    by_stacks,
    by_use,
    by_elimination,
    cancelled,
    stragglers,
    health,
)
"""Each looks at one kind of evidence and knows nothing of the others; what they weigh stands in `candidate.WEIGHTS`."""


def judge(nodes: Sequence[NodeEvidence]) -> Judged:
    """Name the guilty ranks of a job, or say what is known instead. Pure; never empty."""
    case = lay_out(nodes)
    candidates = [candidate for rule in RULES for candidate in rule(case)]
    verdict, evidence = pick(case, candidates)
    extra = tuple(piece for piece in kernel_evidence(case) if piece not in evidence)
    stacks = {rank: seen.evidence.stacks[-1] for rank, seen in case.ranks.items() if seen.evidence.stacks}
    return Judged(
        verdict=verdict,
        evidence=(*evidence, *extra)[:MOST_EVIDENCE],
        stacks=grouped(stacks),
        states=states(case, verdict),
    )
