"""Rules of `compile.*`."""

from __future__ import annotations

from .rules import Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}
