"""A sample as lines for a person: GPUs, who is on them, what happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from torchdoctor.events import NewestXids
from torchdoctor.status import cell_text
from torchdoctor.widgets.gpu_words import GpuRow, faults, gpu_rows_of, throttle
from torchprobes.cells import Cell
from torchprobes.model import Finding
from torchprobes.reports.text import mask, plain
from torchprobes.samples import GpuSample, KernelEvent, ProcessSample, Sample
from torchprobes.telemetry.past import Past
from torchprobes.telemetry.recording.account import Account

from ._when import local

MOST_EVENTS: Final = 20
"""A kernel log that is flooded leaves room for the rest."""


def gpu_lines(sample: Sample, findings: Iterable[Finding], past: Past, width: int) -> Iterator[str]:
    """One line a GPU, with what holds it back; the driver's own words where there is none."""
    if not sample.gpus:
        yield plain(mask(sample.driver_state), width)
    for row in gpu_rows_of(sample.gpus, findings, NewestXids().read(past, sample.gpus), None):
        yield plain(mask(_gpu(row)), width)


def _gpu(row: GpuRow) -> str:
    gpu = row.gpu
    name = cell_text(gpu.name).removeprefix("NVIDIA ")[:12]
    memory = _of(gpu.memory_used_bytes, gpu.memory_total_bytes, " GiB", 1 << 30)
    power = _of(gpu.power_w, gpu.power_limit_w, " W", 1)
    used, heat = cell_text(gpu.utilization_percent, "%"), cell_text(gpu.temperature_c, "C")
    return f"gpu {gpu.index:<2} {name:12} {used:>4} {memory:>11} {power:>9} {heat:>4}  {_words(row, gpu)}".rstrip()


def _of(cell: Cell, most: Cell, unit: str, scale: int) -> str:
    """`97/141 GiB`; one word where neither is known."""
    now, limit = cell_text(cell, "", scale), cell_text(most, unit, scale)
    return now if now == limit else f"{now}/{limit}"


def _words(row: GpuRow, gpu: GpuSample) -> str:
    """What is wrong, and what holds the clocks down."""
    held = throttle(gpu.throttle_reasons)[0]
    words = [faults(row)[0], held if gpu.state == "ok" else ""]
    return " · ".join(dict.fromkeys(word for word in words if word not in ("", "none")))


def process_lines(sample: Sample, width: int) -> Iterator[str]:
    """One line a process that holds a GPU."""
    index = {gpu.uuid: gpu.index for gpu in sample.gpus}
    for process in sample.processes:
        where = f"gpu {index[process.gpu_uuid]}" if process.gpu_uuid in index else process.gpu_uuid[:12]
        yield plain(mask(f"{where:6}  {_process(process)}"), width)


def _process(process: ProcessSample) -> str:
    memory = process.gpu_memory_bytes
    used = f"{memory / (1 << 20):.0f} MiB" if isinstance(memory, (int, float)) else "memory not told"
    job = f"{process.job}  " if isinstance(process.job, str) and process.job else ""
    return f"{job}pid {process.pid}  {used}  {cell_text(process.user)}  {cell_text(process.command)}"


def topology_lines(sample: Sample) -> Iterator[str]:
    """How the GPUs are connected, a row a GPU; nothing where it is not known."""
    if not sample.topology:
        return
    names = [f"gpu {gpu.index}" for gpu in sample.gpus]
    yield "topology  " + "".join(f"{name:>7}" for name in names)
    for name, row in zip(names, sample.topology, strict=False):
        yield f"{name:10}" + "".join(f"{cell:>7}" for cell in row)


def event_line(event: KernelEvent, sample: Sample | None, width: int) -> str:
    """One event: when, what, on which GPU, whose."""
    gpus = sample.gpus if sample is not None else ()
    index = next((gpu.index for gpu in gpus if gpu.uuid == event.gpu_uuid), None)
    words = [
        local(event.t_ns),
        f"{event.kind} {event.code}" if event.code is not None else event.kind,
        f"gpu {index}" if index is not None else event.bus_id,
        f"pid {event.pid} {event.process}".rstrip() if event.pid is not None else event.process,
        event.job,
        event.text,
    ]
    return plain(mask("  ".join(word for word in words if word)), width)


def event_lines(events: Sequence[KernelEvent], sample: Sample | None, width: int) -> Iterator[str]:
    """The newest events, and how many came before them."""
    if len(events) > MOST_EVENTS:
        yield f"{len(events) - MOST_EVENTS} earlier events; then:"
    for event in events[-MOST_EVENTS:]:
        yield event_line(event, sample, width)


def past_of(account: Account) -> Past:
    """The events up to a moment, as the rows of GPUs want them."""
    past = Past()
    past.events.extend(event for event in account.events if event.t_ns <= account.asked_ns)
    return past
