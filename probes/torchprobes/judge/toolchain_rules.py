"""Rules of compile.toolchain, breaks, recompiles, cache, workers and debug."""

from __future__ import annotations

from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}

EXPECTED: Expected = {}
