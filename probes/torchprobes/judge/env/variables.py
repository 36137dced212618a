"""Environment variables that change what PyTorch does or how fast: one row each, from which its rule and card come.

Conditions are those of the code that reads the variable, read in torch 2.1.2, 2.4.1, 2.6.0, 2.13.0 and 2.14.1 and in
triton 2.1 to 3.8, else of the documentation that `source` names.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import number, text
from ..rules import Positive, Rule, When
from .variable_rows import ROWS, Row

_ALL = ("env.variables",)
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a row's weight makes of a run."""

    verdict: Verdict | None
    severity: Severity


_KINDS = {
    "slow": _Kind(Verdict.DEGRADED, Severity.WARNING),
    "wrong": _Kind(Verdict.DEGRADED, Severity.WARNING),
    "note": _Kind(None, Severity.INFO),
}


def _when(row: Row) -> When:
    def when(readings: Readings) -> str | None:
        fact = readings.fact(f"environ.{row.name}")
        if fact is None or not isinstance(fact.value, str) or not row.holds(fact.value, readings):
            return None
        value = fact.value if len(fact.value) <= _SHOWN else fact.value[:_SHOWN] + "…"
        return f"{row.name}={value}: {row.meaning}"

    return when


RULES: tuple[Rule, ...] = tuple(
    Rule(row.card, _ALL, _KINDS[row.weight].verdict, _KINDS[row.weight].severity, _when(row)) for row in ROWS
)


def _looked_at(readings: Readings) -> str | None:
    """The environment was read, and no row of the table that costs something holds."""
    there, told = number(readings, "variables_set"), number(readings, "variables_told")
    if there is None or told is None:
        return None
    torch = text(readings, "torch.version")
    who = f"torch {torch}" if torch else "torch"
    return (
        f"{quantity(there, 'variables')} set, {told:g} of them for {who} and its libraries: "
        "none of those known to slow it down or to change its answers"
    )


POSITIVE: Positive = {"env.variables": _looked_at}
