"""Conditions of `compile.*`: what the stack raised, whether compiled code ran, and how much of the model.

Each returns what was seen, or None. `compile_rules` puts them into its table.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..model import Readings
from .cards.tracebacks import cause
from .reading import is_true, line, number, on_gpu, text
from .rules import When


def raised_for(card: str | None) -> When:
    """A rule that holds when the stack raised what belongs to `card`; None: what belongs to no card of its own."""

    def when(readings: Readings) -> str | None:
        for name, model in (("compile", "reference"), ("compile.toy", "toy")):
            if text(readings, name):
                message = f"{text(readings, name)}: {text(readings, name + '.message')}"
                return f"{model} model: {line(message)}" if cause(message) == card else None
        return None

    return when


# --- ran eager -------------------------------------------------------------------------------------------------


def calls(readings: Readings) -> float | None:
    """Compiled calls a step of the reference model, or None if they were not counted."""
    return number(readings, "compiled_calls_per_step", model="reference")


def eager_if(find: Callable[[Readings], str]) -> When:
    """A rule that holds when the reference model ran eager and `find` finds its words."""

    def when(readings: Readings) -> str | None:
        words = find(readings) if calls(readings) == 0 else ""
        return f"0 compiled calls a step (at least 1 expected); {words}" if words else None

    return when


def _suppressed(readings: Readings) -> str:
    value = text(readings, "env.TORCHDYNAMO_SUPPRESS_ERRORS")
    if value:
        return f"TORCHDYNAMO_SUPPRESS_ERRORS={value} is set, and any value turns it on, 0 too"
    on = is_true(readings, "config.suppress_errors")
    return "torch._dynamo.config.suppress_errors is True" if on else ""


def hidden_error(readings: Readings) -> str:
    """suppress_errors is on, and what it hid, if this PyTorch recorded it (2.3 and later do)."""
    if not _suppressed(readings):
        return ""
    reason = text(readings, "reference.fail_reason") or text(readings, "reference.fail_type")
    return f"{_suppressed(readings)}; hidden error: {line(reason) or 'not recorded by this PyTorch'}"


def hidden_compiler(readings: Readings) -> str:
    """The same where what was hidden is the missing C++ compiler."""
    reason = text(readings, "reference.fail_reason")
    compiler = readings.fact("toolchain.cxx")
    none_found = not reason and not on_gpu(readings) and compiler is not None and compiler.value is None
    if cause(reason) != "TD-CMP-001" and not none_found:
        return ""
    return hidden_error(readings) + (f" (no {compiler.evidence})" if none_found and compiler else "")


def dynamo_disabled(readings: Readings) -> str:
    """TORCHDYNAMO_DISABLE is set and torch.compile returned the very model."""
    value = text(readings, "env.TORCHDYNAMO_DISABLE")
    same = is_true(readings, "reference.identity")
    return f"TORCHDYNAMO_DISABLE={value}, and torch.compile(f) is f" if value and same else ""


def config_disabled(readings: Readings) -> str:
    """TORCH_COMPILE_DISABLE is set, or the setting behind it."""
    if not is_true(readings, "config.disable"):
        return ""
    value = text(readings, "env.TORCH_COMPILE_DISABLE")
    return f"TORCH_COMPILE_DISABLE={value}" if value else "torch._dynamo.config.disable is True"


def stance(readings: Readings) -> str:
    """A stance of the compiler that runs eager."""
    value = text(readings, "stance")
    return f"the stance is {value}" if value in ("force_eager", "eager_on_recompile") else ""


def unimplemented(readings: Readings) -> str:
    """Dynamo gave the frame up, in its own words."""
    return line(text(readings, "reference.unimplemented.0"))


def limit(readings: Readings) -> str:
    """The recompile limit was reached, in Dynamo's own words."""
    words = unimplemented(readings) + text(readings, "reference.fail_reason")
    return line(words) if re.search(r"recompile.limit|cache_size_limit", words) else ""


# --- in part -----------------------------------------------------------------------------------------------------


def breaks(readings: Readings) -> str | None:
    """The reference model was split, with the first place."""
    count = number(readings, "graph_breaks", model="reference")
    if not count:
        return None
    fact = readings.fact("reference.graph_break.0")
    what = "" if fact is None else f": {line(str(fact.value))}"
    where = "" if fact is None or not fact.evidence else f" at {fact.evidence}"
    return f"{count:.0f} breaks (0 expected){what}{where}"


def _graph_launches(readings: Readings) -> float | None:
    return number(readings, "graph_launches", model="reference", side="compiled")


def graphs_skipped(readings: Readings) -> str | None:
    """On a GPU, no CUDA graph was launched in the profiled steps."""
    if not on_gpu(readings) or _graph_launches(readings) != 0:
        return None
    reason = line(text(readings, "reference.cudagraph_skip_reason"))
    return "0 CUDA graphs launched a step (at least 1 expected)" + (f": {reason}" if reason else "")


def graphs_unread(readings: Readings) -> str | None:
    """On a CUDA device, the profile shows no call of the driver at all."""
    if not readings.device.startswith("cuda") or not calls(readings) or _graph_launches(readings) is not None:
        return None
    fact = readings.fact("profile.unreadable")
    return "no driver call in the profile" if fact is None else f"no profile: {line(f'{fact.value}: {fact.evidence}')}"


def graphs_on_cpu(readings: Readings) -> str | None:
    """On a CPU, compiled without CUDA graphs: as it must be."""
    return "compiled without CUDA graphs" if not on_gpu(readings) and calls(readings) else None


def nothing_generated(readings: Readings) -> str | None:
    """Compiled code ran and consists of library calls alone."""
    extern = number(readings, "extern_calls", model="reference")
    if not calls(readings) or not extern or number(readings, "generated_kernels", model="reference") != 0:
        return None
    return f"0 kernels generated (at least 1 expected), {extern:.0f} calls of libraries"


def small_gpu(readings: Readings) -> str | None:
    """Inductor itself says that this GPU is too small for its GEMM templates."""
    return text(readings, "gpu.name") or "this GPU" if is_true(readings, "gpu.big") is False else None


def would_hide(readings: Readings) -> str | None:
    """suppress_errors is on although nothing had to be hidden this time."""
    return _suppressed(readings) or None if calls(readings) else None
