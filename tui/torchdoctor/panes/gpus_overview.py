"""The first view of the GPUs pane: all GPUs, who is on them, what was found, and the host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from torchdoctor.paint import BLANK, Line, Page, Part, line, stack, wrap
from torchdoctor.text import safe
from torchdoctor.widgets.finding_rows import findings_part
from torchdoctor.widgets.gpu_cards import CARDS, gpu_cards
from torchdoctor.widgets.gpu_rows import gpu_table
from torchdoctor.widgets.gpu_words import gpu_rows_of
from torchdoctor.widgets.host_rows import host_rows
from torchdoctor.widgets.process_rows import SORTS, process_rows

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot
    from torchprobes.samples import Accelerator, Sample

AIRY = 24
"""Rows of a view from which the first is left blank."""

PROCESSES = 9
"""Lines that processes want to have on the first screenful: a blank, two of titles, six processes."""

_FINDING_WIDTH = 110


def overview(snapshot: Snapshot, width: int, height: int, sort: str = SORTS[0], wanted: str = "") -> Page:
    """The page of a snapshot on a view of this size."""
    sample = snapshot.sample
    if sample is None:
        text = snapshot.sampler or "reading the first sample"
        return Page([BLANK, line("  ", (safe(text), "warn" if snapshot.sampler else "dim"))])
    parts = [Part([BLANK])] if height >= AIRY else []
    if snapshot.sampler:
        when = time.strftime("%H:%M:%S", time.localtime(sample.t_ns / 1e9))
        parts.append(
            Part(
                [
                    line("  ", (f"▲ {safe(snapshot.sampler)}", "warn")),
                    line((f"    what is shown was read at {when}", "dim")),
                    BLANK,
                ]
            )
        )
    parts.append(_gpus(snapshot, sample, width, height))
    parts += [Part([_accelerator(one)]) for one in sample.accelerators]
    found = findings_part(snapshot.findings, min(width, _FINDING_WIDTH))
    parts += _middle(sample, found, width, height - _length(parts), sort, wanted)
    spare = max(0, height - _length(parts) - 7)
    tall = min(6, max(2, spare // 2)) if not sample.gpus else 0
    parts += [Part([BLANK]), host_rows(sample.host, snapshot.history, width, tall)]
    return stack(parts)


def _length(parts: list[Part]) -> int:
    return sum(len(part.lines) for part in parts)


def _gpus(snapshot: Snapshot, sample: Sample, width: int, height: int) -> Part:
    if not sample.gpus:
        return Part(_no_gpu(sample, width))
    rows = gpu_rows_of(sample.gpus, snapshot.findings, snapshot.xids, snapshot.history)
    return gpu_cards(rows, width, height) if len(rows) <= CARDS else gpu_table(rows, width, height)


def _middle(sample: Sample, found: Part, width: int, room: int, sort: str, wanted: str) -> list[Part]:
    """Processes and findings, findings first where both fit on the screen."""
    if not sample.gpus and not sample.processes:
        return [found]
    processes = process_rows(sample.processes, sample.gpus, width, sort, wanted)
    below = [Part([BLANK]), processes]
    needed = min(PROCESSES, 1 + len(processes.lines))
    return [found, *below] if len(found.lines) + needed <= room else [*below, found]


def _accelerator(one: Accelerator) -> Line:
    count = f"{one.count} × " if one.count > 1 else ""
    what = f"{count}{safe(one.vendor, limit=40)} {safe(one.what, limit=60)}"
    return line(("  ", ""), (what, ""), (f"  {safe(one.node, limit=60)}, no library here reads it", "dim"))


def _no_gpu(sample: Sample, width: int) -> list[Line]:
    reason = safe(sample.driver_state) if sample.driver_state != "ok" else "the driver lists no GPU"
    rows = wrap(reason, max(20, width - 10))
    return [
        line(("  GPU     ", "title"), (rows[0], "info")),
        *(line(" " * 10, (row, "info")) for row in rows[1:]),
        line((" " * 10 + "probes run on the CPU: 2 shows them", "dim")),
    ]
