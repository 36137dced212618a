"""Rules of compile.toolchain, breaks, recompiles, cache, workers and debug."""

from __future__ import annotations

from ..model import Severity, Verdict
from . import toolchain_parts as parts
from .rules import Expected, Positive, Rule

_FAIL, _DEGRADED, _UNSURE = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE
_CRITICAL, _WARNING, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

_TOOLCHAIN = ("compile.toolchain",)

_TOOLS = (
    Rule("TD-CMP-001", _TOOLCHAIN, _FAIL, _CRITICAL, parts.on(False, parts.compiler("cxx")), ("TD-CMP-003",)),
    Rule("TD-CMP-001", _TOOLCHAIN, _DEGRADED, _WARNING, parts.on(True, parts.compiler("cxx"))),
    Rule("TD-CMP-002", _TOOLCHAIN, _FAIL, _CRITICAL, parts.on(True, parts.compiler("cc")), ("TD-CMP-001",)),
    Rule("TD-CMP-003", _TOOLCHAIN, _FAIL, _CRITICAL, parts.python_h),
    Rule("TD-CMP-104", _TOOLCHAIN, _FAIL, _CRITICAL, parts.not_loaded),
    Rule("TD-CMP-108", _TOOLCHAIN, _FAIL, _CRITICAL, parts.threads_unread),
)

_TRITON = (
    Rule("TD-CMP-007", _TOOLCHAIN, _FAIL, _CRITICAL, parts.no_triton),
    Rule("TD-CMP-100", _TOOLCHAIN, _DEGRADED, _WARNING, parts.on(True, parts.not_pinned)),
    Rule("TD-CMP-100", _TOOLCHAIN, None, _INFO, parts.on(False, parts.not_pinned)),
    Rule("TD-CMP-008", _TOOLCHAIN, _FAIL, _CRITICAL, parts.too_old, ("TD-CMP-006",)),
    Rule("TD-CMP-006", _TOOLCHAIN, _FAIL, _CRITICAL, parts.ptxas_refuses),
    Rule("TD-CMP-004", _TOOLCHAIN, _FAIL, _CRITICAL, parts.no_libcuda),
)

_PLACES = (
    Rule("TD-CMP-010", _TOOLCHAIN, _FAIL, _CRITICAL, parts.not_writable, ("TD-CMP-103", "TD-CMP-106", "TD-CMP-107")),
    Rule("TD-CMP-005", _TOOLCHAIN, _FAIL, _CRITICAL, parts.not_executable),
    Rule("TD-CMP-101", _TOOLCHAIN, _FAIL, _CRITICAL, parts.unnamed_user),
    Rule("TD-CMP-102", _TOOLCHAIN, _FAIL, _CRITICAL, parts.no_temporary, ("TD-CMP-010",)),
    Rule("TD-CMP-103", _TOOLCHAIN, _DEGRADED, _WARNING, parts.on(True, parts.home_not_writable)),
    Rule("TD-CMP-103", _TOOLCHAIN, None, _INFO, parts.on(False, parts.home_not_writable)),
    Rule("TD-CMP-105", _TOOLCHAIN, None, _WARNING, parts.on_network),
    Rule("TD-CMP-106", _TOOLCHAIN, None, _WARNING, parts.another_owner),
    Rule("TD-CMP-107", _TOOLCHAIN, _DEGRADED, _WARNING, parts.little_space),
)

RULES: tuple[Rule, ...] = _TOOLS + _TRITON + _PLACES

POSITIVE: Positive = {"compile.toolchain": parts.ready}

EXPECTED: Expected = {}
