"""Cards of `env.variables`: one a row of the table."""

from __future__ import annotations

from ...model import Fix
from ..env.variable_rows import ROWS, Row
from .base import Card

_WEIGHTS = {
    "slow": "slows PyTorch down",
    "wrong": "changes answers, or hides faults",
    "note": "changes what PyTorch does",
}


def _card(row: Row) -> Card:
    return Card(
        id=row.card,
        title=f"{row.name} {_WEIGHTS[row.weight]}",
        why=row.meaning[:1].upper() + row.meaning[1:] + ".",
        source=row.source,
        fix=Fix(command=row.fix),
    )


CARDS: tuple[Card, ...] = tuple(map(_card, ROWS))
