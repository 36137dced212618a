"""What a rule proposes, and how much one weighs against another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...model import Evidence

MAX_TEXT: Final = 400

WEIGHTS: Final[dict[str, int]] = {
    "hardware": 100,
    "crash": 90,
    "mismatch": 88,
    "cancelled-at-work": 87,
    "stopped": 86,
    "launcher": 85,
    "raising": 84,
    "blocked": 84,
    "missing-flight": 83,
    "missing-named": 82,
    "returned": 81,
    "missing-ras": 78,
    "network": 76,
    "lost": 75,
    "weak-crash": 72,
    "missing-stack": 70,
    "missing-silent": 66,
    "cancelled": 60,
    "stuck": 40,
    "straggler": 30,
    "unknown": 10,
    "none": 0,
}
"""By strength of evidence, strongest first: what the kernel and the driver saw, then what two sources compared prove,
then what lines of logs name, then what is left when all others are excused."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal: these ranks, this cause. `what` continues "rank 2 on node7 …"; `line` is a whole line instead.

    `t_ns` is when it began on the common clock (0 unknown), known to `error_ns`. `doubt` says in words why it is not
    sure, if the rule itself knows.
    """

    cause: str
    ranks: tuple[int, ...]
    strength: str
    what: str = ""
    line: str = ""
    site: str = ""
    sure: bool = False
    t_ns: int = 0
    error_ns: int = 0
    doubt: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def weight(self) -> int:
        """How much it weighs."""
        return WEIGHTS[self.strength]


def told(kind: str, text: str, artifact: str | None = None) -> Evidence:
    """One piece of evidence, bounded."""
    return Evidence(kind=kind, text=text[:MAX_TEXT], artifact=artifact)
