"""Rules of cuda.* and accel.*: driver, architectures, toolkits, loaded libraries, cuDNN, other back ends."""

from __future__ import annotations

from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}

EXPECTED: Expected = {}
