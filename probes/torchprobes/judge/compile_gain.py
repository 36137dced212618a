"""Conditions of `compile.*`: does it gain, are the numbers right, does a second process find the caches?

Each returns what was seen, or None. The limits are here, one constant each.
"""

from __future__ import annotations

from typing import Literal

from ..model import Readings
from .reading import is_true, number, on_gpu, text
from .rules import When

GAIN = 1.05
"""A speed-up counts from here; below, an improvement is not worth the compile time."""

NOISE_GPU = 0.10
"""Widest 95 % interval, as a share of the speed-up, that still answers "does it gain?" on a GPU."""

NOISE_CPU = 0.50
"""The same on a CPU, where no gain is needed: only then is a figure not worth printing."""

ROUNDING = 10.0
"""Compiled code may be this many times further from float64 than eager is ..."""

ROUNDING_FLOOR = 2e-5
"""... or this far, whichever is more: TF32 instead of float32 is 3e-4, a wrong kernel far more."""

BUSY = 0.6
"""Share of a step in which the device works; below it, the step waits for launches."""

Bound = Literal["launch", "compute", "cpu", "unread"]


def _interval(readings: Readings, model: str) -> tuple[float, float, float] | None:
    """(speed-up, low, high), or None if the model was not timed."""
    value, low, high = (number(readings, name, model=model) for name in ("speedup", "speedup_low", "speedup_high"))
    return None if value is None or low is None or high is None else (value, low, high)


def times(readings: Readings, model: str) -> str:
    """The speed-up with its interval and both sides' times in words, or "" if the model was not timed."""
    speedup = _interval(readings, model)
    if speedup is None:
        return ""
    value, low, high = speedup
    sides = [
        f"{side} {us:.4g} us" for side in ("eager", "compiled") if (us := number(readings, f"{side}_us", model=model))
    ]
    return f"{value:.2f}x (95 % {low:.2f} to {high:.2f}): " + ", ".join(sides)


def _noise_limit(readings: Readings) -> float:
    return NOISE_GPU if on_gpu(readings) else NOISE_CPU


def noise(readings: Readings) -> str | None:
    """The interval contains the limit of a gain and is too wide."""
    speedup = _interval(readings, "reference")
    if speedup is None:
        return None
    value, low, high = speedup
    width, limit = (high - low) / value, _noise_limit(readings)
    if not low < GAIN < high or width <= limit:
        return None
    return f"{times(readings, 'reference')}; the interval is {width:.0%} wide (limit {limit:.0%})"


def _gains(readings: Readings, model: str) -> bool | None:
    speedup = _interval(readings, model)
    return None if speedup is None else speedup[1] >= GAIN


def no_gain(gpu: bool) -> When:
    """A rule that holds when the reference model surely does not gain, on a GPU or on a CPU."""

    def when(readings: Readings) -> str | None:
        if on_gpu(readings) is not gpu or _gains(readings, "reference") is not False or noise(readings):
            return None
        return f"{times(readings, 'reference')}; a gain counts from {GAIN}x"

    return when


def _bound(readings: Readings, busy_share: float | None) -> Bound:
    if not on_gpu(readings):
        return "cpu"
    if busy_share is None:
        return "unread"
    return "compute" if busy_share >= BUSY else "launch"


def toy_without_gain(bound: Bound) -> When:
    """A rule that holds when the toy does not gain and `bound` is what bounds its eager step."""

    def when(readings: Readings) -> str | None:
        share = number(readings, "device_busy_share", model="toy", side="eager")
        if _gains(readings, "toy") is not False or _bound(readings, share) != bound:
            return None
        busy = "" if share is None else f"; the device works {share:.0%} of an eager step (limit {BUSY:.0%})"
        return f"no gain on the toy: {times(readings, 'toy')}{busy}"

    return when


# --- right or wrong ----------------------------------------------------------------------------------------------


def error(readings: Readings, model: str) -> tuple[float, float] | None:
    """(error of compiled code against float64, its limit), or None if either was not measured."""
    eager = number(readings, "error_eager_64", model=model)
    compiled = number(readings, "error_compiled_64", model=model)
    return None if eager is None or compiled is None else (compiled, max(ROUNDING * eager, ROUNDING_FLOOR))


def wrong(readings: Readings) -> str | None:
    """Compiled code is further from the truth than rounding can explain."""
    for model in ("reference", "toy"):
        found = error(readings, model)
        if found is not None and found[0] > found[1]:
            return f"{model} model: relative error {found[0]:.2g} against float64 (limit {found[1]:.2g})"
    return None


def not_finite(readings: Readings) -> str | None:
    """Compiled code gave NaN or infinity."""
    bad = [model for model in ("reference", "toy") if is_true(readings, model + ".finite") is False]
    return f"{bad[0]} model: NaN or infinity on random input" if bad else None


# --- caches --------------------------------------------------------------------------------------------------------


def _second_process(readings: Readings) -> tuple[int, str] | None:
    """(cache hits of the second process, what it saw), or None if there was none."""
    hits = readings.fact("warm.cache_hits")
    if hits is None or not isinstance(hits.value, int):
        return None
    misses, bypassed = (text(readings, "warm.cache_" + name) or "?" for name in ("misses", "bypassed"))
    cold, warm = (_first_call(readings, cache) for cache in ("cold", "warm"))
    return hits.value, f"{hits.value} hits, {misses} misses, {bypassed} bypassed; first call {cold} cold, {warm} warm"


def _first_call(readings: Readings, cache: str) -> str:
    seconds = number(readings, "first_call_s", model="reference", cache=cache)
    return "unread" if seconds is None else f"{seconds:.1f} s"


def _cache_on(readings: Readings) -> bool | None:
    if text(readings, "env.TORCHINDUCTOR_FORCE_DISABLE_CACHES") == "1":
        return False
    return is_true(readings, "config.fx_graph_cache")


def cache_missed(readings: Readings) -> str | None:
    """The cache is on, and the second process found nothing in it."""
    second = _second_process(readings)
    return second[1] if second is not None and second[0] == 0 and _cache_on(readings) else None


def cache_off(readings: Readings) -> str | None:
    """The cache is off, by a variable or by this version's default."""
    second = _second_process(readings)
    return second[1] if second is not None and _cache_on(readings) is False else None


def second_process_failed(readings: Readings) -> str | None:
    """The second process ended badly."""
    code = text(readings, "warm.failed")
    return f"it ended with {code}" if code else None
