"""Looking after runs, as a part of the Report pane: named, deleted, pruned; reports of other nodes added."""

from __future__ import annotations

from collections.abc import Callable

from torchdoctor import later
from torchdoctor.report_source import Reports, ReportSource
from torchdoctor.widgets.lines import Lines
from torchprobes.reports.seen import RunRow

from . import report_views as views
from .base import SnapshotPane, console


class KeepingPane(SnapshotPane):
    """A pane with a history. Everything that deletes asks first; nothing but runs of the state directory is touched."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Lines] = {"history": Lines(id="history-lines")}
        self.marked: dict[str, None] = {}
        """Paths in the order in which they were marked: the first one is what the others are held against."""

    @property
    def source(self) -> ReportSource:
        """Where reports come from."""
        return console(self).sources.reports

    @property
    def reports(self) -> Reports:
        """How they stand; before anybody asked for one, nothing is started."""
        return console(self).sources.reports.snapshot()

    @property
    def row(self) -> RunRow | None:
        """The run or file under the cursor of the history."""
        return self.reports.runs.get(self.rows["history"].cursor or "")

    def _ask(self, text: str, hint: str, done: Callable[[str], None]) -> None:
        asked = later.ask_line(text, hint, self.rows["history"], done)
        self.mount(asked)
        asked.focus()

    def action_add(self) -> None:
        """Ask for a path."""
        hint = "a report.json, a run, or a folder of them"
        self._ask("", hint, lambda path: self.source.add_files(path) if path else None)

    def action_rename(self) -> None:
        """Ask for a title."""
        row = self.row
        if row is not None and row.own:
            self._ask(row.title, "a title; empty takes it away", lambda title: self.source.rename(row.path, title))

    def doomed(self) -> list[str]:
        """The runs that `D` would delete: files of others are never touched."""
        rows = self.reports.runs
        chosen = [path for path in self.marked if path in rows] or ([self.row.path] if self.row is not None else [])
        return [path for path in chosen if rows[path].own]

    def action_delete(self) -> None:
        """Delete, once it is confirmed."""
        doomed = self.doomed()
        what = f"{len(doomed)} runs" if len(doomed) > 1 else f"the run of {views.began(self.row)}"

        def answered(yes: bool | None) -> None:
            if yes:
                self.marked = {path: None for path in self.marked if path not in doomed}
                self.source.delete(doomed)

        self.app.push_screen(later.question(f"Delete {what}? It cannot be brought back.", "delete"), answered)

    def action_prune(self) -> None:
        """Ask by what, then whether."""
        self._ask("", "older than so many days (30d), or the oldest beyond a size in all (500MB)", self._prune)

    def _prune(self, text: str) -> None:
        asked = views.pruned_by(text)
        if asked is None:
            self.notify(f"neither days nor a size: {text}", severity="warning", markup=False)
            return
        words, days, most = asked

        def answered(yes: bool | None) -> None:
            if yes:
                self.source.prune(days, most)

        self.app.push_screen(later.question(f"Delete {words}? The newest run stays.", "delete"), answered)
