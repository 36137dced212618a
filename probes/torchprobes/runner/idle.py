"""First, do no harm: which GPUs nobody works on, by what the telemetry says; who works on the others.

Idle is what is idle in every sample of the last seconds: no process of somebody else, hardly any use, hardly any
memory, no allocation. What cannot be read does not count as idle.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from torchprobes.cells import Absent, Cell
from torchprobes.samples import ProcessSample, Sample

from . import processes
from .visible import Seat

IDLE_UTILIZATION_PERCENT = 5.0
IDLE_S = 3.0
"""So long it must have been idle: one sample between two steps of a training looks idle too."""

IDLE_MEMORY_SHARE = 0.05
IDLE_MEMORY_BYTES = 1 << 30
OLD_S = 5.0

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel's fixed number for it (PROC_PID_INIT_INO): there, every pid that the driver tells means what it says."""

Ours = Callable[[int], bool]
"""Whether a pid belongs to this check."""


def nobody(_pid: int) -> bool:
    """No process is ours yet."""
    return False


class Recent:
    """The samples of the last `IDLE_S`, each once."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample | None) -> None:
        """Take in the newest sample; the oldest kept is the last one that is `IDLE_S` old."""
        if sample is None or (self._samples and sample.m_ns <= self._samples[-1].m_ns):
            return
        self._samples.append(sample)
        while len(self._samples) > 1 and self._age_s(1) >= IDLE_S:
            self._samples.popleft()

    @property
    def whole(self) -> bool:
        """Whether they reach back far enough to tell that a GPU is idle."""
        return bool(self._samples) and self._age_s(0) >= IDLE_S

    @property
    def newest(self) -> Sample | None:
        """The newest, None before the first."""
        return self._samples[-1] if self._samples else None

    def why_busy(self, seat: Seat) -> str:
        """Why a seat may not be used, "" if no sample speaks against it; the newest reason."""
        return next(filter(None, (_why_busy_in(sample, seat) for sample in reversed(self._samples))), "")

    def _age_s(self, place: int) -> float:
        return (self._samples[-1].m_ns - self._samples[place].m_ns) / 1e9


def who(process: ProcessSample) -> str:
    """A process in words: pid, user, job, command as far as they could be read."""
    user = process.user if isinstance(process.user, str) and process.user else _user(process.pid)
    job = f", {process.job}" if isinstance(process.job, str) and process.job else ""
    command = f", {process.command[:80]}" if isinstance(process.command, str) and process.command else ""
    return f"pid {process.pid} ({user}{job}{command})"


def _user(pid: int) -> str:
    try:
        return f"uid {os.stat(f'/proc/{pid}').st_uid}"
    except OSError:  # ended, or of another pid namespace
        return "user unknown"


def foreign(found: Iterable[ProcessSample], seat: Seat, ours: Ours = nobody) -> list[ProcessSample]:
    """Compute processes on the GPU that are not ours; on a MIG device those of its instance, and of no known one."""
    return [p for p in found if p.kind != "graphics" and _is_on(p, seat) and not ours(p.pid)]


def _is_on(process: ProcessSample, seat: Seat) -> bool:
    if process.gpu_uuid not in (seat.gpu.uuid, seat.uuid):
        return False
    instance = process.gpu_instance
    return seat.mig is None or not isinstance(instance, int) or instance == seat.mig.gpu_instance


def _why_busy_in(sample: Sample, seat: Seat) -> str:
    """Why the seat is busy in a sample of its own time, "" if it is not."""
    now = next((gpu for gpu in sample.gpus if gpu.uuid == seat.gpu.uuid), None)
    if now is None:
        return f"{seat.words} is in no sample any more"
    mig = next((mig for mig in now.migs if mig.uuid == seat.uuid), None)
    if seat.mig and mig is None:
        return f"{seat.words} is no part of its GPU any more"
    return why_busy(Seat(gpu=now, mig=mig), sample)


def why_busy(seat: Seat, sample: Sample, ours: Ours = nobody) -> str:
    """Why this seat may not be used by one sample, "" if that speaks not against it."""
    gpu, others = seat.gpu, foreign(sample.processes, seat, ours)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return f"{seat.words} is used by {who(others[0])}{more}"
    if gpu.state != "ok":
        return f"{seat.words} is {gpu.state}"
    if gpu.age_s > OLD_S:
        return f"{seat.words}: its last reading is {gpu.age_s:.0f} s old"
    return _over(seat, "utilization", gpu.utilization_percent, IDLE_UTILIZATION_PERCENT, "%") or _memory(seat)


def forbidden(seat: Seat) -> str:
    """Why nothing at all can run there, "" if it can."""
    if seat.gpu.compute_mode == "prohibited":
        return f"{seat.words}: its compute mode is prohibited: no process may use it (nvidia-smi -c DEFAULT, as root)"
    return ""


def is_exclusive(seat: Seat) -> bool:
    """Whether only one process at a time may use it."""
    return isinstance(seat.gpu.compute_mode, str) and seat.gpu.compute_mode.startswith("exclusive")


def _memory(seat: Seat) -> str:
    used, total = seat.memory
    if isinstance(total, (int, float)):
        limit = min(IDLE_MEMORY_SHARE * total, IDLE_MEMORY_BYTES)
        return _over(seat, "memory used", used, limit, "bytes")
    return _over(seat, "memory size", total, 0, "bytes")


def _over(seat: Seat, name: str, value: Cell, limit: float, unit: str) -> str:
    if isinstance(value, (int, float)):
        return f"{seat.words}: {name} {value:,.0f} {unit}, idle is under {limit:,.0f}" if value >= limit else ""
    why = value.why if isinstance(value, Absent) else f"{value!r} is no number"
    return f"{seat.words}: {name} cannot be read ({why}), so it does not count as idle"


# --- somebody comes ---------------------------------------------------------------------------------------------


def in_initial_namespace() -> bool:
    """Whether pids mean the same to the driver and to us."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid") == _INITIAL_PID_NAMESPACE
    return False


def strangers(found: Iterable[int], ours: Ours, own_count: int) -> list[int]:
    """Of the pids that a driver tells, those that are nobody's of ours.

    In a container the driver may tell pids of the host: those cannot be matched, and as many of them as we have
    processes count as ours.
    """
    others = [pid for pid in found if not ours(pid)]
    if in_initial_namespace():
        return others
    unknown = [pid for pid in others if processes.read(pid) is None]
    return [pid for pid in others if pid not in unknown] + unknown[own_count:]


def intruder(found: Sequence[ProcessSample], seats: Sequence[Seat], ours: Ours, own_count: int) -> str:
    """Who else has come to seats that a probe of ours uses, "" if nobody; of two readings of one the later tells."""
    there = {p.pid: p for seat in seats for p in foreign(found, seat)}
    others = strangers(there, ours, own_count)
    return who(there[others[0]]) if others else ""
