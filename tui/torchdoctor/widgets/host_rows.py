"""The host, and the processes on its GPUs, as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torchdoctor.interfaces import HOST_KEY, History
from torchdoctor.paint import Line, fit, heading, line
from torchdoctor.text import safe
from torchdoctor.widgets.cells import GIB, cell_span, fraction, load_role, number, pair_span
from torchdoctor.widgets.gpu_rows import history_rows, meter
from torchprobes.samples import GpuSample, HostSample, ProcessSample

SHM = "/dev/shm"  # noqa: S108 - its size is shown, nothing is written there
_WIDTH = 108
_MEMORY, _SHM = (0.90, 0.97), (0.80, 0.95)

_SORTS: Mapping[str, Callable[[ProcessSample], tuple[float, int]]] = {
    "memory": lambda p: (-(number(p.gpu_memory_bytes) or 0.0), p.pid),
    "pid": lambda p: (0.0, p.pid),
}
SORTS = tuple(_SORTS)


def host_rows(host: HostSample, past: Mapping[str, History], width: int, height: int) -> list[Line]:
    """CPU, memory and /dev/shm as bars of fixed scale; `height` rows of history, 0 for none."""
    width = min(width, _WIDTH)
    memory = fraction(host.memory_used_bytes, host.memory_total_bytes)
    shm = fraction(host.shm_used_bytes, host.shm_total_bytes)
    load = cell_span(host.load_1m, digits=2)[0]
    cpu, role = cell_span(host.cpu_percent, f" % of {host.cores} cores")
    rows = [
        heading("host", f"{safe(host.host)}   load {load}"),
        meter("CPU", (cpu, role), fraction(host.cpu_percent), width),
        meter("memory", _of(host.memory_used_bytes, host.memory_total_bytes), memory, width,
              load_role(memory, *_MEMORY)),
        meter(SHM, _of(host.shm_used_bytes, host.shm_total_bytes), shm, width, load_role(shm, *_SHM)),
    ]  # fmt: skip
    if number(host.swap_total_bytes):
        swap = fraction(host.swap_used_bytes, host.swap_total_bytes)
        rows.append(meter("swap", _of(host.swap_used_bytes, host.swap_total_bytes), swap, width))
    return rows + (history_rows(past.get(HOST_KEY), "CPU", width, height) if height else [])


def _of(used: object, total: object) -> tuple[str, str]:
    return pair_span(used, total, " GiB", scale=GIB, digits=1, word=" of ")  # type: ignore[arg-type]


def process_rows(
    processes: Sequence[ProcessSample], gpus: Sequence[GpuSample], width: int, sort: str = "memory"
) -> list[Line]:
    """Who is on the GPUs. A process of another pid namespace is shown by what is known of it."""
    index = {gpu.uuid: str(gpu.index) for gpu in gpus}
    rows = [heading("processes", f"{len(processes)}, by {sort}" if processes else "none on a GPU")]
    if processes:
        head = (fit("GPU", 7, "right"), fit("pid", 10, "right"), "  ", fit("user", 10), fit("memory", 12, "right"))
        rows.append(line(("".join((*head, "  ", fit("kind", 8), "  command")), "dim")))
    for process in sorted(processes, key=_SORTS[sort]):
        user, user_role = cell_span(process.user)
        memory, memory_role = cell_span(process.gpu_memory_bytes, " GiB", scale=GIB, digits=1)
        command, command_role = cell_span(process.command)
        rows.append(line(
            fit(index.get(process.gpu_uuid, "?"), 7, "right"), fit(str(process.pid), 10, "right"), "  ",
            (fit(user, 10), user_role), (fit(memory, 12, "right"), memory_role), "  ",
            (fit(safe(process.kind, limit=40), 8), "dim"), "  ", (command, command_role),
        ))  # fmt: skip
    return rows
