"""What the first frame does not need, imported when it is first asked for: the whole start depends on it."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.command import Provider
    from textual.screen import ModalScreen, Screen
    from textual.widget import Widget

    from torchprobes.samples import ProcessSample

    from .interfaces import DeskLike, Engines, JobEngines
    from .job_source import JobSource
    from .paint import Page
    from .report_source import ReportSource
    from .widgets.lines import Lines

PANES: Final = {
    "gpus": ("GPUs", "GpusPane"),
    "probes": ("Probes", "ProbesPane"),
    "jobs": ("Jobs", "JobsPane"),
    "logs": ("Logs", "LogsPane"),
    "report": ("Report", "ReportPane"),
}
"""Module in `panes` -> (title, class), in the order of the digits."""

OWN_LOG_S: Final = 0.1
"""How long the end waits for the own log's last lines."""

TITLES: Final = {name: title for name, (title, _) in PANES.items()}


def _module(name: str) -> Any:
    return import_module(f".{name}", __package__)


async def pane(name: str, beside: bool) -> Any:
    """A new pane: a widget that keeps the protocol `panes.base.Pane`.

    `beside`: something is on the screen already. What the pane imports is then imported in a thread: 70 modules would
    hold the screen for 0.2 s.
    """
    if beside:
        await asyncio.get_running_loop().run_in_executor(None, _module, f"panes.{name}")
    return getattr(_module(f"panes.{name}"), PANES[name][1])()


def engines() -> Engines:
    """The machine half; called in a thread."""
    made: Engines = _module("engines").real()
    return made


class OwnLog:
    """The own log, which begins after the first frame."""

    def __init__(self, out: str | None) -> None:
        self._out = out
        self._journal: Any = None

    def start(self) -> None:
        """Open it; its place is found by its own thread."""
        module = _module("journal")
        self._journal = module.Journal(lambda: module.folder_beside_runs(self._out)).start()

    def stop(self) -> None:
        """Close it; a disk that gives no answer at once is left alone."""
        if self._journal is not None:
            self._journal.stop(OWN_LOG_S)


def actions() -> type[Provider]:
    """The entries of the palette."""
    found: type[Provider] = _module("palette").Actions
    return found


def help_screen(under: Screen[Any], title: str, text: str) -> ModalScreen[None]:
    """Help for the pane that is open on `under`."""
    made: ModalScreen[None] = _module("dialogs").HelpScreen(under, title, text)
    return made


def question(text: str, yes: str) -> ModalScreen[bool]:
    """A question that is answered by y or n."""
    made: ModalScreen[bool] = _module("dialogs").Question(text, yes)
    return made


def search_line(lines: Lines) -> Widget:
    """The line that asks what to search for."""
    made: Widget = _module("widgets.search_line").SearchLine(lines)
    return made


def filter_line(text: str, lines: Lines, done: Callable[[str], None]) -> Widget:
    """The line that asks which processes to show."""
    made: Widget = _module("widgets.filter_line").FilterLine(text, lines, done)
    return made


def rank_line(text: str, lines: Lines, done: Callable[[str], None]) -> Widget:
    """The line that asks of which ranks to show the logs."""
    made: Widget = _module("widgets.filter_line").FilterLine(text, lines, done, "ranks: 0-3,7; empty for all")
    return made


def merged_lines(*asked: Any) -> Any:
    """The merged logs of a job."""
    return _module("widgets.merged_lines").MergedLines(*asked)


def signal_question(process: ProcessSample) -> ModalScreen[int | None]:
    """Which signal to send to a process, if any."""
    made: ModalScreen[int | None] = _module("signal_dialog").SignalQuestion(process)
    return made


def gpu_view(*asked: Any) -> Page:
    """A view of the GPUs pane other than its first."""
    made: Page = _module("panes.gpus_views").page(*asked)
    return made


def run_graph(console: Any, path: str) -> str:
    """Let the console run the graph of a file; the pane that shows it."""
    console.run_probes(import_module("torchprobes.runner.graphs").of_file(path))
    return "probes"


def probe_views() -> Any:
    """The right half of the Probes pane: functions that make pages of one probe, of several, and of two runs."""
    return _module("panes.probes_views")


def gpu_spans() -> int:
    """How many times a plot can go back over."""
    return len(_module("widgets.history_plot").SPANS)


def job_source(engines: Callable[[], JobEngines], tell: Callable[[str], None], probe: Callable[[], Any]) -> JobSource:
    """Where the Jobs pane's data comes from."""
    made: JobSource = _module("job_source").JobSource(engines, tell, probe)
    return made


def report_source(desk: Callable[[], DeskLike], tell: Callable[[str], None]) -> ReportSource:
    """Where the Report pane's data comes from."""
    made: ReportSource = _module("report_source").ReportSource(desk, tell)
    return made


def ask_line(*asked: Any) -> Widget:
    """The line that asks for a text: what stands in it, a hint, who gets the keys back, and what is done with it."""
    made: Widget = _module("widgets.ask_line").AskLine(*asked)
    return made


def export(app: Any) -> None:
    """Ask what to write of what is on screen, masked how, and where."""
    _module("export_dialog").export(app)


def job_views() -> Any:
    """What the Jobs pane shows: functions that make the list, and the screen of an opened job."""
    return _module("panes.jobs_views")


def launch_form(*asked: Any) -> Any:
    """The form that launches a job, a modal screen; its answer is the run directory."""
    return _module("launch_form").LaunchForm(*asked)


def capture_form(*asked: Any) -> Any:
    """The form that starts a capture, of the console and what was filled in last; its answer is the run directory."""
    return _module("capture_form").CaptureForm(*asked)


def capture_desk() -> Any:
    """The captures of this console: `view(run)` and `cancel(run)`."""
    return _module("capture_desk")


def _captures() -> tuple[Any, ...]:
    """The captures of this console that run; the runner is not loaded to find out that there are none."""
    desk = sys.modules.get(f"{__package__}.capture_desk")
    return desk.running() if desk is not None else ()


def what_ends(probes: bool) -> str:
    """What runs and ends with this console, for a person, "" if nothing does; `probes` says whether some run."""
    if probes:
        return "Probes are running. Finished results stay, the rest ends."
    return "A capture is running. It ends with this console; what it has said stays." if _captures() else ""


def cancel_captures() -> None:
    """End the captures of this console."""
    for each in _captures():
        each.cancel("cancelled in the console")
