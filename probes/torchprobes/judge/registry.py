"""All rules and all positive evidence, family by family."""

from __future__ import annotations

from . import compile_rules, cudagraph_rules, run_rules
from .rules import Positive, Rule

RULES: tuple[Rule, ...] = compile_rules.RULES + cudagraph_rules.RULES + run_rules.RULES

POSITIVE: Positive = {**compile_rules.POSITIVE, **cudagraph_rules.POSITIVE}
