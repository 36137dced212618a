"""The GPUs pane: is this node healthy? Every GPU live, what is wrong in words, and who is on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from torchdoctor import later
from torchdoctor.paint import Page
from torchdoctor.widgets.bars import Rows
from torchdoctor.widgets.foot_rows import cost_line, replay_line
from torchdoctor.widgets.lines import Lines
from torchdoctor.widgets.process_rows import SORTS, process_of

from .base import SnapshotPane, console
from .gpus_overview import overview

if TYPE_CHECKING:
    from torchdoctor.interfaces import AnswerLike
    from torchdoctor.sources import Snapshot
    from torchprobes.samples import ProcessSample

OVERVIEW: Final = ""
OPENS: Final = {"gpu": "gpu", "process": "process", "host": "host"}
"""What the keys of the cursor begin with -> the view that enter opens."""

FOOT_S: Final = 2.0
"""Our own cost is told anew this often: its last digit is not worth the bytes."""

SEEK_S: Final = 10.0
PACES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True)
class Opened:
    """A view that is open: its name, what it is about, and where the view under it stood."""

    view: str
    subject: str = ""
    cursor: str | None = None
    scroll: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose: the order and filter of processes, and of the plots their metric and how far back."""

    sort: str = SORTS[0]
    wanted: str = ""
    metric: int = 0
    span: int = 1


class GpusPane(SnapshotPane):
    """Telemetry of GPUs and host, with findings beneath; from there one GPU, one process, history and topology."""

    HELP = """\
Bars and plots have a fixed scale: full is the card's own limit. A cell without a number says why:
n/s not supported · lost · reset needed · perm no permission · stale · hung, with the age of the reading · error.
A row is marked where something was found on its GPU; e goes to the finding. The throttle column says what holds the
clocks down now, and in how much of the last minute something did. Signals go to your own processes only, held by
their start time: never to another that was given the same pid.
"""
    DEFAULT_CSS = """
    GpusPane > #gpus-foot { dock: bottom; height: 1; background: $background; }
    """
    BINDING_GROUP_TITLE = "GPUs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,comma", f"seek(-{SEEK_S:g})", "Earlier", id="replay.earlier", tooltip="10 seconds back"),
        Binding("right,full_stop", f"seek({SEEK_S:g})", "Later", id="replay.later", tooltip="10 seconds on"),
        Binding("shift+left", "seek(-300)", "5 min back", show=False, id="replay.back", tooltip="5 minutes back"),
        Binding("shift+right", "seek(300)", "5 min on", show=False, id="replay.on", tooltip="5 minutes on"),
        Binding("plus,equals_sign", "pace(1)", "Faster", id="replay.faster", tooltip="Replay faster"),
        Binding("minus", "pace(-1)", "Slower", id="replay.slower", tooltip="Replay slower"),
        Binding("enter", "open", "Open", key_display="enter", id="gpus.open",
                tooltip="Everything about this GPU, process or host"),
        Binding("h", "history", "History", id="gpus.history", tooltip="Any metric over 1 minute to 1 hour"),
        Binding("m", "metric(1)", "Metric", id="gpus.metric", tooltip="Plot the next metric"),
        Binding("M", "metric(-1)", "Metric back", show=False, id="gpus.metric.back", tooltip="Plot the one before"),
        Binding("right_square_bracket", "span(1)", "Longer", id="gpus.longer", tooltip="Plot a longer time"),
        Binding("left_square_bracket", "span(-1)", "Shorter", id="gpus.shorter", tooltip="Plot a shorter time"),
        Binding("t", "view('topology')", "Topology", id="gpus.topology", tooltip="How the GPUs are connected"),
        Binding("v", "view('events')", "Events", id="gpus.events", tooltip="XIDs, OOM kills and exits, all of them"),
        Binding("s", "sort", "Sort", id="gpus.sort", tooltip="Sort the processes by the next column"),
        Binding("F", "filter", "Filter", id="gpus.filter", tooltip="Processes that hold a text: user, command, job"),
        Binding("k", "signal", "Signal", id="gpus.signal", tooltip="End or interrupt a process of yours; asks first"),
        Binding("escape", "back", "Back", id="gpus.back", tooltip="Back to where this was opened"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.foot = Rows(id="gpus-foot")
        self.trail: tuple[Opened, ...] = ()
        self.choice = Choice()
        self._foot_s = -FOOT_S
        self._works: list[bool] = []
        self.answer: AnswerLike | None = None
        """What a child says of the process that is open."""

    def compose(self) -> ComposeResult:
        """One view, and the line under it."""
        yield self.lines
        yield self.foot

    # --- drawing -----------------------------------------------------------------------------------------------

    @property
    def opened(self) -> Opened:
        """The view on top."""
        return self.trail[-1] if self.trail else Opened(OVERVIEW)

    def state(self) -> object:
        """What was chosen, what is open, and how much of an answer is there."""
        heard = (self.answer.poll(), len(self.answer.parts())) if self.answer is not None else None
        return self.choice, self.trail, heard

    def refresh_data(self) -> None:
        """The page where it changed, and the line under it."""
        super().refresh_data()
        replay = console(self).sources.replay
        if replay is not None:
            self.foot.show(replay_line(replay, self.size.width))
        elif time.monotonic() - self._foot_s >= FOOT_S:
            self._foot_s = time.monotonic() if self.snapshot.sample is not None else -FOOT_S
            self.foot.show(cost_line(self.snapshot))

    def draw(self, snapshot: Snapshot) -> None:
        """The page, and the keys where others work now."""
        super().draw(snapshot)
        works = [allowed(self) for allowed in self._allowed.values()]
        if works != self._works:
            self._works = works
            self.refresh_bindings()

    def page(self, snapshot: Snapshot, width: int) -> Page:
        """The view on top as lines."""
        height = self.size.height - 1
        if self.opened.view == OVERVIEW:
            return overview(snapshot, width, height, self.choice.sort, self.choice.wanted)
        return later.gpu_view(self.opened, self.choice, self.answer, snapshot, (width, height))

    # --- what works now ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        allowed = self._allowed.get(action)
        return True if allowed is None or not self.is_attached else bool(allowed(self))

    def _at(self, *views: str) -> bool:
        return self.opened.view in views

    def _plots(self) -> bool:
        return self._at("history")

    def _has_processes(self) -> bool:
        sample = self.snapshot.sample
        return self._at(OVERVIEW) and bool(sample and sample.processes)

    def _has_gpus(self) -> bool:
        sample = self.snapshot.sample
        return bool(sample and sample.gpus)

    def _may_signal(self) -> bool:
        return self._process() is not None and not console(self).settings.read_only and not self._replays()

    def _replays(self) -> bool:
        return console(self).sources.replay is not None

    _allowed: ClassVar[dict[str, Callable[[GpusPane], bool]]] = {
        "open": lambda pane: pane._subject() is not None,
        "history": lambda pane: not pane._plots() and pane._has_gpus(),
        "metric": _plots,
        "span": _plots,
        "view": lambda pane: pane._at(OVERVIEW) and pane._has_gpus(),
        "sort": _has_processes,
        "filter": lambda pane: pane._has_processes() or bool(pane.choice.wanted),
        "signal": _may_signal,
        "seek": _replays,
        "pace": _replays,
        "back": lambda pane: bool(pane.trail or pane.choice.wanted),
    }

    def _subject(self) -> tuple[str, str] | None:
        """(view, subject) that enter would open, None where it does nothing."""
        kind, _, _ = (self.lines.cursor or "").partition(":")
        if self._at("history"):
            return ("history", self.lines.cursor or "") if kind == "gpu" and not self.opened.subject else None
        return (OPENS[kind], self.lines.cursor or "") if kind in OPENS and self._at(OVERVIEW, "gpu") else None

    def _process(self) -> ProcessSample | None:
        """The process that the cursor stands on, or that is open."""
        key = self.opened.subject if self._at("process") else self.lines.cursor or ""
        sample = self.snapshot.sample
        return process_of(key, sample.processes) if sample is not None else None

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """Other keys may work there."""
        event.stop()
        self.refresh_bindings()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """As enter."""
        event.stop()
        if self._subject() is not None:
            self.action_open()

    # --- going about -------------------------------------------------------------------------------------------

    def _enter(self, view: str, subject: str = "") -> None:
        self.trail += (Opened(view, subject, self.lines.cursor, self.lines.scroll_y),)
        self._begin()
        self.lines.scroll_to(y=0, animate=False, immediate=True)

    def _begin(self) -> None:
        """Show another view."""
        process = self._process() if self._at("process") and not self._replays() else None
        self.answer = console(self).sources.inspect(process) if process is not None else None
        self.refresh_data()
        self.refresh_bindings()

    def action_open(self) -> None:
        """What the cursor stands on, in full."""
        if (found := self._subject()) is not None:
            self._enter(*found)

    def action_view(self, view: str) -> None:
        """Another view."""
        self._enter(view)

    def action_history(self) -> None:
        """Plots: of the GPU that is open, else of all."""
        self._enter("history", self.opened.subject if self._at("gpu") else "")

    def action_metric(self, by: int) -> None:
        """Another metric."""
        self._choose(metric=self.choice.metric + by)

    def action_span(self, by: int) -> None:
        """A longer or a shorter time."""
        self._choose(span=max(0, min(later.gpu_spans() - 1, self.choice.span + by)))

    def action_back(self) -> None:
        """To the view under this one."""
        self.go_back()

    def go_back(self) -> bool:
        """Close the view on top, or drop the filter."""
        if not self.trail:
            cleared = bool(self.choice.wanted)
            self._choose(wanted="")
            return cleared
        left, self.trail = self.trail[-1], self.trail[:-1]
        self.lines.cursor = left.cursor
        self._begin()
        self.lines.scroll_to(y=left.scroll, animate=False, immediate=True)
        return True

    # --- processes ---------------------------------------------------------------------------------------------

    def _choose(self, **changes: object) -> None:
        self.choice = replace(self.choice, **changes)  # type: ignore[arg-type]
        self.refresh_data()
        self.refresh_bindings()

    def action_sort(self) -> None:
        """The next order."""
        self._choose(sort=SORTS[(SORTS.index(self.choice.sort) + 1) % len(SORTS)])

    def action_filter(self) -> None:
        """Ask for a text."""
        self.mount(asked := later.filter_line(self.choice.wanted, self.lines, lambda text: self._choose(wanted=text)))
        asked.focus()

    def action_signal(self) -> None:
        """Ask which signal, and send it."""
        process = self._process()
        if process is None:
            return
        sources = console(self).sources

        def answered(number: int | None) -> None:
            if number is not None:
                sources.signal(process, number)

        self.app.push_screen(later.signal_question(process), answered)

    # --- replay ------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Hold the recording, or without one the screen."""
        replay = console(self).sources.replay
        if replay is None:
            super().action_pause()
        else:
            replay.paused = not replay.paused
            self.refresh_data()

    def action_seek(self, seconds: float) -> None:
        """Another place of the recording."""
        replay = console(self).sources.replay
        if replay is not None:
            replay.seek(min(max(0.0, replay.position_s + seconds), replay.length_s))
            self.refresh_data()

    def action_pace(self, by: int) -> None:
        """The next pace."""
        replay = console(self).sources.replay
        if replay is not None:
            nearest = min(range(len(PACES)), key=lambda place: abs(PACES[place] - replay.pace))
            replay.pace = PACES[max(0, min(len(PACES) - 1, nearest + by))]
            self.refresh_data()
