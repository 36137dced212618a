"""Rules of system.* and serving.*, and data.* beyond the loader."""

from __future__ import annotations

from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}

EXPECTED: Expected = {}
