"""Rules of compute.gemm: right products, at the rate that this GPU is known to reach, or the cause that holds it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...model import Expectation, Figure, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, is_true, line, not_finite, number, on_gpu, text
from ..rules import Expected, Positive, Rule
from . import peaks
from .exactness import EPSILON, limits, precision_of

_GEMM = ("compute.gemm",)
_SPEED = ("compute.gemm", "compute.bandwidth")

NOISE = 0.10
"""A spread above this share of the rate is no ground for calling a GPU slow."""

BF16_SLOWER = 2.0
"""bf16 that is this many times slower than float32 on a CPU is worth a word: it should be the faster one."""

LOWERED = 0.95
"""A power limit below this share of the card's default has been lowered by somebody."""

_HARMFUL = ("hardware slowdown", "thermal", "power brake", "application")


def device_name(readings: Readings) -> str:
    """The GPU's name as the driver tells it; "" where there is none."""
    return text(readings, "gpu.name")


def _rates(readings: Readings) -> Iterator[Figure]:
    """The rate of each format that is judged: the best of the runs, because what peaks x MAMF expects is a best too.

    Work of others, and a clock that is still on its way up, slow some runs; what slows the GPU itself slows all of
    them. Its spread is that of the median, which says how steady the runs were.
    """
    for rate in (f for f in readings.figures if f.name == "gemm_rate"):
        best = figure(readings, "gemm_best_rate", dtype=rate.labels.get("dtype", ""))
        yield rate if best is None else msgspec.structs.replace(best, spread=rate.spread)


def _reach(readings: Readings, rate: Figure) -> peaks.Reach | None:
    """What the rate should be; None as well where the product ran in another precision than its row is named after."""
    dtype = rate.labels.get("dtype", "")
    error = number(readings, "gemm_error", dtype=dtype)
    wanted = {"fp32": "float32", "tf32": "TF32"}.get(dtype)
    if wanted and (error is None or precision_of(error) != wanted):
        return None
    return peaks.reach(device_name(readings), dtype)


def _wrong_product(readings: Readings, dtype: str) -> str:
    """What is wrong with the product of that format, "" if it is right or was not looked at."""
    error, known = number(readings, "gemm_error", dtype=dtype), limits(dtype, "gemm")
    if is_true(readings, f"gemm.{dtype}.finite") is False:
        return f"{dtype}: NaN or infinity in the product of random numbers"
    if error is None or known is None or error <= known[1]:
        return ""
    return f"{dtype}: relative error {error:.2g} against float64 (limit {known[1]:.2g})"


def _wrong(readings: Readings) -> str | None:
    words = [_wrong_product(readings, dtype) for dtype in EPSILON]
    none = not_finite(readings, "gemm_error")
    return "; ".join(filter(None, [*words, f"{none}: the error is no number" if none else ""])) or None


def _saturated(readings: Readings) -> str | None:
    """On a CPU, the int8 product alone is wrong: a known defect of PyTorch, told by its own name."""
    if on_gpu(readings) or not _wrong_product(readings, "int8"):
        return None
    others = (_wrong_product(readings, dtype) for dtype in EPSILON if dtype != "int8")
    return None if any(others) else _wrong_product(readings, "int8")


def _raised(readings: Readings) -> str | None:
    messages = facts(readings, "gemm.", ".message")
    return line(f"{messages[0].name.split('.')[1]}: {messages[0].value}") if messages else None


def _slow(readings: Readings) -> list[tuple[Figure, peaks.Reach, bool]]:
    """(rate, what it should be, whether it is below half of that) of every format that is too slow for a sound part."""
    found = ((rate, _reach(readings, rate)) for rate in _rates(readings))
    return [
        (rate, reach, reach.fail is not None and rate.value < reach.fail)
        for rate, reach in found
        if reach is not None and reach.limit is not None and rate.value < reach.limit
    ]


def _is_noisy(rate: Figure) -> bool:
    return rate.spread is not None and rate.spread > NOISE * rate.value


def _words(readings: Readings, slow: list[tuple[Figure, peaks.Reach, bool]], failed: bool) -> str | None:
    picked = [(rate, reach) for rate, reach, is_fail in slow if is_fail == failed and not _is_noisy(rate)]
    if not picked:
        return None
    rows = [
        f"{rate.labels.get('dtype')} {quantity(rate.value, rate.unit)}, {quantity(reach.value, rate.unit)} expected "
        f"(limit {quantity((reach.fail if failed else reach.limit) or 0.0, rate.unit)})"
        for rate, reach in picked
    ]
    return "; ".join(rows) + _state(readings, picked[0][0].labels.get("dtype", ""))


def _state(readings: Readings, dtype: str) -> str:
    """What the GPU said of itself under that load, in words."""
    when = f"gemm.{dtype}"
    clock, most = number(readings, "sm_clock", when=when), number(readings, "sm_clock_max", when=when)
    words = [f"clock {clock:,.0f} of {most:,.0f} MHz"] if clock and most else []
    held = text(readings, f"clocks.held.{when}")
    words += [f"held by {held}"] if held else []
    return f" [{', '.join(words)}]" if words else ""


def _degraded(readings: Readings) -> str | None:
    return _words(readings, _slow(readings), failed=False)


def _failed(readings: Readings) -> str | None:
    return _words(readings, _slow(readings), failed=True)


def _noisy(readings: Readings) -> str | None:
    noisy = [rate for rate, _, _ in _slow(readings) if _is_noisy(rate)]
    if not noisy:
        return None
    rate = noisy[0]
    width = (rate.spread or 0.0) / (rate.value or 1.0)
    return f"{rate.labels.get('dtype')}: {quantity(rate.value, rate.unit)} ± {width:.0%} (limit {NOISE:.0%})"


def _power(readings: Readings) -> str | None:
    """The power limit is below the card's default, and products are slow."""
    limit, default = number(readings, "power_limit"), number(readings, "power_limit_default")
    if not limit or not default or limit >= LOWERED * default or not _slow(readings):
        return None
    return f"power limit {limit:,.0f} W, this card's default is {default:,.0f} W{_rates_in_words(readings)}"


def _held(readings: Readings) -> str | None:
    """Clocks are held by heat, by the board or by a person, and products are slow."""
    reasons = {str(f.value) for f in facts(readings, "clocks.held.gemm.") if f.value}
    harmful = sorted(r for r in reasons if any(word in r for word in _HARMFUL))
    if not harmful or not _slow(readings):
        return None
    temperature = number(readings, "temperature")
    warm = f" at {temperature:.0f} C" if temperature is not None else ""
    return f"{harmful[0]}{warm}{_rates_in_words(readings)}"


def _rates_in_words(readings: Readings) -> str:
    rows = [f"{r.labels.get('dtype')} {quantity(r.value, r.unit)}" for r, _, _ in _slow(readings)]
    return f": {', '.join(rows)}" if rows else ""


def _unknown(readings: Readings) -> str | None:
    name = device_name(readings)
    measured = number(readings, "gemm_rate") is not None or number(readings, "copy_rate", kind="device") is not None
    if not on_gpu(readings) or not name or not measured or peaks.part(name) is not None:
        return None
    return f"no peak is known for {line(name)}"


def _slow_bf16(readings: Readings) -> str | None:
    """On a CPU without bf16 instructions, bf16 products fall back to a kernel far slower than float32's."""
    half, full = (number(readings, "gemm_rate", dtype=dtype) for dtype in ("bf16", "fp32"))
    if on_gpu(readings) or not half or not full or half * BF16_SLOWER > full:
        return None
    return f"bf16 {quantity(half, 'FLOP/s')}, fp32 {quantity(full, 'FLOP/s')}: {full / half:.0f}x slower"


def _right(readings: Readings) -> str | None:
    """Every product that was timed was held against float64."""
    rows = list(_rates(readings))
    for rate in rows:
        dtype = rate.labels.get("dtype", "")
        if number(readings, "gemm_error", dtype=dtype) is None or is_true(readings, f"gemm.{dtype}.finite") is not True:
            return None
    if not rows:
        return None
    words = []
    for rate in rows:
        reach = _reach(readings, rate)
        share = f" ({rate.value / reach.value:.0%} of the expected)" if reach and reach.limit is not None else ""
        words.append(f"{rate.labels.get('dtype')} {quantity(rate.value, rate.unit)}{share}")
    return f"{', '.join(words)}; all held against float64"


def _expected(readings: Readings) -> tuple[Expectation, ...]:
    rows = ((rate, _reach(readings, rate)) for rate in _rates(readings))
    return tuple(
        Expectation(
            name=rate.name,
            value=reach.value,
            unit=rate.unit,
            limit=reach.limit,
            labels={"dtype": rate.labels.get("dtype", "")},
            source=reach.source,
        )
        for rate, reach in rows
        if reach is not None
    )


RULES: tuple[Rule, ...] = (
    Rule("TD-CPT-001", _GEMM, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-CPT-002", _GEMM, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-CPT-003", _GEMM, Verdict.DEGRADED, Severity.WARNING, _degraded),
    Rule("TD-CPT-004", _GEMM, Verdict.FAIL, Severity.CRITICAL, _failed, hides=("TD-CPT-003",)),
    Rule("TD-CPT-005", _SPEED, Verdict.UNSURE, Severity.INFO, _unknown),
    Rule(
        "TD-CPT-006", _GEMM, Verdict.DEGRADED, Severity.WARNING, _power,
        hides=("TD-CPT-003", "TD-CPT-004", "TD-CPT-008"),
    ),
    Rule(
        "TD-CPT-007", _GEMM, Verdict.DEGRADED, Severity.CRITICAL, _held,
        hides=("TD-CPT-003", "TD-CPT-004", "TD-CPT-008"),
    ),
    Rule("TD-CPT-008", _GEMM, Verdict.UNSURE, Severity.WARNING, _noisy),
    Rule("TD-CPT-009", _GEMM, Verdict.FAIL, Severity.CRITICAL, _saturated, hides=("TD-CPT-002",)),
    Rule("TD-CPT-010", _GEMM, None, Severity.INFO, _slow_bf16),
)  # fmt: skip

POSITIVE: Positive = {"compute.gemm": _right}

EXPECTED: Expected = {"compute.gemm": _expected}
