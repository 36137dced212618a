"""What a rule proposes, and how much one weighs against another."""

from __future__ import annotations

from collections.abc import Iterable
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


def ranks_words(ranks: Iterable[int]) -> str:
    """`rank 2`, `ranks 0 and 3`, `ranks 0–3, 7`; of more than six runs, the first."""
    runs: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], rank]
        else:
            runs.append([rank, rank])
    if not runs:
        return "no rank"
    if len(runs) == 1 and runs[0][0] == runs[0][1]:
        return f"rank {runs[0][0]}"
    parts = [str(a) if a == b else f"{a} and {b}" if b == a + 1 and len(runs) == 1 else f"{a}–{b}" for a, b in runs]
    if len(parts) == 2 and all(a == b for a, b in runs):
        return f"ranks {parts[0]} and {parts[1]}"
    return "ranks " + ", ".join(parts[:6]) + (" …" if len(parts) > 6 else "")
