"""Any metric over a minute to an hour, as plots of fixed scale: the top is the card's own limit, never the data's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from torchdoctor.interfaces import HistoryLike, WindowLike
from torchdoctor.paint import BLANK, Line, Page, Part, Span, fit, heading, line, stack
from torchdoctor.signs import STEPS
from torchdoctor.text import safe
from torchdoctor.widgets.cells import GIB
from torchdoctor.widgets.gpu_rows import gpu_key
from torchdoctor.widgets.gpu_words import GpuRow, mark
from torchprobes.cells import number
from torchprobes.samples import GpuSample, KernelEvent

SPANS: Final = (
    (60.0, "minute", "a minute ago"),
    (600.0, "10 minutes", "10 minutes ago"),
    (3600.0, "hour", "an hour ago"),
)
"""How far back a plot goes, in words twice, in the order in which `]` goes through them."""

BAND: Final = "│"
"""From the smallest to the largest value of a column, where it stands for several samples."""

_LABEL, _NOTE = 12, 26
_MOST_HEIGHT = 14
_TALL = 4
"""Lines of a block from which its figures stand above the plot."""

_HOT_C = 100.0
_PCIE_LANE: Final = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""PCIe generation -> bytes a second of one lane one way, after its line code (PCI-SIG)."""


def _cell(*names: str, otherwise: float | None = None) -> Callable[[GpuSample], float | None]:
    """The first of these limits that the card tells."""

    def top(gpu: GpuSample) -> float | None:
        return next((value for name in names if (value := number(getattr(gpu, name)))), otherwise)

    return top


def _pcie(gpu: GpuSample) -> float | None:
    lane = _PCIE_LANE.get(int(number(gpu.pcie_generation_max) or 0))
    lanes = number(gpu.pcie_width_max)
    return lane * lanes if lane and lanes else None


def _nvlink(gpu: GpuSample) -> float | None:
    links, speed = number(gpu.nvlinks), number(gpu.nvlink_speed_mbytes_per_s)
    return links * speed * 1e6 if links and speed else None


@dataclass(frozen=True, slots=True)
class Metric:
    """A cell that is plotted; `top` is what full means for a card, None where the card does not tell."""

    cell: str
    title: str
    unit: str
    top: Callable[[GpuSample], float | None]
    scale: float = 1.0
    digits: int = 0


METRICS: Final = (
    Metric("utilization_percent", "utilisation", "%", lambda gpu: 100.0),
    Metric("memory_used_bytes", "memory", "GiB", _cell("memory_total_bytes"), GIB, 1),
    Metric("memory_utilization_percent", "memory bus", "%", lambda gpu: 100.0),
    Metric("power_w", "power", "W", _cell("power_limit_w", "power_max_limit_w")),
    Metric("temperature_c", "core temperature", "°C", _cell("temperature_slowdown_c", otherwise=_HOT_C)),
    Metric("memory_temperature_c", "HBM temperature", "°C", _cell("memory_temperature_max_c", otherwise=_HOT_C)),
    Metric("sm_clock_mhz", "SM clock", "MHz", _cell("sm_clock_max_mhz")),
    Metric("memory_clock_mhz", "memory clock", "MHz", _cell("memory_clock_max_mhz")),
    Metric("power_capped_percent_1m", "held by power, last minute", "%", lambda gpu: 100.0),
    Metric("thermal_percent_1m", "held by heat, last minute", "%", lambda gpu: 100.0),
    Metric("pcie_rx_bytes_per_s", "PCIe received", "GB/s", _pcie, 1e9, 1),
    Metric("pcie_tx_bytes_per_s", "PCIe sent", "GB/s", _pcie, 1e9, 1),
    Metric("nvlink_rx_bytes_per_s", "NVLink received", "GB/s", _nvlink, 1e9, 1),
    Metric("nvlink_tx_bytes_per_s", "NVLink sent", "GB/s", _nvlink, 1e9, 1),
)
"""The metrics, in the order in which `m` goes through them."""


@dataclass(frozen=True, slots=True)
class Plotted:
    """What was chosen: whose history, which metric (any number: they go round), how far back; and what happened."""

    history: HistoryLike | None
    metric: int
    span: int
    now_ns: int
    events: Sequence[KernelEvent] = ()

    @property
    def shown(self) -> Metric:
        """The metric."""
        return METRICS[self.metric % len(METRICS)]


def history_page(gpus: Sequence[GpuSample], plotted: Plotted, width: int, height: int) -> Page:
    """One plot a GPU, as high as the screen lets them be; events of these GPUs stand under the last."""
    metric, (seconds, words, ago) = plotted.shown, SPANS[plotted.span]
    place = METRICS.index(metric) + 1
    top = [BLANK, heading(metric.title, f"last {words}   {place} of {len(METRICS)}: m the next, [ ] the time"), BLANK]
    rows = max(1, min(_MOST_HEIGHT, (height - len(top) - 3) // max(1, len(gpus))))
    columns = max(10, width - _LABEL - (_NOTE if rows < _TALL else 2))
    parts = [Part(top)]
    for gpu in gpus:
        window = plotted.history.window(gpu.uuid, metric.cell, seconds, columns) if plotted.history else None
        parts.append(Part(_block(gpu, metric, window, columns, rows), {0: gpu_key(gpu)} if len(gpus) > 1 else {}))
    return stack([*parts, Part([_axis(ago, columns), *_event_marks(plotted, seconds, columns)])])


def _axis(left: str, columns: int) -> Line:
    return line((" " * _LABEL + left + "now".rjust(max(4, columns - len(left))), "dim"))


def _event_marks(plotted: Plotted, seconds: float, columns: int) -> list[Line]:
    """A mark under the column in which something happened, and what it was: the newest that fit."""
    spots: dict[int, str] = {}
    for event in plotted.events:
        ago = (plotted.now_ns - event.t_ns) / 1e9
        if 0 <= ago < seconds:
            code = f" {event.code}" if event.code is not None else ""
            spots[columns - 1 - int(ago / seconds * columns)] = f"{event.kind.upper()}{code}"
    if not spots:
        return []
    marks = "".join("▲" if x in spots else " " for x in range(columns))
    said = ", ".join(dict.fromkeys(spots[x] for x in sorted(spots, reverse=True)))
    return [line(" " * _LABEL, (marks, "fail")), line(" " * _LABEL, (safe(said, limit=columns), "dim"))]


def _block(gpu: GpuSample, metric: Metric, window: WindowLike | None, columns: int, height: int) -> list[Line]:
    """A GPU's plot: its figures beside it, or above it where there is the height for that."""
    known = [value for value in (window.high if window else ()) if value is not None]
    if window is None or not known:
        return [(*_name(gpu), ("nothing read in this time", "dim")), *[BLANK] * (height - 1)]
    own = metric.top(gpu)
    top = own or max(known) or 1.0
    full = f"of {_figure(metric, top)} {metric.unit}" + ("" if own else ", the highest seen")
    figures = _figures(metric, window)
    if height >= _TALL:
        rows = band_plot(window, columns, height - 1, top)
        labels = [_figure(metric, top) + " " + metric.unit, *[""] * (height - 3), "0"]
        head = line(*_name(gpu), (figures[0], ""), (f" {full}   {figures[1]}   {figures[2]}", "dim"))
        return [head, *(line((fit(label, _LABEL - 1, "right") + " ", "dim"), *row)
                        for label, row in zip(labels, rows, strict=True))]  # fmt: skip
    notes = [f"{figures[0]} {full}", *figures[1:]][:height]
    names = [_name(gpu), *[line(" " * _LABEL)] * (height - 1)]
    rows = band_plot(window, columns, height, top)
    return [line(*name, *row, "  ", (note, "dim" if y else "")) for y, (name, row, note) in
            enumerate(zip(names, rows, notes, strict=True))]  # fmt: skip


def _name(gpu: GpuSample) -> Line:
    sign, role = mark(GpuRow(gpu))
    return line((f"{sign} ".rjust(3), role), (fit(f"GPU {gpu.index}", _LABEL - 3), "title"))


def _figures(metric: Metric, window: WindowLike) -> tuple[str, str, str]:
    """The newest; the smallest and the largest; the mean."""
    values = [[v for v in series if v is not None] for series in (window.low, window.mean, window.high)]
    low, mean, high = min(values[0]), sum(values[1]) / len(values[1]), max(values[2])
    newest = window.mean[-1]
    return (
        "gap" if newest is None else _figure(metric, newest),
        f"{_figure(metric, low)} to {_figure(metric, high)}",
        f"mean {_figure(metric, mean)}",
    )


def _figure(metric: Metric, value: float) -> str:
    return f"{value / metric.scale:,.{metric.digits}f}"


# --- the plot ----------------------------------------------------------------------------------------------------


def band_plot(window: WindowLike, width: int, height: int, top: float) -> list[list[Span]]:
    """Rows of a plot of fixed scale: filled up to the smallest value of a column, a line on to its largest."""
    lows, highs = _newest(window.low, width), _newest(window.high, width)
    columns = [_column(low, high, height, top) for low, high in zip(lows, highs, strict=True)]
    rows = []
    for y in range(height):
        cells = [column[y] for column in columns]
        rows.append([("".join(char for char, _ in run), role) for role, run in groupby(cells, key=lambda c: c[1])])
    return rows


def _newest(values: Sequence[float | None], width: int) -> list[float | None]:
    shown = list(values)[-width:]
    return [None] * (width - len(shown)) + shown


def _column(low: float | None, high: float | None, height: int, top: float) -> list[Span]:
    """Top cell first. A reading of 0 still draws the lowest step: it was read, a gap was not."""
    if low is None or high is None:
        return [(" ", "")] * height
    filled, reached = (max(1, round(min(1.0, max(0.0, v / top)) * height * 8)) for v in (low, high))
    cells: list[Span] = []
    for row in range(height - 1, -1, -1):
        rest = filled - row * 8
        if rest > 0:
            cells.append((STEPS[min(8, rest) - 1], "accent"))
        else:
            cells.append((BAND, "dim") if reached - row * 8 >= 4 else (" ", ""))
    return cells
