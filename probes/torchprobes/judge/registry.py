"""All rules and all positive evidence, family by family."""

from __future__ import annotations

from . import compile_rules, cudagraph_rules, data_rules, ddp_rules, export_rules, identity_rules, run_rules
from .rules import Positive, Rule

RULES: tuple[Rule, ...] = (
    identity_rules.RULES
    + export_rules.RULES
    + compile_rules.RULES
    + cudagraph_rules.RULES
    + ddp_rules.RULES
    + data_rules.RULES
    + run_rules.RULES
)

POSITIVE: Positive = {
    **identity_rules.POSITIVE,
    **export_rules.POSITIVE,
    **compile_rules.POSITIVE,
    **cudagraph_rules.POSITIVE,
    **ddp_rules.POSITIVE,
    **data_rules.POSITIVE,
}
