"""Rules of `ddp.*`: did ranks meet every time, reduce rightly, train to the same bits, steadily and fast enough?"""

from __future__ import annotations

from ..model import Figure, Readings, Severity, Verdict
from .reading import facts, figure, is_true, line, number, on_gpu, raised, text
from .rules import Expected, Positive, Rule

_ALL = ("ddp.*",)

SAME_TRAINING = 1e-3
"""Relative distance of the parameters from those of one process that saw the whole batch (5e-8 measured)."""

FLUCTUATION_PERCENT = {"allocated_peak": 1.0, "rss": 5.0}
"""std/mean of memory over steps with fixed shapes; the host's resident set moves more than the allocator."""

EXPECTED_BUSBW = (
    ("H100 80GB HBM3", 2, "128 MiB", 285.0),
    ("H200", 2, "128 MiB", 285.0),
    ("A100-SXM4", 8, "128 MiB", 177.0),
)
"""GPU, ranks, size, GB/s of a sound node: measured on 2 H200 without NVLS; nccl-tests #149 for 8 A100."""

ALARM_SHARE = 0.75


def _hung(readings: Readings) -> str | None:
    told = facts(readings, "ddp.hung.")
    return line("; ".join(f"{_rank(f.name)} hung in phase {f.value}" for f in told)) if told else None


def _rank(name: str) -> str:
    return "rank " + name.split(".")[2].lstrip("r")


def _failed(phases: tuple[str, ...], readings: Readings) -> str | None:
    told = [f for f in facts(readings, "ddp.failed.") if f.value in phases]
    words = [f"{_rank(f.name)} in phase {f.value}: {_why(readings, f.name)}" for f in told]
    return line("; ".join(words)) if words else None


def _why(readings: Readings, name: str) -> str:
    return raised(readings, f"ddp.raised.{name.split('.')[2]}") or "no error was told"


def _never_met(readings: Readings) -> str | None:
    made = figure(readings, "init_ok")
    why = _failed(("meet", "init"), readings)
    if made is not None and made.value < made.n:
        return line(f"{made.value:g} of {made.n} communicators were made; {why or 'no error was told'}")
    return why


def _raised(readings: Readings) -> str | None:
    return _failed(("reduce", "train", "leave", "one-rank"), readings)


def _wrong_sums(readings: Readings) -> str | None:
    fact = readings.fact("ddp.sums")
    return fact.evidence if fact is not None and fact.value == "wrong" else None


def _different(readings: Readings) -> str | None:
    fact = readings.fact("ddp.parameters")
    return fact.evidence if fact is not None and fact.value == "different" else None


def _blind(readings: Readings) -> str | None:
    return "one changed bit was not seen" if is_true(readings, "ddp.parameters.detector") is False else None


def _other_training(readings: Readings) -> str | None:
    distance = number(readings, "single_run_difference")
    if distance is None or distance <= SAME_TRAINING:
        return None
    return f"parameters differ by {distance:.2g} from a run in one process (limit {SAME_TRAINING:g})"


def _unsteady(readings: Readings) -> str | None:
    found = figure(readings, "memory_fluctuation")
    limit = FLUCTUATION_PERCENT.get(found.labels.get("series", "")) if found else None
    if found is None or limit is None or found.value <= limit:
        return None
    return f"{found.labels['series']}: std/mean {found.value:.2f} % over {found.n} steps (limit {limit:g} %)"


def _slow(readings: Readings) -> str | None:
    name = text(readings, "ddp.gpu")
    for part, ranks, size, expected in EXPECTED_BUSBW:
        found = figure(readings, "busbw_gb_s", size=size, ranks=str(ranks), backend="nccl")
        if part in name and found is not None and found.value < ALARM_SHARE * expected:
            return (
                f"{found.value:.0f} GB/s at {size} on {ranks} x {name}; {expected:g} is sound, "
                f"the alarm is below {ALARM_SHARE * expected:.0f}"
            )
    return None


def _cpu_only(readings: Readings) -> str | None:
    if not on_gpu(readings) or text(readings, "ddp.backend") != "gloo":
        return None
    alone = text(readings, "ddp.nccl_one_rank")
    also = f"; NCCL with one rank: {alone}" if alone else ""
    return f"{text(readings, 'ddp.ranks')} gloo ranks on the CPU{also}"


def _one_rank_wrong(readings: Readings) -> str | None:
    return "all_reduce of one rank changed its input" if text(readings, "ddp.nccl_one_rank") == "wrong" else None


def _noisy(readings: Readings) -> str | None:
    told = [f for f in readings.figures if f.name == "allreduce_us" and (_deviation(readings, f) or 0.0) > f.value]
    words = [f"{f.labels.get('size', '')}: {f.value:.0f} ± {_deviation(readings, f):.0f} µs" for f in told]
    return ", ".join(words) or None


def _deviation(readings: Readings, mean: Figure) -> float | None:
    return number(readings, "allreduce_std_us", size=mean.labels.get("size", ""))


RULES: tuple[Rule, ...] = (
    Rule("TD-DDP-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _hung, ("TD-DDP-002", "TD-DDP-003")),
    Rule("TD-DDP-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _never_met, ("TD-DDP-003",)),
    Rule("TD-DDP-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-DDP-004", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong_sums, ("TD-DDP-005", "TD-DDP-007")),
    Rule("TD-DDP-005", _ALL, Verdict.FAIL, Severity.CRITICAL, _different),
    Rule("TD-DDP-006", _ALL, Verdict.UNSURE, Severity.WARNING, _blind),
    Rule("TD-DDP-007", _ALL, Verdict.FAIL, Severity.CRITICAL, _other_training),
    Rule("TD-DDP-008", _ALL, Verdict.DEGRADED, Severity.WARNING, _unsteady),
    Rule("TD-DDP-009", _ALL, Verdict.DEGRADED, Severity.WARNING, _slow),
    Rule("TD-DDP-010", _ALL, None, Severity.INFO, _cpu_only),
    Rule("TD-DDP-011", _ALL, Verdict.FAIL, Severity.CRITICAL, _one_rank_wrong),
    Rule("TD-DDP-012", _ALL, None, Severity.INFO, _noisy),
)


def _proven(readings: Readings) -> str | None:
    """All communicators were made, all sums checked, and parameters compared by a comparison that can say no."""
    made, sums = figure(readings, "init_ok"), number(readings, "sums_checked")
    equal = text(readings, "ddp.parameters") == "bit-equal" and is_true(readings, "ddp.parameters.detector")
    if made is None or made.value < made.n or not sums or text(readings, "ddp.sums") != "right" or not equal:
        return None
    backend, ranks = text(readings, "ddp.backend"), text(readings, "ddp.ranks")
    latency = number(readings, "allreduce_p50_us", size="1 KiB")
    speed = "" if latency is None else f", 1 KiB all_reduce p50 {latency:.0f} µs"
    return (
        f"{made.value:g} of {made.n} communicators of {ranks} {backend} ranks, {sums:g} sums right, "
        f"parameters bit-equal{speed}"
    )


POSITIVE: Positive = {"ddp.*": _proven}

EXPECTED: Expected = {}
