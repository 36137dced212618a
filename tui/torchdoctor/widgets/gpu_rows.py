"""GPUs as lines: one line each from three on, two in a line where there are too many for the screen, cards below."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

from torchdoctor.paint import Line, Part, Span, Stop, bar, fit, heading, plot
from torchdoctor.text import rate_text
from torchdoctor.widgets.cells import GIB, cell_span, fraction, load_role, pair_span
from torchdoctor.widgets.gpu_words import FAULT_CELLS, GpuRow, faults, mark, throttle_cell
from torchdoctor.widgets.table_rows import GAP, Column, fit_columns, head_line, table_row
from torchprobes.cells import Absent, Cell, number
from torchprobes.samples import GpuSample

RECENT_S: Final = 120.0
"""What the plot at the end of a row shows."""

MEMORY_WARN: Final = 0.95
PAIRS_FROM: Final = 9
"""From so many GPUs on they may stand two in a line."""

BELOW: Final = 11
"""Lines that a screen needs beside the GPUs: two headings, two rows of titles, a blank, six processes."""


def gpu_key(gpu: GpuSample) -> str:
    """What the cursor calls a GPU."""
    return f"gpu:{gpu.uuid}"


def name_span(gpu: GpuSample) -> Span:
    """Its model, without the maker's name."""
    text, role = cell_span(gpu.name)
    return text.removeprefix("NVIDIA "), role


# --- cells -------------------------------------------------------------------------------------------------------


def _number(row: GpuRow, width: int) -> list[Span]:
    sign, role = mark(row)
    return [(fit(sign, width - 2), role), (f"{row.gpu.index:>2}", "title")]


def _util(row: GpuRow, width: int) -> list[Span]:
    cell = row.gpu.utilization_percent
    share = fraction(cell)
    if share is None:
        return [cell_span(cell)]
    return [*bar(share, width - 6), (f"{cell:>4.0f} %", "")]


def _memory(row: GpuRow, width: int) -> list[Span]:
    gpu = row.gpu
    text, role = pair_span(gpu.memory_used_bytes, gpu.memory_total_bytes, "", scale=GIB, digits=1)
    if len(text) > width:
        text, role = pair_span(gpu.memory_used_bytes, gpu.memory_total_bytes, "", scale=GIB)
    share = fraction(gpu.memory_used_bytes, gpu.memory_total_bytes)
    return [(text, role or ("warn" if load_role(share, MEMORY_WARN) == "warn" else ""))]


def _power(row: GpuRow, width: int) -> list[Span]:
    return [pair_span(row.gpu.power_w, row.gpu.power_limit_w, "")]


def _heat(row: GpuRow, width: int) -> list[Span]:
    """Core and HBM, the latter only where it is read."""
    gpu = row.gpu
    limit = number(gpu.temperature_slowdown_c)
    core, role = cell_span(gpu.temperature_c)
    hot = limit is not None and (number(gpu.temperature_c) or 0.0) >= limit
    hbm = number(gpu.memory_temperature_c)
    text = core if hbm is None or isinstance(gpu.temperature_c, Absent) else f"{core}/{hbm:.0f}"
    return [(text, "fail" if hot else role)]


def _clock(row: GpuRow, width: int) -> list[Span]:
    gpu = row.gpu
    now, most = number(gpu.sm_clock_mhz), number(gpu.sm_clock_max_mhz)
    if now is not None and most is not None and width >= 9:
        return [(f"{now:.0f}/{most:.0f}", "")]
    return [(f"{now:.0f}", "") if now is not None else cell_span(gpu.sm_clock_mhz)]


def _rates(received: Cell, sent: Cell) -> Span:
    """Both ways, or why not; a rate that has nothing yet to be compared with says so as any other cell."""
    one, other = number(received), number(sent)
    if one is None or other is None:
        return cell_span(received if isinstance(received, Absent) else sent)
    return f"{rate_text(one)} {rate_text(other)}", ""


def _pcie(row: GpuRow, width: int) -> list[Span]:
    return [_rates(row.gpu.pcie_rx_bytes_per_s, row.gpu.pcie_tx_bytes_per_s)]


def _nvlink(row: GpuRow, width: int) -> list[Span]:
    return [_rates(row.gpu.nvlink_rx_bytes_per_s, row.gpu.nvlink_tx_bytes_per_s)]


def _recent(row: GpuRow, width: int) -> list[Span]:
    return [(recent(row, width), "accent")]


def recent(row: GpuRow, columns: int) -> str:
    """Utilisation of the last two minutes as one line of a plot."""
    window = row.history.window(row.gpu.uuid, "utilization_percent", RECENT_S, columns) if row.history else None
    return _plotted(tuple(window.mean), columns) if window is not None else " " * columns


@lru_cache(maxsize=256)
def _plotted(values: tuple[float | None, ...], columns: int) -> str:
    return plot(values, columns, 1)[0]


def _cells(*names: str) -> Callable[[GpuRow], Hashable]:
    return attrgetter(*(f"gpu.{name}" for name in names))


_COLUMNS: Final[tuple[Column[GpuRow], ...]] = (
    Column("#", 4, 0, _number, reads=attrgetter("gpu.index", "gpu.state", "weight")),
    Column("utilisation", 13, 0, _util, left=True, most=24, reads=_cells("utilization_percent")),
    Column("memory GiB", 11, 0, _memory, reads=_cells("memory_used_bytes", "memory_total_bytes")),
    Column("power W", 7, 3, _power, most=9),
    Column("°C", 5, 1, _heat, most=7,
           reads=_cells("temperature_c", "memory_temperature_c", "temperature_slowdown_c")),
    Column("MHz", 5, 4, _clock, most=9, reads=_cells("sm_clock_mhz", "sm_clock_max_mhz")),
    Column("throttle", 8, 2, lambda row, width: [throttle_cell(row.gpu, width)], left=True, most=22,
           reads=_cells("throttle_reasons", "power_capped_percent_1m", "thermal_percent_1m", "brake_percent_1m")),
    Column("faults", 9, 1, lambda row, width: [faults(row)], left=True, most=14,
           reads=attrgetter("weight", "xid", *(f"gpu.{name}" for name in FAULT_CELLS))),
    Column("PCIe rx tx /s", 13, 7, _pcie, reads=_cells("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s")),
    Column("NVLink rx tx /s", 15, 8, _nvlink, reads=_cells("nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s")),
    Column("last 2 minutes", 14, 6, _recent, left=True, most=40),
)  # fmt: skip


# --- the table ---------------------------------------------------------------------------------------------------


def gpu_table(rows: Sequence[GpuRow], width: int, height: int) -> Part:
    """All GPUs in as few lines as their number and the screen ask for."""
    title = heading("GPUs", _models([row.gpu for row in rows]))
    if len(rows) >= PAIRS_FROM and len(rows) + BELOW > height:
        return _pairs(rows, width, title)
    columns = fit_columns(_COLUMNS, width)
    lines = [title, head_line(columns), *(table_row(row, columns) for row in rows)]
    return Part(lines, {2 + place: gpu_key(row.gpu) for place, row in enumerate(rows)})


def _models(gpus: Sequence[GpuSample]) -> str:
    """How many of which."""
    names = [name_span(gpu)[0] for gpu in gpus]
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


# --- two in a line -----------------------------------------------------------------------------------------------


def _short_util(row: GpuRow, width: int) -> list[Span]:
    cell = row.gpu.utilization_percent
    share = fraction(cell)
    return [cell_span(cell)] if share is None else [*bar(share, width - 5), (f"{cell:>4.0f}%", "")]


def _short_memory(row: GpuRow, width: int) -> list[Span]:
    gpu = row.gpu
    return [pair_span(gpu.memory_used_bytes, gpu.memory_total_bytes, "", scale=GIB)]


def _word(row: GpuRow, width: int) -> list[Span]:
    """The worst fault, else what holds the clocks down."""
    fault, role = faults(row)
    return [(fault, role) if role != "dim" else throttle_cell(row.gpu, width)]


_SHORT: Final[tuple[Column[GpuRow], ...]] = (
    Column("#", 4, 0, _number),
    Column("util", 5, 0, _short_util, left=True, most=8),
    Column("GiB", 7, 0, _short_memory),
    Column("state", 6, 1, _word, left=True, most=14),
    Column("°C", 4, 2, lambda row, width: [cell_span(row.gpu.temperature_c)]),
    Column("power W", 7, 3, _power),
)  # fmt: skip


def _pairs(rows: Sequence[GpuRow], width: int, title: Line) -> Part:
    half, cell = (len(rows) + 1) // 2, (width - GAP) // 2
    columns = fit_columns(_SHORT, cell)
    used = sum(each for _, each in columns) + GAP * (len(columns) - 1)
    gap: Span = (" " * (width - 2 * used if width - 2 * used < 2 * GAP else GAP), "")
    lines = [title, (*head_line(columns), gap, *head_line(columns))]
    spots = []
    for y in range(half):
        parts = [table_row(row, columns) for row in rows[y::half]]
        lines.append((*parts[0], gap, *parts[1]) if len(parts) > 1 else parts[0])
    for place, row in enumerate(rows):
        begin = (place // half) * (used + len(gap[0]))
        spots.append(Stop(gpu_key(row.gpu), 2 + place % half, begin, begin + used))
    return Part(lines, spots=tuple(spots))
