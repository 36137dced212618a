"""Conditions on figures of two ways to do the same: eager, and what should be faster and must be as right.

Each returns what was seen, or None. The limits are here, one constant each.
"""

from __future__ import annotations

from ..model import Readings
from ..quantity import quantity
from .reading import number, on_gpu

GAIN = 1.05
"""A speed-up counts from here; below, an improvement is not worth the compile time."""

NOISE_GPU = 0.10
"""Widest 95 % interval, as a share of the speed-up, that still answers "does it gain?" on a GPU."""

NOISE_CPU = 0.30
"""The same on a CPU, where no gain is needed but the figure is printed: it may be half of this off."""

ROUNDING = 10.0
"""Compiled code may be this many times further from float64 than eager is ..."""

ROUNDING_FLOOR = 2e-5
"""... or this far, whichever is more: TF32 instead of float32 is 3e-4, a wrong kernel far more."""

GRADIENT_ROUNDING = 1e-3
"""Outputs and gradients of the same float32 kernels in another order may differ by this share of the largest."""


_UNITS = ("us", "s")


def interval(readings: Readings, model: str) -> tuple[float, float, float] | None:
    """(speed-up, low, high), or None if the model was not timed. A ratio of two times is above 0."""
    value, low, high = (number(readings, name, model=model) for name in ("speedup", "speedup_low", "speedup_high"))
    return None if not value or value < 0 or low is None or high is None else (value, low, high)


def times(readings: Readings, model: str) -> str:
    """The speed-up with its interval and both sides' times in words, or "" if the model was not timed."""
    speedup = interval(readings, model)
    if speedup is None:
        return ""
    value, low, high = speedup
    found = ((s, u, number(readings, f"{s}_{u}", model=model)) for s in ("eager", "compiled", "replay") for u in _UNITS)
    sides = [f"{side} {quantity(time, unit)}" for side, unit, time in found if time is not None]
    return f"{value:.2f}× (95 % {low:.2f} to {high:.2f}): " + ", ".join(sides)


def noise_limit(readings: Readings) -> float:
    """Widest interval that still answers whether it gains, on the device of these readings."""
    return NOISE_GPU if on_gpu(readings) else NOISE_CPU


def noise(readings: Readings) -> str | None:
    """The interval is too wide: on a GPU to say whether it gains, on a CPU for the figure to be worth printing."""
    speedup = interval(readings, "reference")
    if speedup is None:
        return None
    value, low, high = speedup
    width, limit = (high - low) / value, noise_limit(readings)
    if width <= limit or (on_gpu(readings) and not low < GAIN < high):
        return None
    return f"{times(readings, 'reference')}; the interval is {width:.0%} wide (limit {limit:.0%})"


def gains(readings: Readings, model: str) -> bool | None:
    """Whether the faster way surely pays on that model; None if it was not timed."""
    speedup = interval(readings, model)
    return None if speedup is None else speedup[1] >= GAIN


def error(readings: Readings, model: str) -> tuple[float, float] | None:
    """(error of compiled code against float64, its limit), or None if either was not measured."""
    eager = number(readings, "error_eager_64", model=model)
    compiled = number(readings, "error_compiled_64", model=model)
    return None if eager is None or compiled is None else (compiled, max(ROUNDING * eager, ROUNDING_FLOOR))
