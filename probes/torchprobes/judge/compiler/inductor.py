"""Conditions of `compile.cache`, `workers`, `debug`, `transformer` and `train`: what goes with compiling.

Each returns what was seen, or None. `toolchain_rules` puts them into its table.
"""

from __future__ import annotations

from collections.abc import Callable

from ...model import Readings
from ...quantity import quantity
from .. import paired
from ..reading import facts, figure, is_true, line, number, text
from ..rules import When

_ROLES = ("cold", "warm", "disabled")
_CACHE_SWITCHES = ("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "TORCHINDUCTOR_FX_GRAPH_CACHE")
_OFF = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": ("1",), "TORCHINDUCTOR_FX_GRAPH_CACHE": ("0",)}

# --- cache -----------------------------------------------------------------------------------------------------------


def _hits(readings: Readings, role: str) -> float | None:
    """Graphs that a helper found, of Inductor's cache or of AOTAutograd's above it; None if it did not compile."""
    found = [number(readings, name, cache=role) for name in ("hits", "autograd_hits")]
    told = [value for value in found if value is not None]
    return sum(told) if told else None


def _switch(readings: Readings) -> str:
    set_ = ((name, text(readings, f"env.{name}")) for name in _CACHE_SWITCHES)
    return next((f"{name}={value}" for name, value in set_ if value in _OFF[name]), "")


def _cache_on(readings: Readings) -> bool:
    return not _switch(readings) and is_true(readings, "config.fx_graph_cache") is True


def _cache_times(readings: Readings) -> str:
    told = ((role, number(readings, "first_call_s", cache=role)) for role in _ROLES)
    return ", ".join(f"{role} {quantity(value, 's')}" for role, value in told if value is not None)


def cache_missed(readings: Readings) -> str | None:
    """The cache is on, and the second process found nothing: with the compiler's own reason, if it gave one."""
    if not _cache_on(readings) or _hits(readings, "warm") != 0:
        return None
    reason = text(readings, "cache.warm.bypass") or text(readings, "cache.cold.bypass")
    misses = number(readings, "misses", cache="warm") or 0
    return line(f"0 hits, {misses:.0f} misses; first call {_cache_times(readings)}; {reason or 'no reason was logged'}")


def cache_switched_off(readings: Readings) -> str | None:
    """A variable forbids the cache."""
    words = _switch(readings)
    return f"{words}; first call {_cache_times(readings)}" if words and _hits(readings, "warm") == 0 else None


def cache_answers_differ(readings: Readings) -> str | None:
    """What came out of the cache computes something else."""
    answers = {role: text(readings, f"cache.{role}.answer") for role in _ROLES}
    told = {value for value in answers.values() if value}
    return f"answers by cache: {answers}" if len(told) > 1 or "wrong" in told else None


def cache_helper_failed(readings: Readings) -> str | None:
    """A helper gave no answer, and nothing was raised that another rule names."""
    if text(readings, "compile"):
        return None
    return _ended_badly(readings, [f"cache.{role}.ending" for role in _ROLES])


def _ended_badly(readings: Readings, names: list[str]) -> str | None:
    bad = [(name.split(".")[1], text(readings, name)) for name in names if text(readings, name) not in ("", "0")]
    return ", ".join(f"{name}: ended with {code}" for name, code in bad) or None


def cache_cannot_tell(readings: Readings) -> str | None:
    """With all caches forbidden there still are hits: then a hit proves nothing."""
    hits = _hits(readings, "disabled")
    return f"{hits:.0f} hits with all caches forbidden (0 expected)" if hits else None


def cache_works(readings: Readings) -> str | None:
    """The first process missed, the second one hit, the third, which may not, did not; all answers are the same."""
    cold, warm, disabled = (_hits(readings, role) for role in _ROLES)
    if not warm or cold or disabled or cold is None or disabled is None:
        if is_true(readings, "config.fx_graph_cache") is not True and text(readings, "cache.warm.answer"):
            return f"every process compiled for itself, with the same answer; first call {_cache_times(readings)}"
        return None
    if cache_answers_differ(readings) or not text(readings, "cache.warm.answer"):
        return None
    return f"{warm:.0f} hits in the second process, 0 in an empty cache; first call {_cache_times(readings)}"


# --- workers ---------------------------------------------------------------------------------------------------------

_MUST = ("process", "thread", "daemonic process")
"""Places in which compiling must work on every version."""

_FORKED = ("forked process", "DataLoader worker")


def _bad_places(readings: Readings, places: tuple[str, ...], states: tuple[str, ...]) -> str | None:
    told = ((place, readings.fact(f"workers.in.{place}")) for place in places)
    bad = [f"{place}: {f.value}, {f.evidence}" for place, f in told if f is not None and f.value in states]
    return line("; ".join(bad)) if bad else None


def place_fails(readings: Readings) -> str | None:
    """Compiling fails in a place in which it must work."""
    return _bad_places(readings, _MUST, ("raised", "hung", "died"))


def no_daemonic(readings: Readings) -> str | None:
    """This version's pool of compile workers cannot be started from a daemonic process."""
    words = _bad_places(readings, ("daemonic process",), ("raised",))
    return words if words and "daemonic processes are not allowed" in words else None


def fork_fails(readings: Readings) -> str | None:
    """Compiling fails or hangs in a process that was forked from one that had compiled."""
    words = _bad_places(readings, _FORKED, ("raised", "hung", "died"))
    stack = text(readings, "workers.fork.stack")
    return line(f"{words}; stands in {stack}" if words and stack else words or "") or None


def place_is_wrong(readings: Readings) -> str | None:
    """Compiled code gives another answer in some place."""
    return _bad_places(readings, (*_MUST, *_FORKED, "before fork"), ("wrong",))


def workers_left(readings: Readings) -> str | None:
    """Compile workers outlived the processes that started them."""
    left = number(readings, "workers_left")
    return line(f"{left:.0f} left (0 expected): {text(readings, 'workers.left')}") if left else None


def workers_unread(readings: Readings) -> str | None:
    """A helper gave no answer."""
    return _ended_badly(readings, [f.name for f in facts(readings, "workers.", ".ending")])


def workers_fine(readings: Readings) -> str | None:
    """Compiled and right in every place, and nothing is left."""
    told = [f for f in facts(readings, "workers.in.") if f.value == "right"]
    names = {f.name[len("workers.in.") :] for f in told}
    answers = {f.evidence for f in told}  # sums of quarters are exact: one bit pattern on every device
    if not names.issuperset(_MUST) or number(readings, "workers_left") != 0 or len(answers) != 1:
        return None
    return f"compiled with the same answer in {', '.join(sorted(names))}; 0 compile workers left"


# --- debug -----------------------------------------------------------------------------------------------------------


def no_debug_tree(readings: Readings) -> str | None:
    """The preset was on, the graph was compiled, and there is no generated code to read."""
    size = figure(readings, "debug_content_bytes", file="output_code.py")
    if size is None or size.value > 0 or not text(readings, "debug.answer"):
        return None
    files = number(readings, "debug_files") or 0
    return f"{files:.0f} files, {quantity(number(readings, 'debug_bytes') or 0, 'B')}, no output_code.py with content"


def debug_unread(readings: Readings) -> str | None:
    """The helper gave no answer, and nothing was raised that another rule names."""
    return None if text(readings, "compile") else _ended_badly(readings, ["debug.ending"])


def empty_logs(readings: Readings) -> str | None:
    """Files of 0 bytes that people wait for."""
    names = text(readings, "debug.empty")
    return f"0 bytes: {line(names)}" if "debug.log" in names else None


def debug_tree(readings: Readings) -> str | None:
    """Where the generated code is, how much there is, and what kind."""
    code, size = readings.fact("debug.output_code"), number(readings, "debug_content_bytes", file="output_code.py")
    files, total = number(readings, "debug_files"), number(readings, "debug_bytes")
    if code is None or not size or files is None or total is None or not text(readings, "debug.answer"):
        return None
    return line(f"{files:.0f} files, {quantity(total, 'B')}; {code.evidence} in {code.value} ({quantity(size, 'B')})")


# --- transformer and train -------------------------------------------------------------------------------------------

_STEP_MODELS = ("transformer", "train")
_LOSS_LIMIT = 1e-2
"""After ten steps from the same weights; rounding grows from step to step (measured: below 1e-5 in float32)."""


def _of_each(find: Callable[[Readings, str], str | None]) -> When:
    def when(readings: Readings) -> str | None:
        return next(filter(None, (find(readings, model) for model in _STEP_MODELS)), None)

    return when


def _wrong(readings: Readings, model: str) -> str | None:
    error = paired.error(readings, model)
    if error is None or not error[0] > error[1]:
        return None
    what = "gradients" if model == "train" else "output"
    return f"{what}: relative error {error[0]:.2g} against float64 (limit {error[1]:.2g})"


def _no_gain(readings: Readings, model: str) -> str | None:
    if paired.gains(readings, model) is not False:
        return None
    return f"{paired.times(readings, model)}; a gain counts from {paired.GAIN}x"


step_is_wrong = _of_each(_wrong)
step_without_gain = _of_each(_no_gain)


def step_not_finite(readings: Readings) -> str | None:
    """Compiled code gave NaN or infinity."""
    return "NaN or infinity on random input" if is_true(readings, "transformer.finite") is False else None


def backward_is_eager(readings: Readings) -> str | None:
    """The backward is no compiled function, or leaves parameters without a gradient that eager gives one."""
    backward = readings.fact("train.backward")
    if backward is not None and backward.value is False:
        return f"the output's autograd functions are {line(backward.evidence)}"
    missing = text(readings, "train.compiled.without_gradient")
    if not missing or text(readings, "train.eager.without_gradient"):
        return None
    return f"no gradient for {missing}"


def training_diverges(readings: Readings) -> str | None:
    """From the same weights, ten compiled steps end at another loss than ten eager ones."""
    apart = number(readings, "loss_difference")
    if apart is None or apart <= _LOSS_LIMIT:
        return None
    return f"losses after 10 steps differ by {apart:.2g} of eager's (limit {_LOSS_LIMIT:g})"


def step_right(readings: Readings) -> str | None:
    """Compiled code was entered at each step, its answer (or its gradients) checked, and it was timed."""
    calls = number(readings, "compiled_calls_per_step", model="reference")
    for model in _STEP_MODELS:
        error, times = paired.error(readings, model), paired.times(readings, model)
        if calls and error is not None and times and (model == "transformer" or _trained(readings)):
            entered = f"{quantity(calls, 'calls')} of compiled code a step"
            return f"{entered}, relative error {error[0]:.1g} against float64, {times}"
    return None


def _trained(readings: Readings) -> bool:
    first, last = number(readings, "loss_first", model="train"), number(readings, "loss_last", model="train")
    lower = first is not None and last is not None and last < first
    return lower and is_true(readings, "train.backward") is True
