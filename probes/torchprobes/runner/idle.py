"""First, do no harm: which GPUs nobody works on, by what the telemetry says; who works on the others."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torchprobes.cells import Absent, Cell
from torchprobes.samples import GpuSample, ProcessSample, Sample

from . import processes
from .order import Device

IDLE_UTILIZATION_PERCENT = 5.0
IDLE_MEMORY_SHARE = 0.05
IDLE_MEMORY_BYTES = 1 << 30
PROBE_MEMORY_BYTES = 4 << 30
OLD_S = 5.0

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel's fixed number for it (PROC_PID_INIT_INO): there, every pid that the driver tells means what it says."""

Ours = Callable[[int], bool]
"""Whether a pid belongs to this check."""


def nobody(_pid: int) -> bool:
    """No process is ours yet."""
    return False


def who(process: ProcessSample) -> str:
    """A process in words: pid, user, command as far as they could be read."""
    user = process.user if isinstance(process.user, str) and process.user else "user unknown"
    command = f", {process.command[:80]}" if isinstance(process.command, str) and process.command else ""
    return f"pid {process.pid} ({user}{command})"


def foreign(sample: Sample, uuid: str, ours: Ours = nobody) -> list[ProcessSample]:
    """Compute processes on the GPU that are not ours."""
    return [p for p in sample.processes if p.gpu_uuid == uuid and p.kind != "graphics" and not ours(p.pid)]


def why_busy(gpu: GpuSample, sample: Sample, ours: Ours = nobody) -> str:
    """Why this GPU may not be used, "" if it is idle. What cannot be read does not count as idle."""
    others = foreign(sample, gpu.uuid, ours)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return f"GPU {gpu.index} is used by {who(others[0])}{more}"
    if gpu.state != "ok":
        return f"GPU {gpu.index} is {gpu.state}"
    if gpu.age_s > OLD_S:
        return f"GPU {gpu.index}: its last reading is {gpu.age_s:.0f} s old"
    return _over(gpu, "utilization", gpu.utilization_percent, IDLE_UTILIZATION_PERCENT, "%") or _memory(gpu)


def _memory(gpu: GpuSample) -> str:
    if isinstance(gpu.memory_total_bytes, (int, float)):
        limit = min(IDLE_MEMORY_SHARE * gpu.memory_total_bytes, IDLE_MEMORY_BYTES)
        return _over(gpu, "memory used", gpu.memory_used_bytes, limit, "bytes")
    return _over(gpu, "memory size", gpu.memory_total_bytes, 0, "bytes")


def _over(gpu: GpuSample, name: str, value: Cell, limit: float, unit: str) -> str:
    if isinstance(value, (int, float)):
        return f"GPU {gpu.index}: {name} {value:,.0f} {unit}, idle is under {limit:,.0f}" if value >= limit else ""
    why = value.why if isinstance(value, Absent) else f"{value!r} is no number"
    return f"GPU {gpu.index}: {name} cannot be read ({why}), so it does not count as idle"


def visible(sample: Sample, environ: Mapping[str, str]) -> list[GpuSample]:
    """The GPUs that torch would see in this environment, in its order: `cuda:0` first.

    CUDA_VISIBLE_DEVICES names them by index or by the beginning of a UUID and ends at the first unknown entry, as
    CUDA reads it. Indices are taken for the driver's: the same as CUDA's where all GPUs are alike.
    """
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return list(sample.gpus)
    found: list[GpuSample] = []
    for text in named.split(","):
        gpu = next((g for g in sample.gpus if _is_named(g, text.strip())), None)
        if gpu is None:
            break
        found.append(gpu)
    return found


def _is_named(gpu: GpuSample, text: str) -> bool:
    return gpu.index == int(text) if text.isdecimal() else len(text) > 4 and gpu.uuid.startswith(text)


def driver_present() -> bool:
    """Whether this machine has an NVIDIA driver loaded."""
    return os.path.exists("/proc/driver/nvidia/version")


@dataclass(slots=True)
class Claim:
    """The GPUs that a check holds while it runs, or why there are none. `seen` is how many torch would see."""

    gpus: list[GpuSample] = field(default_factory=list)
    seen: int = 0
    refusal: str = ""
    _locks: list[int] = field(default_factory=list)

    def device(self, ranks: bool) -> Device | str:
        """Where a probe runs, or why it cannot: ranks take every GPU of the claim, others the first."""
        if self.refusal:
            return self.refusal
        if ranks and self.seen < 2:
            return Device("cpu")
        if ranks and len(self.gpus) < 2:
            return "ranks need two idle GPUs, one is"
        if not self.gpus:
            return Device("cpu")
        gpus = self.gpus if ranks else self.gpus[:1]
        return Device("cuda:0", tuple(g.uuid for g in gpus), min(map(memory_limit, gpus)), _text(gpus))

    def release(self) -> None:
        """Let go of the GPUs' locks."""
        while self._locks:
            os.close(self._locks.pop())


def memory_limit(gpu: GpuSample) -> int:
    """How many bytes a probe may take: 4 GiB, or half of what is free."""
    total, used = gpu.memory_total_bytes, gpu.memory_used_bytes
    if isinstance(total, (int, float)) and isinstance(used, (int, float)):
        return int(min(PROBE_MEMORY_BYTES, (total - used) / 2))
    return PROBE_MEMORY_BYTES


def _text(gpus: Sequence[GpuSample]) -> str:
    return ", ".join(f"GPU {g.index} {g.uuid} at {g.bus_id}" for g in gpus)


def claim(device: str, sample: Sample | None, locks: Path, *, force: bool, wanted: int) -> Claim:
    """Choose up to `wanted` idle GPUs for "auto" or "cuda:N" and lock them; empty for "cpu" and without a GPU."""
    if device == "cpu":
        return Claim()
    if sample is None and driver_present():
        return Claim(refusal="no telemetry: cannot tell whether the GPUs are idle (--force uses them all the same)")
    gpus = visible(sample, os.environ) if sample is not None else []
    seen = len(gpus)
    if device != "auto":
        number = device.partition(":")[2] or "0"
        gpus = gpus[int(number) :][:1] if number.isdecimal() else []
        seen = 1
        if not gpus:
            return Claim(refusal=f"there is no {device} here: no such GPU is visible")
    if not gpus or sample is None:
        return Claim()
    return _lock_idle(Claim(seen=seen), gpus, sample, locks, force=force, wanted=wanted)


def _lock_idle(
    claimed: Claim, gpus: Sequence[GpuSample], sample: Sample, locks: Path, *, force: bool, wanted: int
) -> Claim:
    busy: list[str] = []
    for gpu in gpus:
        if len(claimed.gpus) == wanted:
            break
        why = "" if force else why_busy(gpu, sample)
        lock = None if why else _lock(locks, gpu)
        if not why and lock is None and not force:
            why = f"GPU {gpu.index} is held by another check of torchdoctor"
        if why:
            busy.append(why)
            continue
        claimed.gpus.append(gpu)
        claimed._locks += [] if lock is None else [lock]
    if not claimed.gpus:
        claimed.refusal = "no idle GPU: " + "; ".join(busy[:3]) + " (--force uses it all the same)"
    return claimed


def _lock(folder: Path, gpu: GpuSample) -> int | None:
    name = "".join(c if c.isalnum() else "-" for c in gpu.uuid)[:80]
    fd = os.open(folder / f"gpu-{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def in_initial_namespace() -> bool:
    """Whether pids mean the same to the driver and to us."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid") == _INITIAL_PID_NAMESPACE
    return False


def intruder(sample: Sample, uuids: Sequence[str], ours: Ours, own_count: int) -> str:
    """Who else has come to GPUs that a probe of ours uses, "" if nobody.

    In a container the driver may tell pids of the host: those cannot be matched, and as many of them as we have
    processes count as ours.
    """
    others = [p for uuid in uuids for p in foreign(sample, uuid, ours)]
    if not in_initial_namespace():
        unknown = [p for p in others if processes.read(p.pid) is None]
        others = [p for p in others if p not in unknown] + unknown[own_count:]
    return who(others[0]) if others else ""
