"""One or two GPUs as cards: what a line has, with bars, and a plot of the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torchdoctor.paint import BLANK, Line, Part, Span, bar, fit, line, plot
from torchdoctor.text import rate_text, safe
from torchdoctor.widgets.cells import GIB, cell_span, fraction, load_role, pair_span
from torchdoctor.widgets.gpu_rows import MEMORY_WARN, RECENT_S, gpu_key, name_span
from torchdoctor.widgets.gpu_words import GpuRow, faults, mark, throttle_cell
from torchprobes.cells import Absent, Cell, number
from torchprobes.samples import GpuSample

CARDS: Final = 2
"""Up to this many GPUs are shown as cards."""

LABEL: Final = 17
VALUE: Final = 24
CARD_WIDTH: Final = 108


def gpu_cards(rows: Sequence[GpuRow], width: int, height: int) -> Part:
    """A card each."""
    lines: list[Line] = []
    keys = {}
    tall = 4 if height >= 36 and len(rows) == 1 else 2 if height >= 30 or len(rows) == 1 else 1
    for row in rows:
        keys[len(lines)] = gpu_key(row.gpu)
        lines += [*_card(row, min(width, CARD_WIDTH), tall), BLANK]
    return Part(lines[:-1], keys)


def _card(row: GpuRow, width: int, height: int) -> list[Line]:
    gpu = row.gpu
    name, role = name_span(gpu)
    sign, sign_role = mark(row)
    memory = fraction(gpu.memory_used_bytes, gpu.memory_total_bytes)
    return [
        line((f"{sign} ".rjust(2), sign_role), (f"GPU {gpu.index}  ", "title"), (name, role or "title"),
             (f"  {safe(gpu.bus_id)}  {safe(gpu.uuid[:16])}", "dim"), *_state(gpu)),
        meter("utilisation", cell_span(gpu.utilization_percent, " %"), fraction(gpu.utilization_percent), width),
        meter("memory", pair_span(gpu.memory_used_bytes, gpu.memory_total_bytes, " GiB", scale=GIB, digits=1,
                                  word=" of "), memory, width, load_role(memory, MEMORY_WARN)),
        meter("power", pair_span(gpu.power_w, gpu.power_limit_w, " W", word=" of "),
              fraction(gpu.power_w, gpu.power_limit_w), width),
        _facts(row),
        _rates(gpu),
        *_recent(row, width, height),
    ]  # fmt: skip


def _state(gpu: GpuSample) -> list[Span]:
    return [] if gpu.state == "ok" else [("  " + safe(gpu.state, limit=40), "fail")]


def _facts(row: GpuRow) -> Line:
    gpu = row.gpu
    return _named((
        ("core", cell_span(gpu.temperature_c, " °C")),
        ("HBM", cell_span(gpu.memory_temperature_c, " °C")),
        ("SM", pair_span(gpu.sm_clock_mhz, gpu.sm_clock_max_mhz, " MHz") if number(gpu.sm_clock_max_mhz)
         else cell_span(gpu.sm_clock_mhz, " MHz")),
        ("throttle", throttle_cell(gpu, 40)),
        ("faults", faults(row)),
    ))  # fmt: skip


def _rates(gpu: GpuSample) -> Line:
    return _named((
        ("PCIe", _both(gpu.pcie_rx_bytes_per_s, gpu.pcie_tx_bytes_per_s)),
        ("NVLink", _both(gpu.nvlink_rx_bytes_per_s, gpu.nvlink_tx_bytes_per_s)),
        ("memory bus", cell_span(gpu.memory_utilization_percent, " %")),
        ("state", _state_of_clocks(gpu.performance_state)),
    ))  # fmt: skip


def _state_of_clocks(cell: Cell) -> Span:
    """P0 is the fastest, P8 and more are idle."""
    return (f"P{cell}", "") if isinstance(cell, int) else cell_span(cell)


def _both(received: Cell, sent: Cell) -> Span:
    one, other = number(received), number(sent)
    if one is None or other is None:
        return cell_span(received if isinstance(received, Absent) else sent)
    return f"in {rate_text(one)}/s out {rate_text(other)}/s", ""


def _named(parts: Sequence[tuple[str, Span]]) -> Line:
    label, value = parts[0]
    spans: list[Span] = [("    " + label + " ", "dim"), value]
    for label, value in parts[1:]:
        spans += [(f"   {label} ", "dim"), value]
    return tuple(spans)


def _recent(row: GpuRow, width: int, height: int) -> list[Line]:
    window = None
    columns = max(6, width - LABEL - VALUE - 2)
    if row.history is not None:
        window = row.history.window(row.gpu.uuid, "utilization_percent", RECENT_S, columns)
    return plot_rows(window.mean, "utilisation, last 2 min", width, height) if window is not None else []


# --- shared with the host ----------------------------------------------------------------------------------------


def meter(label: str, value: Span, share: float | None, width: int, role: str = "accent") -> Line:
    """A label, a bar of fixed scale, and the number."""
    text, text_role = value
    return line(
        (fit("    " + label, LABEL), "dim"), *bar(share, max(6, width - LABEL - VALUE - 2), role), "  ",
        (fit(text, VALUE), text_role),
    )  # fmt: skip


def plot_rows(values: Sequence[float | None], what: str, width: int, height: int) -> list[Line]:
    """A plot of fixed scale, 0 to 100 %, newest at the right; nothing where nothing was read."""
    if all(value is None for value in values):
        return []
    rows = plot(values, max(6, width - LABEL - VALUE - 2), height)
    labels = ["    100 %", *[""] * (height - 2), "      0 %"] if height > 1 else ["    0-100 %"]
    ends = [""] * (height - 1) + [f"  {what}"]
    return [line((fit(label, LABEL), "dim"), (row, "accent"), (end, "dim")) for label, row, end in
            zip(labels, rows, ends, strict=True)]  # fmt: skip
