"""Rules on GPUs that look busy and do nothing: in a collective, by a latch, or held by nobody (reference: 2c, 2g)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...cells import number
from ...model import Scope, Severity
from ...samples import GpuSample, ProcessSample, Sample
from .base import GIB, OWN, Check, Limits, Look, On, Timed, duration, listed, text
from .fixes import INDEX, look_at

WAITING, GHOST, HELD = "waiting", "ghost", "held_memory"


def _is_idle_at_full_load(gpu: GpuSample, limits: Limits) -> bool:
    busy, power, limit = map(number, (gpu.utilization_percent, gpu.power_w, gpu.power_limit_w))
    if busy is None or power is None or not limit:
        return False
    return busy >= limits["utilization_percent"] and power < limit * limits["power_percent"] / 100


def _memory_share(gpu: GpuSample) -> float | None:
    used, total = number(gpu.memory_used_bytes), number(gpu.memory_total_bytes)
    return None if used is None or not total else 100 * used / total


def _is_waiting(gpu: GpuSample, processes: Sequence[ProcessSample], limits: Limits) -> bool:
    share = _memory_share(gpu)
    somebody = bool(processes) or (share is not None and share >= limits["memory_percent"])
    return somebody and _is_idle_at_full_load(gpu, limits)


def _is_ghost(gpu: GpuSample, processes: Sequence[ProcessSample], limits: Limits) -> bool:
    share = _memory_share(gpu)
    nobody = not processes and share is not None and share < limits["memory_percent"]
    return nobody and _is_idle_at_full_load(gpu, limits)


def _is_held(gpu: GpuSample, processes: Sequence[ProcessSample], limits: Limits) -> bool:
    share = _memory_share(gpu)
    return not processes and number(gpu.utilization_percent) == 0 and share is not None and share > limits["percent"]


def jobs(sample: Sample) -> dict[str, list[str]]:
    """Job -> UUIDs of the GPUs on which it has a process. Without a job's name, user and command are one."""
    found: dict[str, list[str]] = {}
    for process in sample.processes:
        name = text(process.job) or f"{text(process.user)} {text(process.command)}".strip()
        gpus = found.setdefault(name, []) if name else []
        if process.gpu_uuid not in gpus:
            gpus.append(process.gpu_uuid)
    return found


def _peers(gpu: GpuSample, look: Look) -> tuple[list[GpuSample], list[GpuSample]]:
    """The GPUs of this one's jobs, without itself: those that wait, and those that do not."""
    uuids = {uuid for of_job in jobs(look.sample).values() if gpu.uuid in of_job for uuid in of_job} - {gpu.uuid}
    peers = [peer for peer in look.sample.gpus if peer.uuid in uuids]
    waiting = [peer for peer in peers if look.past.holds(peer.uuid, WAITING)]
    return waiting, [peer for peer in peers if peer not in waiting]


def _numbers(gpus: Sequence[GpuSample]) -> str:
    return f"GPU {listed([str(gpu.index) for gpu in gpus], 8)}"


def _state(gpu: GpuSample) -> str:
    busy, power = number(gpu.utilization_percent), number(gpu.power_w)
    told = [f"{busy:.0f} % busy" if busy is not None else "", f"{power:.0f} W" if power is not None else ""]
    return " at ".join(part for part in told if part) or f"state {gpu.state}"


def _waits(gpu: GpuSample, look: Look) -> str | None:
    held, limits = look.past.held_s(gpu.uuid, WAITING), look.limits
    if held < limits["seconds"]:
        return None
    waiting, others = _peers(gpu, look)
    odd = f"; of the same job {_numbers(others)} does not wait: the odd one" if _are_odd(waiting, others) else ""
    limit = number(gpu.power_limit_w)
    return f"{_state(gpu)} of {limit:.0f} W for {duration(held)} (limit {limits['power_percent']:g} %){odd}"


def _are_odd(waiting: Sequence[GpuSample], others: Sequence[GpuSample]) -> bool:
    """Those that do not wait are the odd ones if at least as many wait, counting the one that was asked."""
    return bool(others) and len(waiting) + 1 >= len(others)


def _is_odd(gpu: GpuSample, look: Look) -> str | None:
    if look.past.holds(gpu.uuid, WAITING) or not any(look.past.holds(g.uuid, WAITING) for g in look.sample.gpus):
        return None
    waiting, others = _peers(gpu, look)
    long = [peer for peer in waiting if look.past.held_s(peer.uuid, WAITING) >= look.limits["seconds"]]
    if not long or len(long) < len(others) + 1:
        return None
    held = max(look.past.held_s(peer.uuid, WAITING) for peer in long)
    return f"{_state(gpu)}, while {_numbers(long)} of its job probably waits in a collective for {duration(held)}"


def _ghost(gpu: GpuSample, look: Look) -> str | None:
    held = look.past.held_s(gpu.uuid, GHOST)
    if held < look.limits["seconds"]:
        return None
    return f"{_state(gpu)} with no process and no memory in use, for {duration(held)}"


def _held(gpu: GpuSample, look: Look) -> str | None:
    held, used = look.past.held_s(gpu.uuid, HELD), number(gpu.memory_used_bytes)
    if held < look.limits["seconds"] or used is None:
        return None
    return f"{used / GIB:.1f} GiB in use with no process to be seen, for {duration(held)}"


TIMED: Final = (
    Timed(name=WAITING, of="TD-GPU-031", gpu=_is_waiting),
    Timed(name=GHOST, of="TD-GPU-033", gpu=_is_ghost),
    Timed(name=HELD, of="TD-GPU-034", gpu=_is_held),
)

_LOW: Final = {"utilization_percent": 90, "power_percent": 25, "memory_percent": 1, "seconds": 60}

CHECKS: Final = (
    Check(
        id="TD-GPU-031",
        title="probably waiting in a collective",
        severity=Severity.INFO,
        reads=("utilization_percent", "power_w", "power_limit_w"),
        why="Kernels run and do next to nothing: so looks a collective that waits for another rank. Very small kernels "
        "look the same.",
        fix=look_at("py-spy dump --pid PID", Scope.PROCESS),
        source=OWN,
        gpu=_waits,
        limits=_LOW,
        needs_s=60.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-GPU-032",
        title="the odd GPU of its job",
        severity=Severity.WARNING,
        reads=("utilization_percent",),
        why="The others of its job wait and this one does not: look here first, for a rank that sleeps, loads data, "
        "writes a checkpoint or has taken another branch.",
        fix=look_at("py-spy dump --pid PID", Scope.PROCESS),
        source=OWN,
        gpu=_is_odd,
        limits={"seconds": 60},
        needs_s=60.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-GPU-033",
        title="utilisation without work",
        severity=Severity.WARNING,
        reads=("utilization_percent", "power_w", "power_limit_w", "memory_used_bytes", "memory_total_bytes"),
        why="The driver's counter stuck when a program was killed: telemetry only, the GPU can be used. Opening and "
        "closing a CUDA context clears it.",
        fix=look_at(f"CUDA_VISIBLE_DEVICES={INDEX} python -c 'import torch; torch.zeros(1).cuda()'", Scope.GPU, "idle"),
        source=f"lium-io issues 1140 and 1142, on Blackwell; {OWN}",
        gpu=_ghost,
        limits=_LOW,
        needs_s=60.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-GPU-034",
        title="memory in use by nobody to be seen",
        severity=Severity.INFO,
        reads=("memory_used_bytes", "memory_total_bytes", "utilization_percent"),
        why="A process of another container, or one that died and still holds it: a job that needs the whole memory "
        "fails here.",
        fix=look_at("fuser -v /dev/nvidia*", Scope.NODE, "root"),
        source=f"gcm wants under 15 MiB on a clean node; {OWN}",
        gpu=_held,
        limits={"percent": 5, "seconds": 60},
        needs_s=60.0,
        on=On.TIMED,
    ),
)
