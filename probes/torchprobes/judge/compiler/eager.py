"""Why a step ran eager although it was compiled: one function a mechanism, from the most fundamental to the least.

Each returns its words, or "" where it was not this. `CAUSES` puts them in order: of those that hold, the first is the
root and hides the others, which are its consequences or say the same with less.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ...model import Readings
from ...quantity import quantity
from ..cards.tracebacks import cause
from ..reading import is_true, line, on_gpu, text
from ..rules import When
from .entered import calls, counted, subject, told

_LIMIT = re.compile(r"recompile.limit|cache_size_limit")


def eager_if(find: Callable[[Readings], str]) -> When:
    """A rule that holds when the model ran eager and `find` finds its words."""

    def when(readings: Readings) -> str | None:
        words = find(readings) if calls(readings) == 0 else ""
        return f"0 calls of compiled code a step (at least 1 expected); {words}" if words else None

    return when


# --- the environment and the process -------------------------------------------------------------------------------


def _dynamo_disabled(readings: Readings) -> str:
    """TORCHDYNAMO_DISABLE is set and torch.compile returned the very model."""
    value = text(readings, "env.TORCHDYNAMO_DISABLE")
    same = is_true(readings, "reference.identity") or is_true(readings, "entry.identity")
    return f"TORCHDYNAMO_DISABLE={value}, and torch.compile(f) is f" if value and same else ""


def _config_disabled(readings: Readings) -> str:
    """TORCH_COMPILE_DISABLE is set, or the setting behind it."""
    if not is_true(readings, "config.disable"):
        return ""
    value = text(readings, "env.TORCH_COMPILE_DISABLE")
    return f"TORCH_COMPILE_DISABLE={value}" if value else "torch._dynamo.config.disable is True"


def _stance(readings: Readings) -> str:
    """A stance of the compiler that runs eager, for the whole process or within the step."""
    eager = ("force_eager", "eager_on_recompile")
    value = text(readings, "stance")
    if value in eager:
        return f"the stance is {value}"
    within = [name for name in told(readings, "stances").split("; ") if name in eager]
    return f"the step sets the stance {within[0]}" if within else ""


def _mode_active(readings: Readings) -> str:
    """A dispatch mode of the user's is active in the step."""
    modes = told(readings, "dispatch_modes")
    return f"{line(modes)} is active in the step" if modes else ""


# --- given up earlier: compiled code is entered once Dynamo was made to forget ---------------------------------------


def _cured(readings: Readings) -> str:
    after = counted(readings, "compiled_calls_after_reset")
    return f"{quantity(after, 'calls')} a step once Dynamo had forgotten what it knew" if after else ""


def _given_up(name: str, words: str) -> Callable[[Readings], str]:
    def find(readings: Readings) -> str:
        before = told(readings, "before." + name)
        return f"{_cured(readings)}; {words}: {line(before)}" if before and _cured(readings) else ""

    return find


# --- the compiler failed, and said so to nobody --------------------------------------------------------------------


def suppressed(readings: Readings) -> str:
    """Errors of the compiler are hidden, and by what."""
    value = text(readings, "env.TORCHDYNAMO_SUPPRESS_ERRORS")
    if value:
        return f"TORCHDYNAMO_SUPPRESS_ERRORS={value} is set, and any value turns it on, 0 too"
    on = is_true(readings, "config.suppress_errors")
    return "torch._dynamo.config.suppress_errors is True" if on else ""


def _hidden(readings: Readings) -> str:
    """What was hidden, in the compiler's words: its metrics (2.3 and later), or its one warning."""
    known = told(readings, "fail_reason") or told(readings, "fail_type")
    if known:
        return line(known)
    warned = told(readings, "warning").strip().splitlines()
    errors = [text for text in warned if re.match(r"[\w.]*(Error|Exception|Failed)\b", text.strip())]
    return line(" ".join(errors[-1:]))


def _hidden_error(readings: Readings) -> str:
    """suppress_errors is on, and what it hid."""
    if not suppressed(readings):
        return ""
    return f"{suppressed(readings)}; hidden error: {_hidden(readings) or 'not recorded by this PyTorch'}"


def _hidden_compiler(readings: Readings) -> str:
    """The same where what was hidden is the missing C++ compiler."""
    reason = _hidden(readings)
    compiler = readings.fact("toolchain.cxx")
    none_found = not reason and not on_gpu(readings) and compiler is not None and compiler.value is None
    if cause(reason) != "TD-CMP-001" and not none_found:
        return ""
    return _hidden_error(readings) + (f" (no {compiler.evidence})" if none_found and compiler else "")


# --- the program ---------------------------------------------------------------------------------------------------


def _builtin(readings: Readings) -> str:
    """Module.compile() was called on a class of torch's own."""
    names = told(readings, "builtin")
    return f"Module.compile() was called on {line(names)}" if names else ""


def _disabled(readings: Readings) -> str:
    """What was to be compiled is under torch.compiler.disable, and Dynamo stopped there."""
    names = told(readings, "disabled") if counted(readings, "graph_breaks") else ""
    return f"disabled: {line(names)}" if names else ""


def unimplemented(readings: Readings) -> str:
    """Dynamo gave the frame up, in its own words."""
    return line(told(readings, "unimplemented.0"))


def _limit(readings: Readings) -> str:
    """The recompile limit was reached, in Dynamo's own words, with the guard that failed last."""
    words = " ".join((told(readings, "unimplemented.0"), told(readings, "fail_reason")))
    guard = told(readings, "recompile.0")
    return line(words + (f"; first reason: {guard}" if guard else "")) if _LIMIT.search(words) else ""


def _missed(readings: Readings) -> str:
    """Something was compiled, and Dynamo was never asked to look at a frame: the step does not go through it."""
    fact = readings.fact(f"{subject(readings)}.made")
    if fact is None or counted(readings, "frames") != 0:
        return ""
    return f"torch.compile was called {fact.value} times, and what it returned was never entered; {line(fact.evidence)}"


CAUSES: tuple[tuple[str, Callable[[Readings], str]], ...] = (
    ("TD-CMP-022", _dynamo_disabled),
    ("TD-CMP-023", _config_disabled),
    ("TD-CMP-024", _stance),
    ("TD-CMP-073", _mode_active),
    ("TD-CMP-071", _builtin),
    ("TD-CMP-028", _given_up("limit", "the limit was reached before")),
    ("TD-CMP-027", _given_up("hidden", "an error was hidden before")),
    ("TD-CMP-074", _given_up("dispatch_modes", "it was called before under")),
    ("TD-CMP-021", _hidden_compiler),
    ("TD-CMP-020", _hidden_error),
    ("TD-CMP-025", _limit),
    ("TD-CMP-070", _disabled),
    ("TD-CMP-026", unimplemented),
    ("TD-CMP-072", _missed),
)
"""Cards of steps that ran eager, from the root to the least telling."""
