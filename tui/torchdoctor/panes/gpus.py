"""The GPUs pane: is this node healthy? Every GPU live, what is wrong in words, and who is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from torchdoctor.paint import BLANK, Line, Page, heading, line, wrap
from torchdoctor.text import safe
from torchdoctor.widgets.finding_rows import by_weight, finding_rows
from torchdoctor.widgets.gpu_rows import gpu_rows
from torchdoctor.widgets.host_rows import SORTS, host_rows, process_rows

from .base import SnapshotPane

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot
    from torchprobes.model import Finding
    from torchprobes.samples import Sample


class GpusPane(SnapshotPane):
    """Telemetry of GPUs and host, with findings beneath."""

    HELP = """\
Bars and plots have a fixed scale: full is the card's own limit. A cell without a number says why:
n/s not supported · lost · reset needed · perm no permission · stale · hung, with the age of the reading · error.
"""
    BINDING_GROUP_TITLE = "GPUs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort", id="gpus.sort", tooltip="Sort the processes by memory or by pid"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.sort = SORTS[0]

    def state(self) -> object:
        """The order of processes."""
        return self.sort

    def page(self, snapshot: Snapshot, width: int) -> Page:
        """The whole pane as lines."""
        return gpus_page(snapshot, width, self.size.height, self.sort)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to sort without processes."""
        sample = self.snapshot.sample
        return bool(sample and sample.processes) if action == "sort" else True

    def action_sort(self) -> None:
        """The next order."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
        self.refresh_data()


def gpus_page(snapshot: Snapshot, width: int, height: int, sort: str = SORTS[0]) -> Page:
    """The page of a snapshot on a screen of this size."""
    sample = snapshot.sample
    if sample is None:
        text = snapshot.sampler or "reading the first sample"
        return Page([BLANK, line("  ", (safe(text), "warn" if snapshot.sampler else "dim"))])
    rows: list[Line] = [BLANK]
    if snapshot.sampler:
        rows += [line("  ", (f"▲ {safe(snapshot.sampler)}", "warn")), BLANK]
    rows += gpu_rows(sample.gpus, snapshot.history, width, height) if sample.gpus else _no_gpu(sample, width)
    marks, found = _findings(snapshot.findings, width, len(rows))
    rows += found
    if sample.gpus:
        rows += [BLANK, *process_rows(sample.processes, sample.gpus, width, sort)]
    spare = max(0, height - len(rows) - 7)
    tall = min(6, max(2, spare // 2)) if not sample.gpus else 0
    rows += [BLANK, *host_rows(sample.host, snapshot.history, width, tall)]
    return Page(rows, marks=marks)


def _findings(findings: tuple[Finding, ...], width: int, at: int) -> tuple[frozenset[int], list[Line]]:
    if not findings:
        return frozenset(), []
    rows, marks = [BLANK, heading("findings", str(len(findings)))], []
    for finding in by_weight(findings):
        marks.append(at + len(rows))
        rows += finding_rows(finding, min(width, 110))
    return frozenset(marks), rows


def _no_gpu(sample: Sample, width: int) -> list[Line]:
    reason = safe(sample.driver_state) if sample.driver_state != "ok" else "the driver lists no GPU"
    rows = wrap(reason, max(20, width - 10))
    return [
        line(("  GPU     ", "title"), (rows[0], "info")),
        *(line(" " * 10, (row, "info")) for row in rows[1:]),
        line((" " * 10 + "probes run on the CPU: 2 shows them", "dim")),
    ]
