"""Rules on how a probe's processes ended. The verdict is `error` in any case; these say what to do about it."""

from __future__ import annotations

from ..model import Ending, Readings, Severity
from .rules import EVERY, Rule, When

_CARDS: tuple[tuple[str, Ending], ...] = (
    ("TD-RUN-001", "timeout"),
    ("TD-RUN-002", "signal"),
    ("TD-RUN-003", "exited"),
    ("TD-RUN-004", "left-behind"),
    ("TD-RUN-005", "stream-limit"),
    ("TD-RUN-006", "not-started"),
    ("TD-RUN-007", "raised"),
)
"""What a person did (cancelled, interrupted) needs no card."""


def _ended_by(ending: Ending) -> When:
    def when(readings: Readings) -> str | None:
        return (readings.outcome.cause or ending) if readings.outcome.ending == ending else None

    return when


RULES: tuple[Rule, ...] = tuple(Rule(card, EVERY, None, Severity.WARNING, _ended_by(ending)) for card, ending in _CARDS)
