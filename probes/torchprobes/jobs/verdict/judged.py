"""The verdict on a job: all rules propose, one is picked, and it says when it is not sure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ...distributed import JobVerdict, StackGroup
from ...model import Evidence, Frozen
from ...rank_evidence import NodeEvidence
from .candidate import Candidate
from .case import Case, lay_out
from .crashes import crashes, returned_early
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


RULES: Final[tuple[Rule, ...]] = (crashes, returned_early)


def judge(nodes: Sequence[NodeEvidence]) -> Judged:
    """Name the guilty ranks of a job, or say what is known instead. Never raises, never empty."""
    case = lay_out(nodes)
    candidates = [candidate for rule in RULES for candidate in rule(case)]
    verdict, evidence = pick(case, candidates)
    return Judged(verdict=verdict, evidence=evidence[:MOST_EVIDENCE], states=states(case, verdict))
