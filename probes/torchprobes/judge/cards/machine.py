"""Cards of the rules of health: what `telemetry.rules` says of a node and its GPUs, told like every other card."""

from __future__ import annotations

from ...telemetry.rules import CHECKS, Check
from .base import Card

VERSIONS = "all; torch takes no part in it"


def _card(check: Check) -> Card:
    return Card(check.id, _capitalised(check.title), check.why, check.source, check.fix, VERSIONS)


def _capitalised(title: str) -> str:
    return title[:1].upper() + title[1:]


CARDS: tuple[Card, ...] = tuple(map(_card, CHECKS))
