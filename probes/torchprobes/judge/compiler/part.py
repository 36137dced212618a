"""Conditions of `compile.*`: compiled code is entered, and yet it does not help, or only in part.

Each returns what was seen, or None.
"""

from __future__ import annotations

import re

from ...model import Readings
from ...quantity import quantity
from ..reading import is_true, line, on_gpu, text
from .eager import suppressed
from .entered import calls, counted, subject, told

GRAPH_MODES = ("compile.reduce-overhead", "compile.max-autotune")

DEBUG_BACKENDS = frozenset((
    "eager", "eager_noexcept", "eager_debug", "pre_dispatch_eager", "aot_eager", "aot_eager_default_partitioner",
    "aot_eager_decomp_partition", "aot_eager_decomp_partition_with_mode", "invoke_subgraph",
))  # fmt: skip
"""Backends of PyTorch that generate no code: torch/_dynamo/backends/debugging.py."""

RECOMPILES = 0.5
"""Graphs compiled anew a steady step; from here it compiles at every other call at least."""

_FLIP = re.compile(r"grad_mode|is_grad_enabled|inference|dispatch key set|dtype mismatch|\.training|autocast")
_DISABLED = re.compile(r"GB009[89]|compiler\.disable|_dynamo\.disable|gb0098|gb0099")
_EACH_SHAPE = re.compile(r"new graph for each distinct|distinct sizes|dynamic shape", re.IGNORECASE)


def _steps(readings: Readings) -> float:
    return calls(readings) or 0.0


# --- split, or compiled again and again ----------------------------------------------------------------------------


def breaks(readings: Readings) -> str | None:
    """The model was split, with the first place."""
    count = counted(readings, "graph_breaks")
    if not count:
        return None
    fact = readings.fact(f"{subject(readings)}.graph_break.0")
    what = "" if fact is None else f": {line(str(fact.value))}"
    where = "" if fact is None or not fact.evidence else f" at {fact.evidence}"
    return f"{quantity(count, 'breaks')} (0 expected){what}{where}"


def disabled_inside(readings: Readings) -> str | None:
    """A function under torch.compiler.disable splits the model."""
    words = told(readings, "graph_break.0")
    if not _steps(readings) or not _DISABLED.search(words):
        return None
    names = told(readings, "disabled")
    return f"{quantity(counted(readings, 'graph_breaks') or 1, 'breaks')} (0 expected) at {line(names or words)}"


def recompiling(readings: Readings) -> str | None:
    """Steady steps compile anew."""
    rate = counted(readings, "compiles_per_step")
    if rate is None or rate < RECOMPILES or told(readings, "dispatch_modes"):
        return None
    guard = told(readings, "recompile.0")
    return f"{quantity(rate, 'graphs')} compiled a steady step (0 expected)" + (f": {line(guard)}" if guard else "")


def mode_recompiling(readings: Readings) -> str | None:
    """Steady steps compile anew under a dispatch mode: 2.1 does not run eager there, it forgets."""
    rate, modes = counted(readings, "compiles_per_step"), told(readings, "dispatch_modes")
    if rate is None or rate < RECOMPILES or not modes:
        return None
    return f"{quantity(rate, 'graphs')} compiled a steady step (0 expected) while {line(modes)} is active"


def flips(readings: Readings) -> str | None:
    """Several graphs of one function, because grad mode, dtype or training changed between calls."""
    graphs = counted(readings, "graphs")
    reasons = [told(readings, f"recompile.{index}") for index in range(5)]
    flipped = [reason for reason in reasons if _FLIP.search(reason)]
    if not flipped or not _steps(readings) or graphs is None or (counted(readings, "compiles_per_step") or 0) > 0:
        return None
    return f"{quantity(graphs, 'graphs')} of one model: {line('; '.join(flipped))}"


def limit_in_part(readings: Readings) -> str | None:
    """The recompile limit was reached, and some compiled code is still entered."""
    words = told(readings, "unimplemented.0")
    if not _steps(readings) or not re.search(r"recompile.limit|cache_size_limit", words):
        return None
    return f"{quantity(_steps(readings), 'calls')} of compiled code a step, and new variants run eager: {line(words)}"


# --- nothing that could help ---------------------------------------------------------------------------------------


def debug_backend(readings: Readings) -> str | None:
    """All graphs went to a backend that generates no code."""
    names = [name for name in told(readings, "backends").split(", ") if name]
    if not _steps(readings) or not names or not set(names) <= DEBUG_BACKENDS:
        return None
    return f"backend {', '.join(names)}: {quantity(_steps(readings), 'calls')} a step, 0 kernels generated"


def nothing_generated(readings: Readings) -> str | None:
    """Compiled code ran and consists of library calls alone."""
    extern = counted(readings, "extern_calls")
    known = bool(extern) or (told(readings, "backends") == "inductor" and not counted(readings, "fxgraph_cache_hit"))
    if not _steps(readings) or not known or counted(readings, "generated_kernels") != 0:
        return None
    libraries = "all calls go to libraries" if extern is None else f"{quantity(extern, 'calls')} of libraries"
    return f"0 kernels generated (at least 1 expected), {libraries}"


def small_gpu(readings: Readings) -> str | None:
    """Inductor itself says that this GPU is too small for its GEMM templates, which were asked for."""
    asked = readings.probe.startswith("compile.max-autotune") or "max_autotune" in told(readings, "options")
    return text(readings, "gpu.name") or "this GPU" if asked and is_true(readings, "gpu.big") is False else None


def would_hide(readings: Readings) -> str | None:
    """suppress_errors is on although nothing had to be hidden this time."""
    return suppressed(readings) or None if calls(readings) else None


def bypassed(readings: Readings) -> str | None:
    """Graphs that the cache refuses: each process compiles them anew."""
    count = counted(readings, "fxgraph_cache_bypass") or counted(readings, "autograd_cache_bypass")
    return f"{quantity(count, 'graphs')} bypassed the cache (0 expected)" if count else None


# --- CUDA graphs ---------------------------------------------------------------------------------------------------


def _promised(readings: Readings) -> bool:
    """Whether CUDA graphs were asked for: by the mode, an option or the environment."""
    asked = "triton.cudagraphs" in told(readings, "options") or text(readings, "env.TORCHINDUCTOR_CUDAGRAPHS") == "1"
    return readings.probe in GRAPH_MODES or asked


def _launches(readings: Readings) -> float | None:
    return counted(readings, "graph_launches", side="compiled")


def _skip_reason(readings: Readings) -> str:
    known = told(readings, "cudagraph_skip_reason")
    warned = [part for part in told(readings, "warning").split("; ") if "cudagraph" in part.lower()]
    return line(known or "; ".join(warned))


def _none_launched(readings: Readings) -> bool:
    return on_gpu(readings) and _promised(readings) and _launches(readings) == 0


def graphs_skipped(readings: Readings) -> str | None:
    """On a GPU, no CUDA graph was launched in the profiled steps, and Inductor counted or said why."""
    reason, skips = _skip_reason(readings), counted(readings, "cudagraph_skips")
    if not _none_launched(readings) or not (reason or skips):
        return None
    return "0 CUDA graphs launched a step (at least 1 expected)" + (f": {reason}" if reason else "")


def graphs_vanished(readings: Readings) -> str | None:
    """The same, and neither a counter nor a log nor a metric says so."""
    if not _none_launched(readings) or _skip_reason(readings) or counted(readings, "cudagraph_skips"):
        return None
    return "0 CUDA graphs launched a step (at least 1 expected), and nothing was counted or logged"


def graphs_captured_again(readings: Readings) -> str | None:
    """Steady steps record CUDA graphs anew, or each has a shape that wants a recording of its own."""
    captures = counted(readings, "graph_captures", side="compiled")
    if captures:
        return f"{quantity(captures, 'captures')} a steady step (0 expected)"
    if _none_launched(readings) and _EACH_SHAPE.search(_skip_reason(readings)):
        return f"0 CUDA graphs launched a step (at least 1 expected): {_skip_reason(readings)}"
    return None


def graphs_unread(readings: Readings) -> str | None:
    """On a CUDA device, the profile shows no call of the driver at all."""
    on_cuda = readings.device.startswith("cuda") and _promised(readings)
    if not on_cuda or not calls(readings) or _launches(readings) is not None:
        return None
    fact = readings.fact("profile.unreadable")
    return "no driver call in the profile" if fact is None else f"no profile: {line(f'{fact.value}: {fact.evidence}')}"


def graphs_on_cpu(readings: Readings) -> str | None:
    """On a CPU, compiled without CUDA graphs: as it must be."""
    return "compiled without CUDA graphs" if not on_gpu(readings) and calls(readings) and _promised(readings) else None


# --- slow in eager and compiled alike ------------------------------------------------------------------------------


def attention_math(readings: Readings) -> str | None:
    """The model has attention, and no fused kernel of it was seen in a profile."""
    wanted, fused = counted(readings, "attention_ops"), counted(readings, "attention_fused")
    if not wanted or fused != 0:
        return None
    return f"{quantity(wanted, 'ops')} of attention, 0 fused attention kernels in the profile (at least 1 expected)"


def bf16_emulated(readings: Readings) -> str | None:
    """The model computes in bfloat16, which this device only emulates."""
    used = "bfloat16" in told(readings, "dtypes")
    return f"bfloat16 on {text(readings, 'gpu.name')}" if used and is_true(readings, "gpu.bf16") is False else None


def tf32_off(readings: Readings) -> str | None:
    """The model multiplies float32 matrices at full precision on a GPU that has TF32."""
    on = text(readings, "gpu.matmul_precision")
    has = is_true(readings, "gpu.tf32")
    if not has or on != "highest" or not counted(readings, "matmul_ops") or "float32" not in told(readings, "dtypes"):
        return None
    return f"torch.get_float32_matmul_precision() is {on!r}"


def cudnn_off(readings: Readings) -> str | None:
    """The model convolves, and cuDNN is switched off or missing."""
    if not counted(readings, "convolutions") or is_true(readings, "gpu.cudnn") is not False:
        return None
    return f"{quantity(counted(readings, 'convolutions') or 0, 'convolutions')} without cuDNN"
