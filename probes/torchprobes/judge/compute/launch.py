"""Rules of compute.launch and compute.memory: what a launch costs, and whether memory comes back."""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import is_true, line, number, on_gpu, text
from ..rules import Positive, Rule, When

LAUNCH, MEMORY = "compute.launch", "compute.memory"

# --- compute.launch ---------------------------------------------------------------------------------------------------

DEAR_US = 15.0
"""A launch through PyTorch costs the host 3 us on a desktop's core and 5.9 to 6.9 on the virtual machine of an H100
(measured, torch 2.11); with CUDA_LAUNCH_BLOCKING=1 it was 12.2. From here on something is in the way."""

THROTTLED_SHARE = 0.01
"""Of the periods of its control group in which a process was stopped: above, a quota is felt."""

SLEEPY = ("powersave", "conservative", "ondemand")
"""Governors that let a core sleep; with the driver intel_pstate, powersave is the usual one and wakes quickly."""


def _dear(readings: Readings) -> float | None:
    """Microseconds of a launch where they are too many: the median, because that is what work here gets."""
    us = number(readings, "issue_us", of="median")
    return us if us is not None and us >= DEAR_US and on_gpu(readings) else None


def _said(us: float) -> str:
    return f"a launch costs {quantity(us, 'us')} (expected under {quantity(DEAR_US, 'us')})"


def _blocking(readings: Readings) -> str | None:
    """Told whatever it costs: with it, no launch overlaps anything."""
    if is_true(readings, "launch.blocking") is not True or not on_gpu(readings):
        return None
    us = number(readings, "launch_us", of="median")
    fact = readings.fact("launch.blocking")
    return f"{fact.evidence if fact else ''}" + ("" if us is None else f": {quantity(us, 'us')} a launch")


def _gvisor(readings: Readings) -> str | None:
    us = _dear(readings)
    if us is None or is_true(readings, "kernel.gvisor") is not True:
        return None
    fact = readings.fact("kernel.gvisor")
    return line(f"{_said(us)}; {fact.evidence if fact else ''}")


def _quota(readings: Readings) -> str | None:
    us, share = _dear(readings), readings.number("throttled_share")
    if us is None or share is None or share < THROTTLED_SHARE:
        return None
    group = readings.fact("cpu.quota")
    return line(
        f"{_said(us)}; a quota of {text(readings, 'cpu.quota')} cores stopped this control group in "
        f"{quantity(share, 'share')} of its periods ({group.evidence if group else ''})"
    )


def _governor(readings: Readings) -> str | None:
    us, governors = _dear(readings), text(readings, "cpu.governor").split(", ")
    driver = text(readings, "cpu.frequency_driver")
    asleep = [g for g in governors if g in SLEEPY and not (g == "powersave" and driver.startswith("intel_pstate"))]
    return None if us is None or not asleep else f"{_said(us)}; scaling_governor is {', '.join(asleep)}"


def _unexplained(readings: Readings) -> str | None:
    us = _dear(readings)
    return (
        None if us is None else f"{_said(us)}; neither a quota, the governor, gVisor nor blocking launches explain it"
    )


def _answer(readings: Readings) -> str | None:
    fact = readings.fact("launch.answer")
    return fact.evidence if fact is not None and fact.value is False else None


def _launches(readings: Readings) -> str | None:
    issue, done = number(readings, "issue_us", of="median"), number(readings, "launch_us", of="median")
    trip = number(readings, "round_trip_us", of="median")
    if issue is None or done is None or trip is None or is_true(readings, "launch.answer") is not True:
        return None
    rate = f"{1e6 / done:,.0f} tiny adds a second" if done > 0 else ""
    if not on_gpu(readings):
        best = number(readings, "issue_us", of="fastest")
        at_best = "" if best is None else f" ({quantity(best, 'us')} at best)"
        return f"the CPU launches nothing: dispatch of an operation takes {quantity(issue, 'us')}{at_best}, {rate}"
    device = text(readings, "launch.device")
    return f"{device}: {quantity(issue, 'us')} a launch, {quantity(trip, 'us')} with its wait, {rate}"


# --- compute.memory ---------------------------------------------------------------------------------------------------

_RAN_OUT = "out of memory"


def _not_recovered(readings: Readings) -> str | None:
    fact = readings.fact("memory.recovered")
    return fact.evidence if fact is not None and fact.value is False else None


def _content(readings: Readings) -> str | None:
    fact = readings.fact("memory.content")
    return f"{fact.evidence} came out wrong" if fact is not None and fact.value == "wrong" else None


def _wrong_error(readings: Readings) -> str | None:
    fact = readings.fact("memory.too_much")
    if fact is None or fact.value in (_RAN_OUT, "given"):
        return None
    return line(f"more than the device has raised {fact.value}: {fact.evidence}")


def _oversubscribed(readings: Readings) -> str | None:
    fact = readings.fact("memory.too_much")
    return fact.evidence if fact is not None and fact.value == "given" else None


def _no_caching(readings: Readings) -> str | None:
    if is_true(readings, "allocator.caching") is not False:
        return None
    return f"PYTORCH_NO_CUDA_MEMORY_CACHING={text(readings, 'environ.PYTORCH_NO_CUDA_MEMORY_CACHING')}"


def _fragmented(readings: Readings) -> str | None:
    if text(readings, "memory.large") != _RAN_OUT:
        return None
    unused, reserved = (number(readings, name, at="fragmented") for name in ("unused", "reserved"))
    if unused is None or reserved is None:
        return None
    grown = "with" if is_true(readings, "allocator.expandable_segments") else "without"
    return (
        f"half of the budget could not be had in one block: {quantity(unused, 'B')} of "
        f"{quantity(reserved, 'B')} reserved lay unused, {grown} expandable segments"
    )


def _memory(readings: Readings) -> str | None:
    budget = readings.number("budget")
    if budget is None or text(readings, "memory.too_much") != _RAN_OUT:
        return None
    if is_true(readings, "memory.recovered") is not True or text(readings, "memory.content") != "right":
        return None
    retries = number(readings, "alloc_retries", at="end")
    again = "" if retries is None else f", {quantity(retries, 'retries')}"
    return f"ran out of {quantity(budget, 'B')}, said so, and had it again afterwards with what was written{again}"


def _rule(card: str, verdict: Verdict | None, severity: Severity, when: When, *hides: str) -> Rule:
    return Rule(card, (LAUNCH if card < "TD-CPT-110" else MEMORY,), verdict, severity, when, hides)


_F, _D, _CRITICAL, _WARNING = Verdict.FAIL, Verdict.DEGRADED, Severity.CRITICAL, Severity.WARNING

RULES: tuple[Rule, ...] = (
    _rule("TD-CPT-100", _F, _CRITICAL, _answer),
    _rule("TD-CPT-101", _D, _WARNING, _blocking, "TD-CPT-102", "TD-CPT-103", "TD-CPT-104", "TD-CPT-105"),
    _rule("TD-CPT-102", _D, _WARNING, _gvisor, "TD-CPT-103", "TD-CPT-104", "TD-CPT-105"),
    _rule("TD-CPT-103", _D, _WARNING, _quota, "TD-CPT-104", "TD-CPT-105"),
    _rule("TD-CPT-104", _D, _WARNING, _governor, "TD-CPT-105"),
    _rule("TD-CPT-105", Verdict.UNSURE, _WARNING, _unexplained),
    _rule("TD-CPT-110", _F, _CRITICAL, _not_recovered),
    _rule("TD-CPT-111", _F, _CRITICAL, _content),
    _rule("TD-CPT-112", _F, _CRITICAL, _wrong_error, "TD-CPT-110"),
    _rule("TD-CPT-113", _D, _WARNING, _no_caching, "TD-CPT-115"),
    _rule("TD-CPT-114", None, Severity.INFO, _fragmented),
    _rule("TD-CPT-115", Verdict.UNSURE, _WARNING, _oversubscribed),
)

POSITIVE: Positive = {LAUNCH: _launches, MEMORY: _memory}
