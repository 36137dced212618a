"""Rules of compute.*: right numbers, and figures against what the device can reach."""

from __future__ import annotations

from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}

EXPECTED: Expected = {}
