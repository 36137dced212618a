"""All rules, all positive evidence and all expectations, family by family."""

from __future__ import annotations

from . import (
    compile_rules,
    compute_rules,
    cuda_rules,
    cudagraph_rules,
    data_files_rules,
    data_rules,
    ddp_rules,
    entry_rules,
    env_rules,
    export_rules,
    identity_rules,
    launch_rules,
    run_rules,
    serving_rules,
    system_rules,
    toolchain_rules,
)
from .rules import Expected, Positive, Rule

RULES: tuple[Rule, ...] = (
    identity_rules.RULES
    + env_rules.RULES
    + cuda_rules.RULES
    + compute_rules.RULES
    + launch_rules.RULES
    + export_rules.RULES
    + compile_rules.RULES
    + toolchain_rules.RULES
    + entry_rules.RULES
    + cudagraph_rules.RULES
    + ddp_rules.RULES
    + data_rules.RULES
    + data_files_rules.RULES
    + serving_rules.RULES
    + system_rules.RULES
    + run_rules.RULES
)

POSITIVE: Positive = {
    **identity_rules.POSITIVE,
    **env_rules.POSITIVE,
    **cuda_rules.POSITIVE,
    **compute_rules.POSITIVE,
    **launch_rules.POSITIVE,
    **export_rules.POSITIVE,
    **compile_rules.POSITIVE,
    **toolchain_rules.POSITIVE,
    **entry_rules.POSITIVE,
    **cudagraph_rules.POSITIVE,
    **ddp_rules.POSITIVE,
    **data_rules.POSITIVE,
    **data_files_rules.POSITIVE,
    **serving_rules.POSITIVE,
    **system_rules.POSITIVE,
}

EXPECTED: Expected = {
    **compute_rules.EXPECTED,
    **ddp_rules.EXPECTED,
    **system_rules.EXPECTED,
}
