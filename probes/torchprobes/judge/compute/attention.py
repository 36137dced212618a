"""Rules of compute.sdpa: does attention give the right answer, by a fused kernel where this GPU has one?"""

from __future__ import annotations

from ...model import Fact, Readings, Severity, Verdict
from ..reading import facts, line, not_finite, number, on_gpu, text
from ..rules import Positive, Rule
from .exactness import limits

_SDPA = ("compute.sdpa",)

FUSED_FROM = (7, 5)
"""Compute capability from which PyTorch's wheels carry a fused attention kernel for 16-bit operands."""

FASTER = 1.3
"""A back end that is this many times faster than the default's choice is worth a word."""

_FORMATS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def _defaults(readings: Readings) -> list[tuple[str, Fact]]:
    """(case, the fact that tells what the default took) of every case that ran."""
    return [(f.name.split(".")[1], f) for f in facts(readings, "sdpa.", ".default") if f.name.count(".") == 2]


def _half(readings: Readings, case: str) -> bool:
    found = (f for f in readings.figures if f.name == "sdpa_us" and f.labels.get("case") == case)
    return any(f.labels.get("dtype") in ("bfloat16", "float16") for f in found)


def _can_fuse(readings: Readings) -> bool:
    """Whether this is a device for which PyTorch's fused kernels are made."""
    major, _, minor = text(readings, "gpu.capability").partition(".")
    if not on_gpu(readings) or not major.isdigit() or not minor.isdigit():
        return False
    return (int(major), int(minor)) >= FUSED_FROM


def _raised(readings: Readings) -> str | None:
    messages = facts(readings, "sdpa.", ".default.message")
    return line(f"{messages[0].name.split('.')[1]}: {messages[0].value}") if messages else None


def _wrong(readings: Readings) -> str | None:
    words = []
    for f in readings.figures:
        known = limits(_FORMATS.get(f.labels.get("dtype", ""), ""), "attention") if f.name == "sdpa_error" else None
        if known is not None and not f.value <= known[1]:
            words.append(
                f"{f.labels.get('case')} by {f.labels.get('backend')}: relative error {f.value:.2g} against float64 "
                f"(limit {known[1]:.2g})"
            )
    none = not_finite(readings, "sdpa_error")
    words += [f"{none}: NaN or infinity in the result"] if none else []
    return "; ".join(words[:4]) or None


def _math(readings: Readings) -> str | None:
    """The default took the unfused kernel for 16-bit operands on a GPU that has fused ones."""
    if not _can_fuse(readings):
        return None
    cases = [case for case, fact in _defaults(readings) if fact.value == "math" and _half(readings, case)]
    if not cases:
        return None
    return line(f"{', '.join(cases)}: the default is the math kernel{_why(readings, cases[0])}")


def _why(readings: Readings, case: str) -> str:
    """What PyTorch says of the first fused back end that cannot run on that case."""
    told = ((b, readings.fact(f"sdpa.{case}.{b}")) for b in ("flash", "efficient", "cudnn"))
    return "".join(f"; {b}: {fact.evidence}" for b, fact in told if fact is not None and fact.value == "not usable")


def _unread(readings: Readings) -> str | None:
    unread = [(case, fact) for case, fact in _defaults(readings) if fact.value is None]
    return line(f"{unread[0][0]}: {unread[0][1].evidence}") if unread else None


def _absent(readings: Readings) -> str | None:
    """A fused back end cannot run the plainest case, though the device could."""
    if not _can_fuse(readings):
        return None
    told = ((b, readings.fact(f"sdpa.causal-64.{b}")) for b in ("flash", "efficient", "cudnn"))
    words = [f"{b}: {fact.evidence}" for b, fact in told if fact is not None and fact.value == "not usable"]
    return line("; ".join(words)) if words else None


def _slower(readings: Readings) -> str | None:
    """The default's choice is not the fastest that runs."""
    if not on_gpu(readings):
        return None
    words = []
    for case, _ in _defaults(readings):
        default = number(readings, "sdpa_us", case=case, backend="default")
        times = {b: number(readings, "sdpa_us", case=case, backend=b) for b in ("flash", "efficient", "cudnn")}
        known = [(us, name) for name, us in times.items() if us]
        if default and known and default > FASTER * min(known)[0]:
            us, name = min(known)
            words.append(f"{case}: default {default:.4g} us, {name} {us:.4g} us")
    return "; ".join(words) or None


def _chosen(readings: Readings) -> str | None:
    """The default's operation was read from the profile and its answer held against float64."""
    rows = _defaults(readings)
    if not rows or any(number(readings, "sdpa_error", case=case, backend="default") is None for case, _ in rows):
        return None
    words = ", ".join(f"{case} {fact.value}" for case, fact in rows)
    gain = _gain(readings, rows[0][0])
    return f"the default takes {words}; all held against float64{gain}"


def _gain(readings: Readings, case: str) -> str:
    default, math = (number(readings, "sdpa_us", case=case, backend=b) for b in ("default", "math"))
    return f"; {case} is {math / default:.1f}x faster than math" if default and math else ""


RULES: tuple[Rule, ...] = (
    Rule("TD-CPT-060", _SDPA, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-CPT-061", _SDPA, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-CPT-062", _SDPA, Verdict.DEGRADED, Severity.WARNING, _math, hides=("TD-CPT-063", "TD-CPT-065")),
    Rule("TD-CPT-063", _SDPA, None, Severity.INFO, _absent),
    Rule("TD-CPT-064", _SDPA, Verdict.UNSURE, Severity.WARNING, _unread),
    Rule("TD-CPT-065", _SDPA, None, Severity.INFO, _slower),
)

POSITIVE: Positive = {"compute.sdpa": _chosen}
