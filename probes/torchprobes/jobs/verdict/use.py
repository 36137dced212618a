"""Whether a rank uses anything: CPU and disk by two looks at its process, its GPU by load and power."""

from __future__ import annotations

from typing import Final

from .case import GONE, Seen

_BUSY_CPU: Final = 0.02
_BUSY_BYTES: Final = 64 << 10
_HOT: Final = 0.3
_FULL_PERCENT: Final = 99.0


def idle(seen: Seen) -> bool | None:
    """Whether it and what descends from it used neither CPU nor disk nor a hot GPU between the looks; None: unread."""
    looks = [look for look in seen.evidence.processes if look.state not in GONE]
    if len(looks) < 2 or looks[-1].t_ns <= looks[0].t_ns:
        return None
    first, last = looks[0], looks[-1]
    took = (last.t_ns - first.t_ns) / 1e9
    cpu, moved = _grown(first.tree_cpu_s, last.tree_cpu_s), _grown(first.tree_bytes, last.tree_bytes)
    if cpu is None:
        cpu = _grown(first.cpu_s, last.cpu_s)
    busy = (cpu is not None and cpu > _BUSY_CPU * took) or (moved is not None and moved > _BUSY_BYTES)
    if busy or computing(seen):
        return False
    return True if cpu is not None and moved is not None else None


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)


def computing(seen: Seen) -> bool:
    """Whether its GPU is busy and hot: a GPU that waits in a collective is busy and cold (130 of 700 W, measured)."""
    gpu = seen.evidence.gpu
    if gpu is None or gpu.utilization_percent is None or gpu.power_w is None or not gpu.power_limit_w:
        return False
    return gpu.utilization_percent > 0 and gpu.power_w > _HOT * gpu.power_limit_w


def spinning(seen: Seen) -> bool:
    """Whether its GPU is fully busy and cold: it waits inside a collective."""
    gpu = seen.evidence.gpu
    if gpu is None or gpu.utilization_percent is None or gpu.power_w is None or not gpu.power_limit_w:
        return False
    return gpu.utilization_percent >= _FULL_PERCENT and gpu.power_w < _HOT * gpu.power_limit_w
