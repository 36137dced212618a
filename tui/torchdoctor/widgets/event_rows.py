"""What happened once, as lines: XIDs, OOM kills, processes that left a GPU; never thinned, newest first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from torchdoctor.events import place
from torchdoctor.paint import Line, Span, heading
from torchdoctor.text import safe
from torchdoctor.widgets.table_rows import Column, fit_columns, head_line, table_row
from torchprobes.samples import GpuSample, KernelEvent

_ROLES: Final = {"xid": "warn", "sxid": "warn", "off-bus": "fail", "oom": "fail", "lockup": "fail", "exit": ""}


@dataclass(frozen=True, slots=True)
class _Row:
    event: KernelEvent
    gpu: int | None


def _when(row: _Row, width: int) -> Sequence[Span]:
    form = "%m-%d %H:%M:%S" if width >= 14 else "%H:%M:%S"
    return [(time.strftime(form, time.localtime(row.event.t_ns / 1e9)), "dim")]


def _what(row: _Row, width: int) -> Sequence[Span]:
    event = row.event
    code = f" {event.code}" if event.code is not None else ""
    word = event.kind.upper() if event.kind in ("xid", "sxid", "oom", "aer") else event.kind
    return [(safe(f"{word}{code}", limit=40), _ROLES.get(event.kind, "warn"))]


def _who(row: _Row, width: int) -> Sequence[Span]:
    event = row.event
    pid = "" if event.pid is None else str(event.pid)
    return [(safe(f"{event.process} {pid}".strip(), limit=80) or "–", "")]


def _text(name: str) -> Callable[[_Row, int], Sequence[Span]]:
    return lambda row, width: [(safe(str(getattr(row.event, name)), limit=400) or "–", "dim")]


_COLUMNS: Final[tuple[Column[_Row], ...]] = (
    Column("  time", 10, 0, _when, most=16),
    Column("GPU", 3, 0, lambda row, width: [("–" if row.gpu is None else str(row.gpu), "title")]),
    Column("what", 9, 0, _what, left=True, most=12),
    Column("process", 14, 1, _who, left=True, most=18),
    Column("job", 8, 2, _text("job"), left=True, most=12),
    Column("from", 5, 4, _text("source"), left=True, most=9),
    Column("line", 20, 3, _text("text"), left=True, most=160),
)  # fmt: skip


def event_rows(
    events: Sequence[KernelEvent], gpus: Sequence[GpuSample], width: int, *, of_one: bool = False
) -> list[Line]:
    """All events, newest first; `of_one` where they are those of one GPU."""
    where = " of this GPU" if of_one else ""
    if not events:
        return [heading("events", f"none{where} since boot, as far as the kernel log tells")]
    names = {gpu.uuid: gpu.index for gpu in gpus} | {place(gpu.bus_id): gpu.index for gpu in gpus}
    columns = fit_columns(_COLUMNS, width)
    rows = [_Row(event, names.get(event.gpu_uuid, names.get(place(event.bus_id)))) for event in events]
    return [
        heading("events", f"{len(events)}{where}, newest first"),
        head_line(columns),
        *(table_row(row, columns) for row in reversed(rows)),
    ]
