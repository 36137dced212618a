"""The views that the GPUs pane opens: one GPU, one process, the host, history, topology, events.

Imported when the first of them is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import BLANK, Page, Part, line, stack
from torchdoctor.widgets.event_rows import event_rows
from torchdoctor.widgets.gpu_detail import gpu_part, head_part, host_part
from torchdoctor.widgets.gpu_links import links_part, migs_part
from torchdoctor.widgets.gpu_rows import gpu_key
from torchdoctor.widgets.gpu_words import gpu_rows_of
from torchdoctor.widgets.history_plot import Plotted, history_page
from torchdoctor.widgets.process_detail import process_part
from torchdoctor.widgets.process_rows import gone, process_of, process_rows
from torchdoctor.widgets.topology_rows import topology_rows

if TYPE_CHECKING:
    from torchdoctor.interfaces import AnswerLike
    from torchdoctor.sources import Snapshot
    from torchprobes.samples import GpuSample, Sample

    from .gpus import Choice, Opened


def page(opened: Opened, choice: Choice, answer: AnswerLike | None, snapshot: Snapshot, size: tuple[int, int]) -> Page:
    """The view that is open, on a screen of this many columns and rows."""
    sample = snapshot.sample
    if sample is None:
        return Page([BLANK, line(("  no sample yet", "dim"))])
    return _VIEWS[opened.view](_Asked(opened.subject, choice, answer, snapshot, sample, *size))


class _Asked:
    """What a view is made of."""

    def __init__(
        self, subject: str, choice: Choice, answer: AnswerLike | None, snapshot: Snapshot, sample: Sample,
        width: int, height: int,
    ) -> None:  # fmt: skip
        self.subject, self.choice, self.answer = subject, choice, answer
        self.snapshot, self.sample = snapshot, sample
        self.width, self.height = width, height

    @property
    def gpu(self) -> GpuSample | None:
        """The GPU that the view is about."""
        return next((gpu for gpu in self.sample.gpus if gpu_key(gpu) == self.subject), None)


def _gpu(asked: _Asked) -> Page:
    gpu, snapshot = asked.gpu, asked.snapshot
    if gpu is None:
        return Page([BLANK, line(("  this GPU is no longer listed", "dim"))])
    row = gpu_rows_of([gpu], snapshot.findings, snapshot.xids, snapshot.history)[0]
    mine = [process for process in asked.sample.processes if process.gpu_uuid == gpu.uuid]
    events = snapshot.past.events_of(gpu) if snapshot.past is not None else []
    parts = [
        head_part(row),
        process_rows(mine, [gpu], asked.width, asked.choice.sort),
        Part([BLANK, *event_rows(events, asked.sample.gpus, asked.width, of_one=True)]),
        gpu_part(gpu, snapshot.past, asked.width),
        links_part(gpu, asked.width),
        migs_part(gpu, asked.width),
    ]
    return stack(parts)


def _process(asked: _Asked) -> Page:
    process = process_of(asked.subject, asked.sample.processes)
    rows = [BLANK, gone(asked.subject)] if process is None else []
    return stack([Part(rows), process_part(process, asked.answer, asked.sample.gpus, asked.width)])


def _host(asked: _Asked) -> Page:
    return stack([host_part(asked.sample, asked.snapshot.past, asked.width)])


def _history(asked: _Asked) -> Page:
    gpus = [asked.gpu] if asked.gpu is not None else list(asked.sample.gpus)
    past = asked.snapshot.past
    events = past.events_of(asked.gpu) if asked.gpu is not None and past is not None else ()
    plotted = Plotted(asked.snapshot.history, asked.choice.metric, asked.choice.span, asked.sample.t_ns, tuple(events))
    return history_page(gpus, plotted, asked.width, asked.height)


def _topology(asked: _Asked) -> Page:
    return Page([BLANK, *topology_rows(asked.sample, asked.width)])


def _events(asked: _Asked) -> Page:
    past = asked.snapshot.past
    events = list(past.events) if past is not None else []
    dropped = past.events_dropped if past is not None else 0
    rows = event_rows(events, asked.sample.gpus, asked.width)
    more = [line((f"  {dropped} of the oldest are no longer kept", "warn"))] if dropped else []
    return Page([BLANK, *more, *rows])


_VIEWS: Final[dict[str, Callable[[_Asked], Page]]] = {
    "gpu": _gpu,
    "process": _process,
    "host": _host,
    "history": _history,
    "topology": _topology,
    "events": _events,
}
