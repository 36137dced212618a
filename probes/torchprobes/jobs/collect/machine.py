"""What the node itself says about a job: the kernel's log, and the GPUs that its ranks hold."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from ...cells import number
from ...distributed import JobIdentity, RankIdentity, SourceState
from ...rank_evidence import GpuReading, Ras
from ...samples import GpuSample, KernelEvent, Sample
from ...telemetry import hardware, take_sample
from ...telemetry.kernel.journal import COMMAND, Journal
from ...telemetry.kernel.lines import Lines
from ...telemetry.kernel.log import absent, read_once

MOST_EVENTS: Final = 200
BEFORE_NS: Final = 5_000_000_000
"""So much earlier than the job's start an event still counts: the kernel's stamps drift."""


Gpu = GpuReading | SourceState
"""The GPU of a rank, or why it has none that is known."""


class Kernel(NamedTuple):
    """Events of the kernel's log since the job began, and whether that could be read."""

    events: tuple[KernelEvent, ...]
    state: SourceState


def kernel(job: JobIdentity) -> Kernel:
    """The kernel's log, else the journal's copy of it, read once."""
    since_ns = max(0, job.started_ns - BEFORE_NS)
    try:
        events = read_once()
    except OSError as error:
        journal, complaint = _of_journal(since_ns)
        if not journal and complaint is not None:
            why = absent(error, complaint).why
            return Kernel((), SourceState(source="kernel", available=False, why=why, command="sudo dmesg"))
        events = journal
    recent = [event for event in events if event.t_ns >= since_ns]
    return Kernel(tuple(recent[-MOST_EVENTS:]), SourceState(source="kernel", available=True))


def _of_journal(since_ns: int) -> tuple[tuple[KernelEvent, ...], str | None]:
    """Events since then; a complaint if the journal shows no line of the kernel at all."""
    journal = Journal((*COMMAND, f"--since=@{since_ns // 1_000_000_000}") if since_ns else COMMAND)
    lines = Lines("journal")
    events = [event for line in journal.look() if (event := lines.event(line.raw, line.t_ns, line.boot_us))]
    return tuple(events), None if journal.entries else journal.complaint


def sample(deadline: float) -> Sample | None:
    """A fresh reading of all GPUs; None where the machine has none."""
    if not hardware.device_nodes() and not hardware.pci_gpus():
        return None
    return take_sample(max(0.1, deadline - time.monotonic()))


def gpus(ranks: tuple[RankIdentity, ...], taken: Sample | None, ras: tuple[Ras, ...] = ()) -> dict[int, Gpu]:
    """The GPU of each rank, by rank number, or why it has none that is known."""
    if taken is None:
        none = SourceState(source="gpu", available=False, why="no GPU on this machine")
        return {rank.rank: none for rank in ranks}
    by_pid = _by_pid(taken)
    by_ras: dict[int | None, int | None] = {
        rank.pid: rank.nvml_device for one in ras for c in one.communicators for rank in c.ranks if rank.pid
    }
    found: dict[int, Gpu] = {}
    for rank in ranks:
        gpu = _gpu_of(rank, taken, by_pid, by_ras)
        if gpu is None:
            why = "no GPU is known to be its" if taken.gpus else taken.driver_state
            found[rank.rank] = SourceState(source="gpu", available=False, why=why)
        else:
            found[rank.rank] = _reading(gpu, taken, rank)
    return found


def _by_pid(taken: Sample) -> Mapping[int, str]:
    return {process.pid: process.gpu_uuid for process in taken.processes if process.kind in ("compute", "mps")}


def _gpu_of(
    rank: RankIdentity, taken: Sample, by_pid: Mapping[int, str], by_ras: Mapping[int | None, int | None]
) -> GpuSample | None:
    """By its identity, by the driver's list of processes, by what RAS says; the first that names one."""
    uuid = rank.gpu_uuid or by_pid.get(rank.pid, "")
    index = by_ras.get(rank.inner_pid or rank.pid)
    return next((gpu for gpu in taken.gpus if gpu.uuid == uuid), None) or next(
        (gpu for gpu in taken.gpus if index is not None and gpu.index == index and not uuid), None
    )


def _reading(gpu: GpuSample, taken: Sample, rank: RankIdentity) -> GpuReading:
    own = [number(p.gpu_memory_bytes) for p in taken.processes if p.pid == rank.pid and p.gpu_uuid == gpu.uuid]
    memory, held = number(gpu.memory_used_bytes), next((value for value in own if value is not None), None)
    return GpuReading(
        t_ns=taken.t_ns,
        uuid=gpu.uuid,
        index=gpu.index,
        bus_id=gpu.bus_id,
        state=gpu.state,
        utilization_percent=number(gpu.utilization_percent),
        power_w=number(gpu.power_w),
        power_limit_w=number(gpu.power_limit_w),
        memory_used_bytes=None if memory is None else int(memory),
        process_memory_bytes=None if held is None else int(held),
    )
