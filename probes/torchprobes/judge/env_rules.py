"""Rules of env.* beyond identity: packages, kernels, wheel, variables, ABI, extensions, image."""

from __future__ import annotations

from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}

EXPECTED: Expected = {}
