"""Rules of compile.toolchain, breaks, recompiles, cache, workers and debug."""

from __future__ import annotations

from ...model import Severity, Verdict
from ..rules import Expected, Positive, Rule
from . import dynamo, inductor
from . import toolchain_parts as parts

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
    Rule("TD-CMP-109", _TOOLCHAIN, _FAIL, _CRITICAL, parts.gives_no_answer),
    Rule("TD-CMP-109", _TOOLCHAIN, _DEGRADED, _WARNING, parts.on(True, parts.home_gives_no_answer)),
    Rule("TD-CMP-109", _TOOLCHAIN, None, _INFO, parts.on(False, parts.home_gives_no_answer)),
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

_BREAKS = (
    Rule("TD-CMP-110", ("compile.breaks",), _DEGRADED, _WARNING, dynamo.break_untold),
    Rule("TD-CMP-111", ("compile.breaks",), _DEGRADED, _WARNING, dynamo.break_in_control),
    Rule("TD-CMP-112", ("compile.breaks",), _FAIL, _CRITICAL, dynamo.break_changes_answer),
    Rule("TD-CMP-113", ("compile.breaks",), None, _WARNING, dynamo.break_raises),
)

_RECOMPILES = (
    Rule("TD-CMP-120", ("compile.recompiles",), _DEGRADED, _WARNING, dynamo.not_automatic),
    Rule("TD-CMP-121", ("compile.recompiles",), _DEGRADED, _WARNING, dynamo.not_cured),
    Rule("TD-CMP-122", ("compile.recompiles",), _UNSURE, _WARNING, dynamo.reason_untold),
    Rule("TD-CMP-123", ("compile.recompiles",), _DEGRADED, _WARNING, dynamo.eager_below_limit),
    Rule("TD-CMP-124", ("compile.recompiles",), _FAIL, _CRITICAL, dynamo.recompiled_wrong),
    Rule("TD-CMP-125", ("compile.recompiles",), None, _INFO, dynamo.limit_met),
)

_CACHE = (
    Rule("TD-CMP-060", ("compile.cache",), _DEGRADED, _WARNING, inductor.cache_missed),
    Rule("TD-CMP-132", ("compile.cache",), _DEGRADED, _WARNING, inductor.cache_switched_off, ("TD-CMP-061",)),
    Rule("TD-CMP-062", ("compile.cache",), _UNSURE, _WARNING, inductor.cache_helper_failed),
    Rule("TD-CMP-130", ("compile.cache",), _UNSURE, _WARNING, inductor.cache_cannot_tell),
    Rule("TD-CMP-131", ("compile.cache",), _FAIL, _CRITICAL, inductor.cache_answers_differ),
)

_WORKERS = (
    Rule("TD-CMP-140", ("compile.workers",), _FAIL, _CRITICAL, inductor.place_fails),
    Rule("TD-CMP-145", ("compile.workers",), _DEGRADED, _WARNING, inductor.no_daemonic, ("TD-CMP-140",)),
    Rule("TD-CMP-141", ("compile.workers",), None, _WARNING, inductor.fork_fails, ("TD-CMP-144",)),
    Rule("TD-CMP-142", ("compile.workers",), _FAIL, _CRITICAL, inductor.place_is_wrong),
    Rule("TD-CMP-143", ("compile.workers",), _DEGRADED, _WARNING, inductor.workers_left),
    Rule("TD-CMP-144", ("compile.workers",), _UNSURE, _WARNING, inductor.workers_unread),
)

_DEBUG = (
    Rule("TD-CMP-150", ("compile.debug",), _DEGRADED, _WARNING, inductor.no_debug_tree),
    Rule("TD-CMP-151", ("compile.debug",), _UNSURE, _WARNING, inductor.debug_unread),
    Rule("TD-CMP-152", ("compile.debug",), None, _INFO, inductor.empty_logs),
)

_STEPS_OF = ("compile.transformer", "compile.train")

_STEPS = (
    Rule("TD-CMP-160", _STEPS_OF, _FAIL, _CRITICAL, inductor.step_is_wrong),
    Rule("TD-CMP-051", _STEPS_OF, _FAIL, _CRITICAL, inductor.step_not_finite, ("TD-CMP-160",)),
    Rule("TD-CMP-161", _STEPS_OF, _DEGRADED, _WARNING, inductor.backward_is_eager),
    Rule("TD-CMP-162", _STEPS_OF, _DEGRADED, _WARNING, inductor.training_diverges),
    Rule("TD-CMP-163", _STEPS_OF, None, _INFO, inductor.step_without_gain),
)

RULES: tuple[Rule, ...] = _TOOLS + _TRITON + _PLACES + _BREAKS + _RECOMPILES + _CACHE + _WORKERS + _DEBUG + _STEPS

POSITIVE: Positive = {
    "compile.toolchain": parts.ready,
    "compile.breaks": dynamo.breaks_told,
    "compile.recompiles": dynamo.recompiles_told,
    "compile.cache": inductor.cache_works,
    "compile.workers": inductor.workers_fine,
    "compile.debug": inductor.debug_tree,
    "compile.transformer": inductor.step_right,
    "compile.train": inductor.step_right,
}

EXPECTED: Expected = {}
