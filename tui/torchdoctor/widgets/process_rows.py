"""Who is on the GPUs, as lines: sorted, filtered, and never dropped because little is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from torchdoctor.paint import Line, Part, Span, heading, line
from torchdoctor.text import safe
from torchdoctor.widgets.cells import GIB, cell_span
from torchdoctor.widgets.table_rows import Column, fit_columns, head_line, table_row
from torchprobes.cells import Absent, Cell, CellState, number
from torchprobes.samples import GpuSample, ProcessSample


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process on a GPU, and the number of that GPU."""

    process: ProcessSample
    gpu: int | None


def process_key(process: ProcessSample) -> str:
    """What the cursor calls a process; one on two GPUs is two rows."""
    return f"process:{process.pid}:{process.gpu_uuid}:{process.kind}"


def _most(name: str) -> Callable[[ProcessRow], tuple[float, int]]:
    """The largest first, and last those without a number."""

    def key(row: ProcessRow) -> tuple[float, int]:
        value = number(getattr(row.process, name))
        return (1.0 if value is None else -value, row.process.pid)

    return key


_SORTS: Final[Mapping[str, Callable[[ProcessRow], tuple[float, int]]]] = {
    "GPU memory": _most("gpu_memory_bytes"),
    "SM %": _most("sm_percent"),
    "CPU": _most("cpu_percent"),
    "host memory": _most("host_memory_bytes"),
    "pid": lambda row: (0.0, row.process.pid),
    "GPU": lambda row: (float("inf") if row.gpu is None else float(row.gpu), row.process.pid),
}
SORTS: Final = tuple(_SORTS)
"""The orders, in the order in which `s` goes through them."""


def matches(process: ProcessSample, wanted: str) -> bool:
    """Whether every word of a filter is in what is known of a process; without regard to case."""
    cells = (process.user, process.command, process.job, process.container)
    text = " ".join([str(process.pid), process.kind, *(str(c) for c in cells if not isinstance(c, Absent))]).lower()
    return all(word in text for word in wanted.lower().split())


# --- cells -------------------------------------------------------------------------------------------------------


def _text(cell: Cell, limit: int = 200) -> Span:
    if isinstance(cell, Absent):
        return cell_span(cell)
    return safe(str(cell), limit=limit), ""


def _optional(cell: Cell) -> Span:
    """A cell that most processes have no need of, or that cannot be seen from here: a job, a container, a user."""
    if isinstance(cell, Absent) and cell.state is CellState.NOT_SUPPORTED:
        return "–", "dim"
    return _text(cell)


def _percent(name: str) -> Callable[[ProcessRow, int], Sequence[Span]]:
    return lambda row, width: [cell_span(getattr(row.process, name))]


def _gib(name: str) -> Callable[[ProcessRow, int], Sequence[Span]]:
    return lambda row, width: [cell_span(getattr(row.process, name), scale=GIB, digits=1)]


def _command(row: ProcessRow, width: int) -> Sequence[Span]:
    """What it runs, or in words why that is not known."""
    cell = row.process.command
    if isinstance(cell, Absent):
        state = "" if cell.state is CellState.NOT_SUPPORTED else f" ({cell.state.value})"
        return [(safe(cell.why + state, limit=200), "dim")]
    return [_text(cell, limit=400)]


_COLUMNS: Final[tuple[Column[ProcessRow], ...]] = (
    Column("GPU", 5, 0, lambda row, width: [("?" if row.gpu is None else str(row.gpu), "")]),
    Column("pid", 7, 0, lambda row, width: [(str(row.process.pid), "")], most=8),
    Column("user", 8, 1, lambda row, width: [_optional(row.process.user)], left=True, most=14),
    Column("GPU GiB", 7, 0, _gib("gpu_memory_bytes")),
    Column("SM %", 5, 2, _percent("sm_percent")),
    Column("CPU %", 6, 4, _percent("cpu_percent")),
    Column("host GiB", 8, 6, _gib("host_memory_bytes")),
    Column("kind", 8, 7, lambda row, width: [(safe(row.process.kind, limit=40), "dim")], left=True),
    Column("job", 8, 3, lambda row, width: [_optional(row.process.job)], left=True, most=18),
    Column("container", 12, 8, lambda row, width: [_optional(row.process.container)], left=True),
    Column("command", 12, 0, _command, left=True, most=160),
)  # fmt: skip


def process_rows(
    processes: Sequence[ProcessSample], gpus: Sequence[GpuSample], width: int, sort: str = SORTS[0], wanted: str = ""
) -> Part:
    """Who is on the GPUs. A process of another pid namespace is shown by what is known of it."""
    index = {gpu.uuid: gpu.index for gpu in gpus}
    rows = [ProcessRow(process, index.get(process.gpu_uuid)) for process in processes if matches(process, wanted)]
    rows.sort(key=_SORTS[sort])
    title = heading("processes", _note(len(processes), len(rows), sort, wanted))
    if not rows:
        return Part([title])
    lines: list[Line] = [title, head_line(fit_columns(_COLUMNS, width)), *(_line(row, width) for row in rows)]
    return Part(lines, {2 + place: process_key(row.process) for place, row in enumerate(rows)})


@lru_cache(maxsize=1024)
def _line(row: ProcessRow, width: int) -> Line:
    """Its line; processes are read less often than they are drawn."""
    return table_row(row, fit_columns(_COLUMNS, width))


def _note(count: int, shown: int, sort: str, wanted: str) -> str:
    if not count:
        return "none on a GPU"
    if wanted:
        return f"{shown} of {count} with “{safe(wanted, limit=60)}”, by {sort}"
    return f"{count}, by {sort}"


def process_of(key: str, processes: Sequence[ProcessSample]) -> ProcessSample | None:
    """The process that a key names, None if it has left the GPU."""
    return next((process for process in processes if process_key(process) == key), None)


def gone(key: str) -> Line:
    """What is said where a process was."""
    return line((f"  pid {key.split(':')[1]} has left the GPU", "dim"))
