"""The Report pane: hand it over. One page of a report, the runs that are kept, several compared, a node over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from torchdoctor.export_dialog import FORMS, Subject
from torchdoctor.paint import Page
from torchdoctor.report_source import DEFAULT_LEVEL, Reports
from torchdoctor.widgets.bars import Rows
from torchdoctor.widgets.lines import Lines

from . import report_views as views
from .base import console
from .report_keeping import KeepingPane
from .report_views import Look

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot

View = Literal["report", "history", "compare", "time", "detail"]
SIDE_BY_SIDE: Final = 150
LIST: Final = 84
"""On a screen that is this wide the report under the cursor stands beside a history of so many cells."""

LEVELS: Final = ("internal", "public", "none")
CHANGES: Final = ("rename", "delete", "prune")
"""What --read-only removes."""


class ReportPane(KeepingPane):
    """One view at a time; each keeps its place while another is looked at."""

    HELP = """\
A report is one page: the verdict, what needs somebody with its fix, features, the machine. h lists what is kept; space
marks, d compares what is marked, the first one marked is what the others are held against; t puts a node on a time
line. A comparison has its likely causes first, then only what differs (a: all of it), and ends with what no probe
covered. M changes what is masked on the screen; x writes a file. o adds reports of other nodes: a file or a folder.
"""
    DEFAULT_CSS = """
    ReportPane Horizontal, ReportPane Vertical { height: 1fr; }
    ReportPane Lines { width: 1fr; }
    ReportPane #report-head { background: $surface; }
    ReportPane.-beside #history-lines { width: 84; dock: left; }
    ReportPane.-beside #report-lines { padding-left: 1; border-left: vkey $panel; }
    ReportPane.-beside.-ascii #report-lines { border-left: ascii $panel; }
    """
    BINDING_GROUP_TITLE = "Report"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", key_display="enter", id="report.open",
                tooltip="Open the report, row, cause or node under the cursor"),
        Binding("h", "history", "History", id="report.history", tooltip="The runs that are kept; back to the report"),
        Binding("space", "mark", "Mark", id="report.mark", tooltip="Mark a run, to compare or delete several"),
        Binding("asterisk", "mark_all", "Mark all", show=False, id="report.mark-all", tooltip="Mark all reports of the "
                "list under the cursor, or none of them"),
        Binding("d", "compare", "Compare", id="report.compare", tooltip="Compare what is marked; with nothing marked, "
                "this one with the report on screen"),
        Binding("t", "time", "Time line", id="report.time", tooltip="What is marked over time; with nothing marked, "
                "all reports of this node"),
        Binding("a", "all", "All", id="report.all", tooltip="All rows and causes, or only what differs"),
        Binding("v", "nodes", "Nodes", id="report.nodes", tooltip="The comparison by node, or by probe"),
        Binding("s", "sort", "Sort", id="report.sort", tooltip="Nodes by name, or what is odd first"),
        Binding("right", "columns(1)", "Right", show=False, id="report.right", tooltip="The platforms further right"),
        Binding("left", "columns(-1)", "Left", show=False, id="report.left", tooltip="The platforms further left"),
        Binding("o", "add", "Add", id="report.add", tooltip="Reports in a file or folder, beside the runs"),
        Binding("r", "rename", "Rename", id="report.rename", tooltip="Give the run a title"),
        Binding("D", "delete", "Delete", id="report.delete", tooltip="Delete what is marked, or this run; asks first"),
        Binding("P", "prune", "Prune", show=False, id="report.prune", tooltip="Delete runs by age or size; asks first"),
        Binding("M", "mask", "Mask", show=False, id="report.mask", tooltip="What is masked on the screen: secrets "
                "(internal), names too (public), nothing (none)"),
        Binding("escape", "back", "Back", id="report.back", tooltip="Back"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.lines = Lines(id="report-lines")
        self.rows |= {"report": self.lines} | {
            name: Lines(id=f"{name}-lines") for name in ("compare", "time", "detail")
        }
        self.head = Rows(id="report-head")
        self.view: View = "report"
        self.look = Look()
        self.level = DEFAULT_LEVEL
        self.opened = ""
        """What of a comparison is open: "row:NAME" or "cause:PLACE"."""
        self._behind: list[View] = []
        """Where back leads, innermost last."""

    def compose(self) -> ComposeResult:
        """The labels of columns over every view; one of them is seen."""
        with Vertical():
            yield self.head
            with Horizontal():
                yield self.lines
                yield from (self.rows[name] for name in ("history", "compare", "time", "detail"))

    def on_mount(self) -> None:
        """The report alone at first."""
        self.set_class(console(self).settings.ascii, "-ascii")
        self._lay_out()

    # --- drawing -----------------------------------------------------------------------------------------------

    def stamp(self, snapshot: Snapshot) -> object:
        """What the pages are made of: telemetry is no part of it."""
        return snapshot.report, snapshot.report_run, snapshot.report_note, self.reports.revision

    def state(self) -> object:
        """What is looked at, and how."""
        return self.view, self.look, tuple(self.marked), self.opened

    @property
    def beside(self) -> bool:
        """Whether the report under the cursor stands beside the history."""
        return self.view == "history" and self.size.width >= SIDE_BY_SIDE

    def draw(self, snapshot: Snapshot) -> None:
        """The view that is open; what cannot be seen is not made."""
        self._lay_out()
        width, reports = self.size.width - 1, self.reports
        if self.beside:
            self.lines.show(views.front(snapshot, reports, width - LIST - 2))
        shown = self.rows[self.view]
        shown.show(self._page(snapshot, reports, LIST - 1 if self.beside else width))
        self.head.show(views.compare_head(reports, self.look, width) if self.view == "compare" else ())
        self.refresh_bindings()

    def _page(self, snapshot: Snapshot, reports: Reports, width: int) -> Page:
        if self.view == "history":
            return views.history(reports, self.marked, width)
        if self.view == "compare":
            return views.compare(reports, self.look, width)
        if self.view == "time":
            return views.time_line(reports, width)
        if self.view == "detail":
            return views.detail(reports, self.opened, width)
        return views.front(snapshot, reports, width)

    def _lay_out(self) -> None:
        self.set_class(self.beside, "-beside")
        for name, lines in self.rows.items():
            lines.display = name == self.view or (self.beside and name == "report")
            lines.can_focus = name == self.view  # the app gives the keys to the first that takes them
        self.head.display = self.view == "compare" and not self.look.nodes

    def _go(self, view: View, *, from_here: bool = True) -> None:
        """Look at another view; back leads here."""
        if view == self.view:
            return
        if from_here:
            self._behind.append(self.view)
        self.view = view
        self.refresh_data()
        self.rows[view].focus()

    def plain_text(self) -> str:
        """The page that has the keys, whole."""
        return self.rows[self.view].plain_text()

    # --- what is on screen -------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path of the report on screen, "" without one."""
        return self.reports.opened or self.snapshot.report_run

    def exported(self) -> Subject | None:
        """What `x` writes: the comparison or the report that is on screen."""
        seen = self.reports.compared
        if self.view in ("compare", "detail") and seen is not None:
            forms = tuple(form for form in FORMS if form != "junit")
            return Subject(f"{len(seen.platforms):,} platforms compared", forms, "compare", key=seen.key)
        row = self.row if self.view == "history" else None
        path = row.path if row is not None else self.path
        shown = row is not None and bool(row.counts or row.kind == "check")
        report = self.reports.report or self.snapshot.report
        if not path or not (shown or (row is None and report is not None)):
            return None
        began = row.started if row is not None else report.started if report is not None else ""
        return Subject(
            f"the report of {began[:16].replace('T', ' ')}Z", tuple(FORMS), f"report-{began[:16]}", path=path
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        if not self.is_attached:
            return True
        if action in CHANGES and console(self).settings.read_only:
            return False
        row, listed, compared = self.row, self.view == "history", self.view == "compare"
        allowed = {
            "open": listed or (compared and self.rows["compare"].cursor is not None),
            "mark": listed and row is not None,
            "mark_all": listed and row is not None,
            "compare": listed and (len(self.marked) > 1 or (row is not None and bool(self.path))),
            "time": listed and (bool(self.marked) or row is not None),
            "all": compared,
            "nodes": compared,
            "sort": compared and self.look.nodes,
            "columns": self.view in ("compare", "detail"),
            "add": listed,
            "rename": listed and row is not None and row.own,
            "delete": listed and bool(self.doomed()),
            "prune": listed,
            "back": bool(self._behind) or bool(self.reports.opened),
        }
        return allowed.get(action, True)

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """Another run under the cursor: beside the list its report follows."""
        if self.beside and event.lines is self.rows["history"]:
            self._read(event.key)
        self.refresh_bindings()

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """A second click opens."""
        event.stop()
        self.action_open()

    # --- actions -----------------------------------------------------------------------------------------------

    def action_history(self) -> None:
        """The list, or back from it."""
        if self.view == "history":
            self.go_back()
            return
        self.source.read_history()
        self._go("history")

    def action_open(self) -> None:
        """What is under the cursor."""
        if self.view == "history" and self.row is not None:
            self._read(self.row.path)
            self.lines.scroll_home(animate=False, immediate=True)
            self._go("report")
        elif self.view == "compare":
            self._open_part(self.rows["compare"].cursor or "")

    def _read(self, path: str) -> None:
        if path != self.reports.opened and path in self.reports.runs:
            self.source.open(path, self.level)

    def _open_part(self, key: str) -> None:
        """A row, a cause, or the report of a node."""
        seen = self.reports.compared
        kind, _, name = key.partition(":")
        if seen is None or not kind:
            return
        if kind == "node":
            self.source.open(seen.platforms[int(name)].where, self.level)
            self._go("report")
            return
        self.opened = key
        if kind == "cause":
            self.source.open_cause(seen.key, int(name))
        else:
            self.source.open_row(seen.key, name, *views.asked_cells(self.reports, self.look, self.size.width - 1))
        self.rows["detail"].scroll_home(animate=False, immediate=True)
        self._go("detail")

    def action_mark(self) -> None:
        """Mark, or no more; the cursor goes on."""
        row = self.row
        if row is None:
            return
        if self.marked.pop(row.path, row) is row:
            self.marked[row.path] = None
        self.refresh_data()
        self.rows["history"].action_move(1)

    def action_mark_all(self) -> None:
        """All of the list under the cursor that can be compared, or none of them where all are marked."""
        here = self.row.own if self.row is not None else True
        paths = [path for path, row in self.reports.runs.items() if row.own == here and row.counts]
        if all(path in self.marked for path in paths):
            self.marked = {path: None for path in self.marked if path not in paths}
        else:
            self.marked |= dict.fromkeys(paths)
        self.refresh_data()

    def action_compare(self) -> None:
        """Compare what is marked; with one or none, this one against the report on screen."""
        chosen = list(self.marked)
        if len(chosen) < 2:
            here = self.row.path if self.row is not None else ""
            chosen = list(dict.fromkeys((*(chosen or [self.path]), here)))
        self._compare([path for path in chosen if path])

    def _compare(self, paths: Sequence[str]) -> None:
        if len(paths) < 2:
            self.notify("mark two or more with space, or put the cursor on another run", markup=False)
            return
        self.look = Look()
        self.source.compare(paths, self.level)
        self._go("compare")

    def action_time(self) -> None:
        """What is marked over time; else every report of the node under the cursor."""
        row = self.row
        paths = list(self.marked)
        if len(paths) < 2 and row is not None:
            known = self.reports.runs.values()
            paths = [each.path for each in known if each.host == row.host and each.counts]
        self.source.time_line(paths, self.level)
        self._go("time")

    def action_all(self) -> None:
        """All of it, or what differs."""
        self.look = replace(self.look, all=not self.look.all)
        self.refresh_data()

    def action_nodes(self) -> None:
        """By node, or by probe."""
        self.look = replace(self.look, nodes=not self.look.nodes)
        self.rows["compare"].scroll_home(animate=False, immediate=True)
        self.refresh_data()

    def action_sort(self) -> None:
        """Nodes by name, or the odd ones first."""
        self.look = replace(self.look, by_name=not self.look.by_name)
        self.refresh_data()

    def action_columns(self, by: int) -> None:
        """The platforms further right or left: one where each is a column of words, else a screenful."""
        seen = self.reports.compared
        if seen is None:
            return
        step, last = views.step(self.reports, self.look, self.size.width - 1, self.view == "detail")
        self.look = replace(self.look, first=max(0, min(last, self.look.first + by * step)))
        if self.view == "detail" and self.opened.startswith("row:"):
            self.source.open_row(
                seen.key, self.opened[4:], *views.asked_cells(self.reports, self.look, self.size.width - 1)
            )
        self.refresh_data()

    def action_mask(self) -> None:
        """The next level; what is on screen is asked for again, masked before anything is made of it."""
        self.level = LEVELS[(LEVELS.index(self.level) + 1) % len(LEVELS)]
        if self.view in ("compare", "detail"):
            self.source.compare(self.reports.comparing, self.level)
            self.view = "compare"
        elif self.view == "time":
            self.source.time_line(self.reports.comparing, self.level)
        elif self.path:
            self.source.open(self.path, self.level)
        self.notify(f"masked on screen: {views.LEVEL_WORDS[self.level]}", markup=False)

    def action_back(self) -> None:
        """Back."""
        self.go_back()

    def go_back(self) -> bool:
        """To where this view was opened from; from another report to the newest one."""
        if self._behind:
            self._go(self._behind.pop(), from_here=False)
        elif self.reports.opened:
            self.source.close()
        else:
            return False
        return True
