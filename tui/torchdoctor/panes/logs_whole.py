"""What the Logs pane does with a run as a whole: searches all of its files, exports, captures, hands it to tlparse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from torchdoctor import later
from torchdoctor.log_graphs import file_of, is_graph
from torchdoctor.log_source import LogSource, tlparse, write_explanation
from torchdoctor.widgets.log_view import LogView
from torchprobes.compilelog.search import Query

from .base import console
from .logs_read import LogsReader

FILES: Final = frozenset({"log", "python", "ir", "json", "text"})
"""Languages of files that a search of all looks into."""


class _AllFiles:
    """What the search line searches: it asks a search line's three questions of all files."""

    def __init__(self, pane: WholeRun) -> None:
        self._pane = pane
        self.query_text = pane.source.query.words if pane.source.query is not None else ""

    def search(self, text: str) -> int:
        """Begin; how much there is comes later, so that nobody says "not found" now."""
        self._pane.search_all(Query(text) if text else None)
        return 1

    def focus(self) -> None:
        """Back to what has had the keys."""
        self._pane.read()


class WholeRun(Widget):
    """The part of the pane that sees a run as a whole."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "search_all", "Search all", show=False, id="logs.search.all",
                tooltip="Search all files of the run; the tree shows how many lines of each have it"),
        Binding("x", "export_explanation", "Export", show=False, id="logs.export",
                tooltip="Write the explanation as JSON and as text"),
        Binding("r", "run_graph", "Run graph", id="logs.run",
                tooltip="Run this graph alone: compile it here, hold it against eager, time it"),
        Binding("T", "tlparse", "tlparse", show=False, id="logs.tlparse",
                tooltip="Let tlparse make its HTML of the structured trace"),
    ]  # fmt: skip

    class TlparseRequested(Message):
        """tlparse's HTML of a trace is asked for."""

        def __init__(self, trace: str) -> None:
            super().__init__()
            self.trace = trace

    source: LogSource
    reader: LogsReader

    def __init__(self) -> None:
        super().__init__()
        self._captured: list[str] = []
        self._form: Mapping[str, Any] = {}
        self._said: object = None

    def show(self, path: str) -> None:
        """Show a run."""
        raise NotImplementedError

    def read(self) -> None:
        """Give the keys to what is shown."""
        raise NotImplementedError

    # --- what works -----------------------------------------------------------------------------------------------

    def _may_change(self) -> bool:
        settings = getattr(self.app, "settings", None)
        return settings is not None and not getattr(settings, "read_only", True) and settings.replay is None

    def _traces(self) -> list[str]:
        files = self.reader.view.tree.files if self.reader.view is not None else ()
        return [file.path for file in files if file.kind.name == "trace" and not file.gone and file.size_bytes]

    def _capture_runs(self) -> bool:
        """Whether the run that is shown is a capture of this console that goes on."""
        if self.source.root not in self._captured:
            return False
        view = later.capture_desk().view(self.source.root)
        return view is not None and not view.finished

    whole_allowed: ClassVar[Mapping[str, Callable[[WholeRun], object]]] = {
        "search_all": lambda pane: pane.reader.view is not None and pane.reader.view.tree.files,
        "export_explanation": lambda pane: pane.reader.where.view in ("overview", "compile") and pane.reader.view,
        "capture": lambda pane: pane._may_change(),
        "cancel": lambda pane: pane._capture_runs(),
        "tlparse": lambda pane: pane._traces(),
        "run_graph": lambda pane: pane._may_change() and is_graph(pane.reader.where),
    }

    # --- search ---------------------------------------------------------------------------------------------------

    def action_search_all(self) -> None:
        """Ask what to search all files for."""
        asker: Any = _AllFiles(self)
        self.mount(asked := later.search_line(asker))
        asked.placeholder = "search all files of this run (empty ends the search)"  # type: ignore[attr-defined]
        asked.focus()

    def search_all(self, query: Query | None) -> None:
        """Search all files, or end the search."""
        view = self.reader.view
        files = view.tree.files if view is not None else ()
        self.source.search([file.path for file in files if file.kind.language in FILES and not file.gone], query)

    def on_log_view_search_all_requested(self, message: LogView.SearchAllRequested) -> None:
        """From within a log."""
        message.stop()
        self.search_all(message.query)

    def tell_search(self) -> Mapping[str, int]:
        """Lines with a hit by path; says how many there are when all is searched."""
        found = self.source.hits()
        if found is None:
            self._said = None
            return {}
        if found.finished and self._said is not found.query:
            self._said = found.query
            counted = [file for file in found.files if file.count]
            words = f"{found.count:,} lines in {len(counted):,} of {found.total:,} files have {found.query.words}"
            self.notify(words, timeout=4, markup=False)
        elif found.cause and self._said is not found.query:
            self._said = found.query
            self.notify(f"the search of all files: {found.cause}", severity="warning", markup=False)
        return {file.path: file.count for file in found.files if file.count}

    # --- out of here ----------------------------------------------------------------------------------------------

    def on_log_view_export_requested(self, message: LogView.ExportRequested) -> None:
        """Into the folder of exports, which a thread makes."""
        message.stop()
        view = self.reader.log_view
        self.source.work(self._folder, lambda found: self._export_into(view, *found))

    def _export_into(self, view: LogView, folder: str, cause: str) -> None:
        if cause:
            self.notify(f"not exported: {cause}", severity="warning", markup=False)
        else:
            view.export_into(folder)

    def _folder(self) -> tuple[str, str]:
        """(the folder of exports, why there is none)."""
        try:
            return console(self).sources.exports_folder(), ""
        except OSError as error:
            return "", error.strerror or str(error)

    def action_export_explanation(self) -> None:
        """As JSON, the same as `logs --explain --json`, and as the text of the page."""
        view = self.reader.view
        if view is None:
            return
        explanation, text = view.explanation, self.reader.explain.lines.plain_text()

        def write() -> str:
            folder, cause = self._folder()
            return f"not exported: {cause}" if cause else write_explanation(folder, explanation, text)

        self.source.work(write, lambda said: self.notify(said, markup=False))

    def action_tlparse(self) -> None:
        """Tlparse's HTML of the trace that is shown, else of the first."""
        traces: Sequence[str] = self._traces()
        here = self.reader.where.path
        if traces:
            self.post_message(self.TlparseRequested(here if here in traces else traces[0]))

    def on_whole_run_tlparse_requested(self, message: TlparseRequested) -> None:
        """In a thread; a notice says where it is, or what is missing."""
        message.stop()

        def make() -> str:
            folder, cause = self._folder()
            return f"no HTML: {cause}" if cause else tlparse(message.trace, folder)

        self.notify("tlparse reads the trace", timeout=2, markup=False)
        self.source.work(make, lambda said: self.notify(said, timeout=10, markup=False))

    def action_run_graph(self) -> None:
        """The graph that is shown, as a probe; one in a trace is written into the folder of exports first."""
        where = self.reader.where

        def found() -> tuple[str, str]:
            folder, cause = self._folder() if where.window is not None else ("", "")
            try:
                return ("", cause) if cause else (file_of(where.path, where.window, folder), "")
            except OSError as error:
                return "", error.strerror or str(error)

        self.source.work(found, lambda told: self._run_graph(*told))

    def _run_graph(self, path: str, cause: str) -> None:
        if cause:
            self.notify(f"not run: {cause}", severity="warning", markup=False)
        else:
            self.call_later(console(self).run_graph, path)

    # --- captures -------------------------------------------------------------------------------------------------

    def action_capture(self) -> None:
        """Ask what to capture; what was started is shown."""
        form = later.capture_form(console(self), self._form)

        def answered(run: str | None) -> None:
            self._form = form.last()
            if run:
                self._captured.append(run)
                self.show(run)

        self.app.push_screen(form, answered)

    def action_cancel(self) -> None:
        """End the capture, after a question."""
        run = self.source.root
        asked = later.question("The capture is ended; what it wrote stays.", "end it")
        self.app.push_screen(asked, lambda yes: later.capture_desk().cancel(run) if yes else None)
