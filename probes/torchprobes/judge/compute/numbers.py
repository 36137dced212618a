"""Rules of compute.precision and compute.numerics: are numbers as exact as their format and the settings promise?"""

from __future__ import annotations

from collections.abc import Iterator

from ...model import Figure, Readings, Severity, Verdict
from ..reading import facts, figure, is_true, line, not_finite, number, on_gpu, text
from ..rules import Positive, Rule
from .exactness import limits, precision_of

_PRECISION = ("compute.precision",)
_NUMERICS = ("compute.numerics",)

COST = 1.2
"""Full float32 is worth a word when TF32 would be this many times faster."""

_OVERRIDES = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")


def _error(readings: Readings, setting: str) -> float | None:
    return number(readings, "fp32_error", setting=setting)


def _in_words(error: float) -> str:
    return f"{precision_of(error)} (relative error {error:.2g} against float64)"


def _override(readings: Readings) -> str:
    """The variables that change float32 products, as they are set; "" if none is."""
    told = ((name, readings.fact(f"env.{name}")) for name in _OVERRIDES)
    return ", ".join(f"{name}={fact.value}" for name, fact in told if fact is not None)


def _forced(readings: Readings) -> str | None:
    """The environment makes float32 products less exact than the program asked for."""
    error, words = _error(readings, "as found"), _override(readings)
    if not words or error is None or precision_of(error) in ("float32", "wrong"):
        return None
    return f"{words}: float32 products run in {_in_words(error)}"


def _forbidden(readings: Readings) -> str | None:
    """The environment keeps TF32 from a program that asks for it: "high" gives what "highest" gives."""
    high, words = _error(readings, "high"), _override(readings)
    tf32 = number(readings, "fp32_error", setting="cuda.matmul.fp32_precision=tf32")
    if "NVIDIA_TF32_OVERRIDE=0" not in words or high is None or precision_of(high) != "float32":
        return None
    if tf32 is not None and precision_of(tf32) != "float32":
        return None
    return f'{words}: the setting "high" still multiplies in {_in_words(high)}'


def _not_highest(readings: Readings) -> str | None:
    """The strictest setting was in force and did not give float32."""
    error = _error(readings, "highest")
    if error is None or precision_of(error) in ("float32", "wrong"):
        return None
    return f'under "highest", float32 products run in {_in_words(error)}'


def _wrong(readings: Readings) -> str | None:
    for f in readings.figures:
        if f.name in ("fp32_error", "conv_error") and precision_of(f.value) == "wrong":
            return (
                f"{f.name.partition('_')[0]}, {f.labels.get('setting')}: relative error {f.value:.2g} against float64"
            )
    none = not_finite(readings, "fp32_error") or not_finite(readings, "conv_error")
    return f"{none}: NaN or infinity in the result" if none else None


def _cost(readings: Readings) -> float | None:
    """How many times faster "high" is than "highest"; None if either was not timed."""
    full, fast = (number(readings, "fp32_us", setting=setting) for setting in ("highest", "high"))
    return None if not full or not fast else full / fast


def _costly(readings: Readings) -> str | None:
    """The default is full float32, and TF32 would be faster: no fault, but worth knowing."""
    found, cost = _error(readings, "as found"), _cost(readings)
    if not on_gpu(readings) or found is None or cost is None or cost < COST or precision_of(found) != "float32":
        return None
    return (
        f'float32 products run in {_in_words(found)}; set_float32_matmul_precision("high") is {cost:.1f}x faster here'
    )


def _convolutions(readings: Readings) -> str | None:
    """Convolutions have a switch of their own, which is on by default: they differ from products in precision."""
    error, product = number(readings, "conv_error", setting="as found"), _error(readings, "as found")
    if error is None or product is None or precision_of(error) in ("float32", "wrong"):
        return None
    if precision_of(product) != "float32":
        return None
    return f"float32 convolutions run in {_in_words(error)}, products in {precision_of(product)}"


def _fingerprint(readings: Readings) -> str | None:
    """The default and every setting were measured."""
    found, highest = _error(readings, "as found"), _error(readings, "highest")
    if found is None or highest is None:
        return None
    settings = ((s, _error(readings, s)) for s in ("highest", "high", "medium"))
    words = ", ".join(f"{setting}: {precision_of(error)}" for setting, error in settings if error is not None)
    return f"float32 products run in {_in_words(found)}; {words}"


# --- numerics ------------------------------------------------------------------------------------------------------


def _errors(readings: Readings) -> Iterator[Figure]:
    return (f for f in readings.figures if f.name == "numerics_error")


def _case(error: Figure) -> str:
    return f"numerics.{error.labels.get('op')}.{error.labels.get('dtype')}"


def _steady(readings: Readings, error: Figure) -> str:
    repeated = text(readings, _case(error) + ".repeated")
    return {"same": ", twice the same", "different": ", another answer when repeated"}.get(repeated, "")


def _incorrect(readings: Readings) -> str | None:
    words = [
        f"{error.labels.get('op')} in {error.labels.get('dtype')}: relative error {error.value:.2g} (limit "
        f"{known[1]:.2g}){_steady(readings, error)}"
        for error, known in _judged(readings)
        if error.value > known[1]
    ]
    words += [
        f"{f.name.split('.')[1]} in {f.name.split('.')[2]}: NaN or infinity"
        for f in facts(readings, "numerics.", ".finite")
        if f.value is False and f.name.count(".") == 3
    ]
    return "; ".join(words[:4]) or None


def _judged(readings: Readings) -> Iterator[tuple[Figure, tuple[float, float]]]:
    for error in _errors(readings):
        known = limits(error.labels.get("dtype", ""), error.labels.get("op", ""))
        if known is not None:
            yield error, known


def _inexact(readings: Readings) -> str | None:
    words = [
        f"{error.labels.get('op')} in {error.labels.get('dtype')}: relative error {error.value:.2g} (limit "
        f"{known[0]:.2g}){_reduction(readings, error, known[0])}"
        for error, known in _judged(readings)
        if known[0] < error.value <= known[1]
    ]
    return "; ".join(words[:4]) or None


def _reduction(readings: Readings, error: Figure, limit: float) -> str:
    """Whether summing in float32 cures it, where that was tried."""
    dtype = error.labels.get("dtype", "")
    full = figure(readings, "numerics_error_full_reduction", dtype=dtype)
    if error.labels.get("op") != "gemm" or full is None:
        return ""
    cure = "cures it" if full.value <= limit else "does not cure it"
    return f"; allow_{dtype}_reduced_precision_reduction=False {cure} ({full.value:.2g})"


def _raised(readings: Readings) -> str | None:
    messages = facts(readings, "numerics.", ".message")
    return line(f"{messages[0].name.removesuffix('.message')}: {messages[0].value}") if messages else None


def _emulated(readings: Readings) -> str | None:
    if is_true(readings, "bf16.native") is not False or is_true(readings, "bf16.supported") is not True:
        return None
    return (
        f"{text(readings, 'gpu.name') or 'this GPU'} (compute capability {text(readings, 'gpu.capability')}): "
        "is_bf16_supported() is True, is_bf16_supported(including_emulation=False) is False"
    )


def _exact(readings: Readings) -> str | None:
    """Several operations were held against float64 in several formats, and every one was finite."""
    errors = list(_errors(readings))
    formats = {e.labels.get("dtype") for e in errors}
    if len(errors) < 5 or "fp32" not in formats:
        return None
    if any(is_true(readings, _case(error) + ".finite") is not True for error in errors):
        return None
    worst = max(e.value for e in errors if e.labels.get("dtype") == "fp32")
    names = ", ".join(sorted(f for f in formats if f))
    return f"{len(errors)} operations in {names} agree with float64; the largest error in float32 is {worst:.2g}"


RULES: tuple[Rule, ...] = (
    Rule("TD-CPT-020", _PRECISION, None, Severity.WARNING, _forced, hides=("TD-CPT-022",)),
    Rule("TD-CPT-021", _PRECISION, None, Severity.INFO, _costly),
    Rule("TD-CPT-022", _PRECISION, Verdict.DEGRADED, Severity.WARNING, _not_highest),
    Rule("TD-CPT-023", _PRECISION, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-CPT-024", _PRECISION, None, Severity.INFO, _convolutions),
    Rule("TD-CPT-025", _PRECISION, Verdict.DEGRADED, Severity.WARNING, _forbidden, hides=("TD-CPT-021",)),
    Rule("TD-CPT-030", _NUMERICS, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-CPT-031", _NUMERICS, Verdict.FAIL, Severity.CRITICAL, _incorrect),
    Rule("TD-CPT-032", _NUMERICS, Verdict.DEGRADED, Severity.WARNING, _inexact),
    Rule("TD-CPT-033", _NUMERICS, Verdict.DEGRADED, Severity.WARNING, _emulated),
)

POSITIVE: Positive = {"compute.precision": _fingerprint, "compute.numerics": _exact}
