"""One GPU, or the host, in full: every reading with its unit and age, counters as three figures, limits beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torchdoctor.interfaces import HOST_KEY, PastLike
from torchdoctor.paint import BLANK, Line, Part, Span, fit, heading, line
from torchdoctor.signs import CELLS
from torchdoctor.text import safe
from torchdoctor.widgets.cells import cell_span
from torchdoctor.widgets.gpu_cells import GPU_GROUPS, Shown, by_name
from torchdoctor.widgets.gpu_rows import name_span
from torchdoctor.widgets.gpu_words import GpuRow, faults, mark, throttle
from torchprobes.cells import Absent, Cell
from torchprobes.samples import LANES, GpuSample, HostSample, Sample

_LABEL: Final = 32
_VALUE: Final = 14
_AGE: Final = 7
_COUNT: Final = 13


def head_part(row: GpuRow) -> Part:
    """Which GPU, and how it is."""
    gpu = row.gpu
    (sign, sign_role), (name, role) = mark(row), name_span(gpu)
    said, said_role = faults(row)
    cost = f"   its calls took {gpu.cost_ms:.1f} ms" if gpu.cost_ms else ""
    return Part([
        BLANK,
        line((f"{sign} ".rjust(2), sign_role), (f"GPU {gpu.index}  ", "title"), (name, role or "title")),
        line(("    ", ""), (safe(gpu.uuid, limit=80), "dim"), (f"   {safe(gpu.bus_id, limit=40)}", "dim")),
        line(("    state ", "dim"), (safe(gpu.state, limit=40), "" if gpu.state == "ok" else "fail"),
             ("   faults ", "dim"), (said, said_role), (cost, "dim")),
        BLANK,
    ])  # fmt: skip


def gpu_part(gpu: GpuSample, past: PastLike | None, width: int) -> Part:
    """All groups of readings."""
    rows: list[Line] = []
    for title, shown in GPU_GROUPS:
        rows += [BLANK, heading(title), *_group(gpu, shown, past)]
    return Part(rows)


def _group(gpu: GpuSample, shown: Sequence[Shown], past: PastLike | None) -> list[Line]:
    counters = [one for one in shown if past is not None and past.since_start(gpu.uuid, one.cell) is not None]
    rows = [_counter_head()] if counters else []
    for one in shown:
        age = gpu.age_s if LANES[one.cell] == "fast" else gpu.ages_s.get(LANES[one.cell])
        told = _counted(past, gpu.uuid, one.cell) if one in counters and past is not None else _limits(gpu, one)
        rows.append(_row(one, getattr(gpu, one.cell), age, told))
    return rows


def _counter_head() -> Line:
    titles = (fit("", _LABEL), fit("by the driver", _VALUE, "right"), fit("age", _AGE, "right"))
    return line(("".join((*titles, fit("since start", _COUNT, "right"), fit("last minute", _COUNT, "right"))), "dim"))


def _counted(past: PastLike, subject: str, cell: str) -> list[Span]:
    """What a counter came to while we looked; the last minute is not known before half of one was seen."""
    start, minute = past.since_start(subject, cell), past.last_minute(subject, cell)
    spans = []
    for value in (start, minute):
        text = "–" if value is None else f"{value:,.0f}"
        spans.append((fit(text, _COUNT, "right"), "warn" if value else "dim"))
    return spans


def _limits(gpu: GpuSample, shown: Shown) -> list[Span]:
    """What it is measured against, as far as the card tells; why it does not stands in the limit's own row."""
    known = [(word, getattr(gpu, cell)) for word, cell in shown.limits if not isinstance(getattr(gpu, cell), Absent)]
    said = [f"{word} {cell_span(cell, shown.unit, scale=shown.scale, digits=shown.digits)[0]}" for word, cell in known]
    return [("   " + ", ".join(said), "dim")] if said else []


def _row(shown: Shown, cell: Cell, age_s: float | None, told: Sequence[Span]) -> Line:
    label = (fit("    " + shown.label, _LABEL), "dim")
    age = (fit("" if age_s is None else _age(age_s), _AGE, "right"), "dim")
    if isinstance(cell, Absent):
        word = (fit(cell.state.value, _VALUE, "right"), CELLS[cell.state])
        since = "" if cell.age_s is None else _age(cell.age_s)
        return line(label, word, (fit(since, _AGE, "right"), "dim"), ("   " + safe(cell.why, limit=200), "dim"))
    text, role = _value(shown, cell)
    if len(text) > _VALUE:
        return line(label, ("  ", ""), (text, role), age, *told)
    return line(label, (fit(text, _VALUE, "right"), role), age, *told)


def _value(shown: Shown, cell: Cell) -> Span:
    if shown.cell == "throttle_reasons":
        return throttle(cell)
    return cell_span(cell, shown.unit, scale=shown.scale, digits=shown.digits)


def _age(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


# --- the host ----------------------------------------------------------------------------------------------------


def host_part(sample: Sample, past: PastLike | None, width: int) -> Part:
    """Every reading of the host, then its disks, networks, ports and cgroups."""
    host = sample.host
    rows: list[Line] = [BLANK, heading("host", safe(host.host, limit=80))]
    for name in HostSample.__struct_fields__:
        cell = getattr(host, name)
        if name in ("host", "cores") or isinstance(cell, tuple):
            continue
        told = _counted(past, HOST_KEY, name) if past is not None and past.since_start(HOST_KEY, name) else []
        rows.append(_row(by_name(name), cell, None, told))
    for title, members in (
        ("disks", host.disks), ("network", host.network), ("InfiniBand ports", host.ports), ("cgroups", host.groups),
    ):  # fmt: skip
        for member in members:
            rows += [BLANK, heading(title, _title(member)), *_members(member)]
    more = (("driver", sample.driver), ("CUDA", sample.cuda), ("kernel module", sample.kernel_module),
            ("device files", sample.device_nodes), ("kernel log", sample.kernel_log))  # fmt: skip
    rows += [BLANK, heading("driver", safe(sample.driver_state, limit=200))]
    return Part([*rows, *(_row(Shown("", label), cell, None, ()) for label, cell in more)])


def _title(member: object) -> str:
    names = (getattr(member, name, "") for name in ("path", "name", "device", "port", "what", "job"))
    return safe("  ".join(str(name) for name in names if name != ""), limit=200)


def _members(member: object) -> list[Line]:
    named = ("path", "name", "device", "port", "what", "job")
    cells = [name for name in member.__struct_fields__ if name not in named]  # type: ignore[attr-defined]
    return [_row(by_name(name), getattr(member, name), None, ()) for name in cells]
