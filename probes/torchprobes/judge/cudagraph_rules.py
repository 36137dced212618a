"""Rules of `cudagraph.*`."""

from __future__ import annotations

from .rules import Positive, Rule

RULES: tuple[Rule, ...] = ()

POSITIVE: Positive = {}
