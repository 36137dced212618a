"""Rules of `system.cpu`: how many cores, whose, how far from the GPU, and how fast they may run."""

from __future__ import annotations

import math

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, line, number, text
from ..rules import Positive, Rule

_ALL = ("system.cpu",)

FEW_SHARE = 0.25
"""torch with at most this share of the cores that it may use wastes the rest; half is one thread a physical core."""

ENOUGH_CORES = 4
THROTTLED_SHARE = 0.25

_SLOW_GOVERNORS = ("powersave", "userspace", "conservative")
_SELF_CLOCKED = ("intel_pstate", "amd-pstate", "amd_pstate", "cppc")
"""Drivers under which `powersave` still goes to full speed (Documentation/admin-guide/pm/intel_pstate.rst)."""

_NARROW = ("DEFAULT", "NO AVX")


def _threads(readings: Readings) -> tuple[int, float] | None:
    """Threads of torch, and the cores that this process may use."""
    threads, allowed = readings.fact("torch.threads"), number(readings, "allowed_cores")
    if threads is None or not isinstance(threads.value, int) or not allowed or allowed < 0:
        return None
    return threads.value, allowed


def _too_many(readings: Readings) -> str | None:
    known = _threads(readings)
    if known is None or known[0] <= math.ceil(known[1]):
        return None
    quota, gain = readings.fact("cpu.quota"), figure(readings, "fewer_threads_speedup")
    low = number(readings, "fewer_threads_speedup_low")
    cause = f"the quota of {quota.evidence}" if quota and isinstance(quota.value, (int, float)) else "its affinity"
    words = f"torch uses {known[0]} threads, and {cause} allows {known[1]:g} cores"
    if gain is None or low is None:
        return line(words)
    return line(f"{words}; a product is {gain.value:.2f} (at least {low:.2f}) times as fast with {_fewer(gain.labels)}")


def _fewer(labels: dict[str, str]) -> str:
    return quantity(float(labels.get("fewer", "0") or 0), "threads")


def _too_few(readings: Readings) -> str | None:
    known = _threads(readings)
    if known is None or known[1] < ENOUGH_CORES or known[0] > FEW_SHARE * known[1]:
        return None
    named = [f"{f.name[4:]}={f.value}" for f in facts(readings, "env.") if f.value not in (None, "")]
    why = f" because of {', '.join(named)}" if named else ""
    return line(f"torch uses {known[0]} of {known[1]:g} cores{why}")


def _far(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "gpu.", ".near") if isinstance(f.value, bool)]
    if not told or any(f.value for f in told):
        return None
    return line("; ".join(f"{_bus(f.name)} at {f.evidence}" for f in told))


def _some_far(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "gpu.", ".near") if isinstance(f.value, bool)]
    far = [f for f in told if not f.value]
    if not far or len(far) == len(told):
        return None
    return line(f"{len(far)} of {len(told)} GPUs: " + "; ".join(f"{_bus(f.name)} at {f.evidence}" for f in far))


def _bus(name: str) -> str:
    return name[len("gpu.") : -len(".near")]


def _slow_clock(readings: Readings) -> str | None:
    governor, driver = text(readings, "cpu.governor"), text(readings, "cpu.frequency_driver")
    if governor not in _SLOW_GOVERNORS or driver.startswith(_SELF_CLOCKED):
        return None
    return f"scaling_governor is {governor}, scaling_driver is {driver or 'unknown'}"


def _narrow(readings: Readings) -> str | None:
    used, offered = text(readings, "torch.capability"), text(readings, "cpu.vector")
    if used not in _NARROW or offered not in ("avx2", "avx512f", "sve"):
        return None
    forced = text(readings, "env.ATEN_CPU_CAPABILITY")
    why = f", set by ATEN_CPU_CAPABILITY={forced}" if forced else ""
    return f"torch uses {used} kernels{why}; this processor offers {offered}"


def _throttled(readings: Readings) -> str | None:
    share = figure(readings, "throttled_share")
    if share is None or share.value < THROTTLED_SHARE:
        return None
    return f"its quota ran out in {share.value:.0%} of {share.n} scheduling periods"


RULES: tuple[Rule, ...] = (
    Rule("TD-SYS-001", _ALL, Verdict.DEGRADED, Severity.WARNING, _too_many),
    Rule("TD-SYS-002", _ALL, Verdict.DEGRADED, Severity.WARNING, _too_few),
    Rule("TD-SYS-003", _ALL, Verdict.DEGRADED, Severity.WARNING, _far),
    Rule("TD-SYS-004", _ALL, None, Severity.INFO, _some_far),
    Rule("TD-SYS-005", _ALL, Verdict.DEGRADED, Severity.WARNING, _slow_clock),
    Rule("TD-SYS-006", _ALL, Verdict.DEGRADED, Severity.WARNING, _narrow),
    Rule("TD-SYS-007", _ALL, None, Severity.INFO, _throttled),
)


def _cores_known(readings: Readings) -> str | None:
    """Threads, affinity and quota were read, and fit each other."""
    known, quota = _threads(readings), readings.fact("cpu.quota")
    affinity = readings.fact("cpu.affinity")
    if known is None or quota is None or affinity is None:
        return None
    limit = "quota unreadable" if quota.value is None else "no quota"
    limit = f"quota {quota.value:g} cores" if isinstance(quota.value, (int, float)) else limit
    near = [f for f in facts(readings, "gpu.", ".near") if f.value is True]
    beside = f", beside {len(near)} GPU{'s' if len(near) > 1 else ''}" if near else ""
    kernels = text(readings, "torch.capability")
    return f"{quantity(known[0], 'threads')} on {affinity.value} cores, {limit}{beside}" + (
        f", {kernels} kernels" if kernels else ""
    )


POSITIVE: Positive = {"system.cpu": _cores_known}
