"""All rules, all positive evidence and all expectations, family by family."""

from __future__ import annotations

from . import run_rules
from .compiler import cudagraph as cudagraph_rules
from .compiler import entry as entry_rules
from .compiler import export as export_rules
from .compiler import graph as graph_rules
from .compiler import rules as compile_rules
from .compiler import toolchain as toolchain_rules
from .compute import launch as launch_rules
from .compute import rules as compute_rules
from .cuda import rules as cuda_rules
from .env import identity as identity_rules
from .env import rules as env_rules
from .rules import Expected, Positive, Rule
from .system import files as data_files_rules
from .system import loader as data_rules
from .system import ranks as ddp_rules
from .system import rules as system_rules
from .system import serving as serving_rules

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
    + graph_rules.RULES
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
    **graph_rules.POSITIVE,
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
