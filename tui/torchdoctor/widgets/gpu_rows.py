"""GPUs as lines: one a GPU from three on, cards below that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torchdoctor.interfaces import History
from torchdoctor.paint import BLANK, Align, Line, Span, bar, fit, heading, line, plot
from torchdoctor.text import safe
from torchdoctor.widgets.cells import GIB, cell_span, fraction, load_role, pair_span
from torchprobes.samples import Absent, Cell, GpuSample, throttle_words

CARDS = 2
"""Up to this many GPUs are shown as cards."""

_LABEL = 17
_VALUE = 24
_MEMORY_WARN = 0.95
_CARD_WIDTH = 108


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table: `rank` says how early it gives way on a narrow screen (0: never)."""

    title: str
    width: int
    rank: int
    show: Callable[[GpuSample, int], Sequence[Span]]
    left: bool = False


def _name(gpu: GpuSample) -> Span:
    text, role = cell_span(gpu.name)
    return text.removeprefix("NVIDIA "), role


def throttle(cell: Cell) -> Span:
    """What holds the clocks down, in words."""
    if isinstance(cell, Absent):
        return cell_span(cell)
    text = throttle_words(cell) if isinstance(cell, int) else safe(str(cell), limit=80)
    return ("none", "dim") if text in ("", "none", "0") else (text, "dim" if text == "idle" else "warn")


def _util(gpu: GpuSample, width: int) -> list[Span]:
    share = fraction(gpu.utilization_percent)
    text, role = cell_span(gpu.utilization_percent, " %")
    return [*bar(share, width - 7), (_fit((text, role), 7, "right"), role)]


def _fit(span: Span, width: int, align: Align) -> str:
    """As wide as the column; a state gives up its age before it is cut."""
    text, role = span
    return fit(text.split(" ")[0] if role and len(text) > width else text, width, align)


_COLUMNS = (
    _Column("#", 3, 0, lambda g, w: [(str(g.index), "title")]),
    _Column("utilisation", 16, 0, _util, left=True),
    _Column("memory GiB", 12, 0, lambda g, w: [pair_span(
        g.memory_used_bytes, g.memory_total_bytes, "", scale=GIB, digits=1)]),
    _Column("power W", 8, 3, lambda g, w: [pair_span(g.power_w, g.power_limit_w, "")]),
    _Column("temp", 6, 1, lambda g, w: [cell_span(g.temperature_c, " °C")]),
    _Column("MHz", 6, 4, lambda g, w: [cell_span(g.sm_clock_mhz)]),
    _Column("throttle", 8, 2, lambda g, w: [throttle(g.throttle_reasons)], left=True),
)  # fmt: skip
_PAST = _Column("last minutes", 12, 0, lambda g, w: [], left=True)


def gpu_rows(gpus: Sequence[GpuSample], past: Mapping[str, History], width: int, height: int) -> list[Line]:
    """All GPUs, in as few lines as their number asks for."""
    if len(gpus) > CARDS:
        return _table(gpus, past, width)
    rows: list[Line] = []
    for gpu in gpus:
        rows += [*_card(gpu, past, min(width, _CARD_WIDTH), 4 if height >= 36 and len(gpus) == 1 else 2), BLANK]
    return rows[:-1]


# --- the table -------------------------------------------------------------------------------------------------


def _columns(width: int) -> list[tuple[_Column, int]]:
    """The columns that fit and their widths; what is left goes to the bar, then to the history."""
    chosen = list(_COLUMNS)
    while sum(c.width + 2 for c in chosen) > width and any(c.rank for c in chosen):
        chosen.remove(max(chosen, key=lambda c: c.rank))
    left = width - sum(c.width + 2 for c in chosen)
    grown = {c: c.width for c in chosen}
    for title, most in (("utilisation", 14), ("throttle", 12)):
        column = next((c for c in chosen if c.title == title), None)
        if column is not None:
            more = min(most, max(0, left))
            grown[column] += more
            left -= more
    return [*grown.items(), *([(_PAST, min(60, left - 2))] if left >= 16 else [])]


def _table(gpus: Sequence[GpuSample], past: Mapping[str, History], width: int) -> list[Line]:
    columns = _columns(width)
    head = "".join(fit(c.title, w, "left" if c.left else "right") + "  " for c, w in columns)
    return [heading("GPUs", _models(gpus)), line((head, "dim")), *(_row(gpu, past, columns) for gpu in gpus)]


def _models(gpus: Sequence[GpuSample]) -> str:
    """How many of which."""
    names = [_name(gpu)[0] for gpu in gpus]
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))


def _row(gpu: GpuSample, past: Mapping[str, History], columns: Sequence[tuple[_Column, int]]) -> Line:
    spans: list[Span] = []
    for column, width in columns:
        if column is _PAST:
            spans.append((plot(past.get(gpu.uuid, History()).values, width, 1)[0], "accent"))
            continue
        parts = column.show(gpu, width)
        if len(parts) == 1:
            parts = [(_fit(parts[0], width, "left" if column.left else "right"), parts[0][1])]
        spans += [*parts, ("  ", "")]
    return tuple(spans)


# --- cards -----------------------------------------------------------------------------------------------------


def _card(gpu: GpuSample, past: Mapping[str, History], width: int, height: int) -> list[Line]:
    name, role = _name(gpu)
    state = [] if gpu.state == "ok" else [("  " + safe(gpu.state), "fail")]
    where = f"  {safe(gpu.bus_id)}  {safe(gpu.uuid[:16])}"
    memory = fraction(gpu.memory_used_bytes, gpu.memory_total_bytes)
    return [
        line((f"  GPU {gpu.index}  ", "title"), (name, role or "title"), (where, "dim"), *state),
        meter("utilisation", cell_span(gpu.utilization_percent, " %"), fraction(gpu.utilization_percent), width),
        meter("memory", pair_span(gpu.memory_used_bytes, gpu.memory_total_bytes, " GiB", scale=GIB, digits=1,
                                  word=" of "), memory, width, load_role(memory, _MEMORY_WARN)),
        meter("power", pair_span(gpu.power_w, gpu.power_limit_w, " W", word=" of "),
              fraction(gpu.power_w, gpu.power_limit_w), width),
        _facts(gpu),
        *history_rows(past.get(gpu.uuid), "utilisation", width, height),
    ]  # fmt: skip


def _facts(gpu: GpuSample) -> Line:
    parts = (
        ("temperature", cell_span(gpu.temperature_c, " °C")),
        ("SM clock", cell_span(gpu.sm_clock_mhz, " MHz")),
        ("memory clock", cell_span(gpu.memory_clock_mhz, " MHz")),
        ("throttle", throttle(gpu.throttle_reasons)),
    )
    label, (text, role) = parts[0]
    spans: list[Span] = [(fit("    " + label, _LABEL), "dim"), (text, role)]
    for label, (text, role) in parts[1:]:
        spans += [(f"   {label} ", "dim"), (text, role)]
    return tuple(spans)


def meter(label: str, value: Span, share: float | None, width: int, role: str = "accent") -> Line:
    """A label, a bar of fixed scale, and the number."""
    text, text_role = value
    return line(
        (fit("    " + label, _LABEL), "dim"), *bar(share, max(6, width - _LABEL - _VALUE - 2), role), "  ",
        (fit(text, _VALUE), text_role),
    )  # fmt: skip


def history_rows(history: History | None, what: str, width: int, height: int) -> list[Line]:
    """A plot of fixed scale, 0 to 100 %, newest at the right."""
    if history is None or not any(value is not None for value in history.values):
        return []
    columns = max(6, width - _LABEL - _VALUE - 2)
    rows = plot(history.values, columns, height)
    ago = f"  {what}, last {_ago(columns * history.step_s)}"
    labels = ["    100 %", *[""] * (height - 2), "      0 %"] if height > 1 else ["    0-100 %"]
    ends = [""] * (height - 1) + [ago]
    return [line((fit(label, _LABEL), "dim"), (row, "accent"), (end, "dim")) for label, row, end in
            zip(labels, rows, ends, strict=True)]  # fmt: skip


def _ago(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
