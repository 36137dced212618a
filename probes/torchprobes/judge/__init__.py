"""Figures and facts in, findings and verdicts out: rules as data, and the cards behind every id.

`judge(probe, readings)` is pure, so that rules are tested without hardware and a stored run can be judged again.
"""

from .cards import CARDS, UnknownCard, card
from .cards.base import Card
from .registry import POSITIVE, RULES
from .rules import Positive, Rule, When
from .verdict import judge, rule_hits

__all__ = [
    "CARDS",
    "POSITIVE",
    "RULES",
    "Card",
    "Positive",
    "Rule",
    "UnknownCard",
    "When",
    "card",
    "judge",
    "rule_hits",
]
