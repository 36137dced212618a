"""Rules of compute.autograd and compute.determinism: gradients that are right, and bits that come again."""

from __future__ import annotations

from ...model import Fact, Readings, Severity, Verdict
from ..reading import facts, is_true, line, number, on_gpu, text
from ..rules import Positive, Rule

_AUTOGRAD = ("compute.autograd",)
_DETERMINISM = ("compute.determinism",)


def _values(readings: Readings, start: str, value: str) -> list[Fact]:
    return [f for f in facts(readings, start) if f.value == value]


def _last(fact: Fact) -> str:
    return fact.name.rpartition(".")[2]


def _wrong(readings: Readings) -> str | None:
    wrong = _values(readings, "autograd.gradcheck.", "wrong")
    return line(f"{', '.join(map(_last, wrong))}: {wrong[0].evidence}") if wrong else None


def _raised_of(start: str, readings: Readings) -> str | None:
    messages = facts(readings, start, ".message")
    return line(f"{messages[0].name.removesuffix('.message')}: {messages[0].value}") if messages else None


def _raised(readings: Readings) -> str | None:
    return _raised_of("autograd.", readings)


def _incomplete(readings: Readings) -> str | None:
    words = []
    for fact in facts(readings, "autograd.step."):
        what, count = _last(fact), fact.value
        if what in ("missing", "not_finite", "zero") and isinstance(count, int) and count > 0:
            words.append(f"{fact.name.split('.')[2]}: {count} {what.replace('_', ' ')} ({fact.evidence})")
    return line("; ".join(words)) if words else None


def _blind(readings: Readings) -> str | None:
    return (
        "gradcheck passed a backward that is 0.3 % wrong" if is_true(readings, "autograd.detector") is False else None
    )


def _gradients(readings: Readings) -> str | None:
    """Several functions were checked, the wrong one was caught, and a training step gave every gradient."""
    right = _values(readings, "autograd.gradcheck.", "right")
    gradients = number(readings, "gradients", step="fp32")
    if len(right) < 2 or is_true(readings, "autograd.detector") is not True or not gradients:
        return None
    return (
        f"gradients of {', '.join(map(_last, right))} agree with finite differences, a wrong backward was caught, "
        f"and a training step gave {gradients:g} finite gradients"
    )


# --- determinism ---------------------------------------------------------------------------------------------------


def _seed(readings: Readings) -> str | None:
    different = text(readings, "determinism.seed") == "different"
    return "torch.manual_seed(23) twice gave two different sequences on the device" if different else None


def _differ(readings: Readings) -> str | None:
    different = _values(readings, "determinism.default.", "different")
    return ", ".join(_last(f) for f in different) + ": other bits when repeated" if different else None


def _still_differ(readings: Readings) -> str | None:
    """Deterministic algorithms were asked for, PyTorch warned of nothing there, and the bits still differ."""
    different = _values(readings, "determinism.deterministic.", "different")
    silent = [f for f in different if readings.fact(f"determinism.warned.{_last(f)}") is None]
    return ", ".join(map(_last, silent)) + ": other bits when repeated, and no warning" if silent else None


def _workspace(readings: Readings) -> str | None:
    warned = [str(f.value) for f in facts(readings, "determinism.warned.")]
    asks = next((w for w in warned if "CUBLAS_WORKSPACE_CONFIG" in w), None)
    if asks is None or text(readings, "env.CUBLAS_WORKSPACE_CONFIG"):
        return None
    return line(asks)


def _impossible(readings: Readings) -> str | None:
    warned = facts(readings, "determinism.warned.")
    names = [_last(f) for f in warned if "CUBLAS_WORKSPACE_CONFIG" not in str(f.value)]
    return f"no deterministic algorithm for {', '.join(names)}: {line(str(warned[0].value))}" if names else None


def _not_run(readings: Readings) -> str | None:
    return _raised_of("determinism.", readings)


def _bits(readings: Readings) -> str | None:
    """The seed gives the same numbers, and operations were repeated in both modes."""
    repeated = facts(readings, "determinism.deterministic.")
    if text(readings, "determinism.seed") != "same" or len(repeated) < 4:
        return None
    same = len(_values(readings, "determinism.default.", "same"))
    total = len([f for f in facts(readings, "determinism.default.") if f.value in ("same", "different")])
    where = "the GPU" if on_gpu(readings) else "the CPU"
    agreed = len(_values(readings, "determinism.deterministic.", "same"))
    return (
        f"one seed, one sequence on {where}; repeated bit for bit: {same} of {total} operations, "
        f"{agreed} of {len(repeated)} under deterministic algorithms"
    )


RULES: tuple[Rule, ...] = (
    Rule("TD-CPT-070", _AUTOGRAD, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-CPT-071", _AUTOGRAD, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-CPT-072", _AUTOGRAD, Verdict.FAIL, Severity.CRITICAL, _incomplete),
    Rule("TD-CPT-073", _AUTOGRAD, Verdict.UNSURE, Severity.WARNING, _blind),
    Rule("TD-CPT-090", _DETERMINISM, Verdict.FAIL, Severity.CRITICAL, _seed),
    Rule("TD-CPT-091", _DETERMINISM, None, Severity.INFO, _differ),
    Rule("TD-CPT-092", _DETERMINISM, Verdict.DEGRADED, Severity.WARNING, _still_differ),
    Rule("TD-CPT-093", _DETERMINISM, None, Severity.INFO, _workspace),
    Rule("TD-CPT-094", _DETERMINISM, Verdict.FAIL, Severity.CRITICAL, _not_run),
    Rule("TD-CPT-095", _DETERMINISM, None, Severity.INFO, _impossible),
)

POSITIVE: Positive = {"compute.autograd": _gradients, "compute.determinism": _bits}
