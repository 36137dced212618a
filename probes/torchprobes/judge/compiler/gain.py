"""Conditions of `compile.*`: does it gain, are the numbers right, does a second process find the caches?

Each returns what was seen, or None.
"""

from __future__ import annotations

from typing import Literal

from ...model import Readings
from ...quantity import quantity
from ..paired import GAIN, error, gains, noise, times
from ..reading import is_true, number, on_gpu, text
from ..rules import When

BUSY = 0.6
"""Share of a step in which the device works; below it, the step waits for launches."""

Bound = Literal["launch", "compute", "cpu", "unread"]


def no_gain(gpu: bool) -> When:
    """A rule that holds when the reference model surely does not gain, on a GPU or on a CPU."""

    def when(readings: Readings) -> str | None:
        if on_gpu(readings) is not gpu or gains(readings, "reference") is not False or noise(readings):
            return None
        return f"{times(readings, 'reference')}; a gain counts from {quantity(GAIN, 'x')}"

    return when


def _bound(readings: Readings, busy_share: float | None) -> Bound:
    if not on_gpu(readings):
        return "cpu"
    if busy_share is None:
        return "unread"
    return "compute" if busy_share >= BUSY else "launch"


def without_gain(bound: Bound, model: str, name: str) -> When:
    """A rule that holds when `model` does not gain and `bound` is what bounds its eager step; `name` is for people."""

    def when(readings: Readings) -> str | None:
        share = number(readings, "device_busy_share", model=model, side="eager")
        if gains(readings, model) is not False or _bound(readings, share) != bound:
            return None
        busy = "" if share is None else f"; the device works {quantity(share, 'share')} of an eager step"
        return f"no gain on {name}: {times(readings, model)}{busy and f'{busy} (limit {BUSY:.0%})'}"

    return when


# --- right or wrong ----------------------------------------------------------------------------------------------


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
    return "unread" if seconds is None else quantity(seconds, "s")


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
    if _cache_on(readings) is not False:
        return None
    second = _second_process(readings)
    return "the cache is off" + (f"; a second process: {second[1]}" if second is not None else "")


def second_process_failed(readings: Readings) -> str | None:
    """The second process ended badly."""
    code = text(readings, "warm.failed")
    return f"it ended with {code}" if code else None
