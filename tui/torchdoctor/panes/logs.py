"""The Logs pane: what torch.compile does, explained; the tree of all that it wrote; and one of these to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from torchdoctor import later
from torchdoctor.log_source import LogSource
from torchdoctor.widgets.artefact_tree import ArtefactTree
from torchdoctor.widgets.code_scroll import CodeScroll
from torchdoctor.widgets.explain_view import ExplainView
from torchdoctor.widgets.log_jump import jump_of
from torchdoctor.widgets.log_view import LogView
from torchdoctor.widgets.tree_rows import OVERVIEW as OVERVIEW_ROW
from torchdoctor.widgets.tree_rows import TreeRow
from torchprobes.compilelog.events import Line

from . import logs_views as views
from .base import console
from .logs_read import LogsReader
from .logs_views import OVERVIEW, Where
from .logs_whole import WholeRun

if TYPE_CHECKING:
    from torchdoctor.interfaces import LogEngineLike
    from torchprobes.compilelog.engine import LogsView

NARROW: Final = 76
"""Below this width the tree takes a third of the height instead of a column."""

ROOMY: Final = 104
"""From this width on tree and view stand beside each other; below it the view has all of it while it has the keys."""

TWO_TEXTS: Final = 190
"""From this width on there is room for the tree beside two texts."""


class LogsPane(WholeRun):
    """Follows one run directory, torch_compile_debug tree, folder or file."""

    HELP = """\
The overview says what torch.compile does now and what went wrong, the worst first. `enter` leads from a line to its
evidence: the record of the trace, the line of the log, the artefact; `o` to the line of your program. `q` leads back.
The tree has every process, its compiles, and what each of them left to read; `tab` goes there and back.
`d` sets the graph of a compile beside that of the compile before it, or a graph beside the code made of it.
Where the files cannot tell something, it says so; "none" means that it was looked for and is not there.
"""

    DEFAULT_CSS = """
    LogsPane { height: 1fr; width: 1fr; }
    LogsPane ArtefactTree { dock: left; width: 36%; min-width: 30; max-width: 72; height: 1fr; }
    LogsPane.-narrow ArtefactTree { dock: top; width: 100%; max-width: 100%; height: 30%; min-height: 4; }
    LogsPane.-alone ArtefactTree, LogsPane.-zoomed ArtefactTree { display: none; }
    LogsPane.-single.-reading ArtefactTree, LogsPane.-halves.-reading ArtefactTree { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,shift+tab", "other", "Tree", id="logs.other", tooltip="To the tree, and back to what is shown"),
        Binding("o", "source", "Source", id="logs.source", tooltip="The line of your program that this is about"),
        Binding("d", "side", "Compare", id="logs.side",
                tooltip="A graph beside that of the compile before, or beside the code that was made of it"),
        Binding("v", "overview", "Overview", id="logs.overview", tooltip="The overview of what was compiled"),
        Binding("M", "merged", "Merged", show=False, id="logs.merged",
                tooltip="The logs that are marked in the tree, else all texts of the run, as one by their time"),
        Binding("left_square_bracket", "step(-1)", "Previous", show=False, id="logs.file.previous",
                tooltip="The previous file, artefact or comparison"),
        Binding("right_square_bracket", "step(1)", "Next", show=False, id="logs.file.next",
                tooltip="The next file, artefact or comparison"),
        Binding("slash", "search", "Search", id="pane.search", tooltip="Search what is shown"),
        Binding("y", "copy", "Copy", id="pane.copy", tooltip="Copy what is shown: into a file and the clipboard"),
        Binding("z", "zoom", "Zoom", show=False, id="logs.zoom", tooltip="Hide the tree, or show it again"),
        Binding("C", "capture", "Capture", id="logs.capture",
                tooltip="Run a command under switches of torch.compile, and show what it says"),
        Binding("c", "cancel", "Cancel", id="logs.cancel", tooltip="End the capture that runs"),
        Binding("escape", "back", "Back", show=False, id="logs.back", tooltip="Where you came from"),
    ]  # fmt: skip

    def __init__(self, engine: Callable[[str], LogEngineLike] | None = None) -> None:
        super().__init__()
        self.artefacts = ArtefactTree()
        self.source = LogSource(engine or self._engine)
        self.reader = LogsReader(self.source)
        self._back: list[Where] = []

    def compose(self) -> ComposeResult:
        """What is read, which has the keys first, and the tree."""
        yield self.reader
        yield self.artefacts

    def _engine(self, root: str) -> LogEngineLike:
        return console(self).sources.log_engine(root)

    @property
    def where(self) -> Where:
        """Where one is."""
        return self.reader.where

    # --- for the app ------------------------------------------------------------------------------------------

    def follow_run(self, run_path: str) -> None:
        """Show a run directory; one that is shown already stays as it stands."""
        self.show(run_path)

    def show(self, path: str) -> None:
        """Show a folder or a file, also one that does not exist yet."""
        if self.source.root == path:
            return
        self.source.search((), None)
        self.source.follow(path)
        self.reader.forget()
        self.artefacts.flipped = self.artefacts.marked = frozenset()
        self._back.clear()
        self._go(OVERVIEW)

    def refresh_data(self) -> None:
        """Show what is new; called by the app's timer while this pane is visible."""
        self.source.pump()
        view, old = self.source.view(), self.reader.view
        hits = self.tell_search()
        if view is not None and (old is None or view.revision != old.revision):
            self._take(view, first=old is None or not old.tree.files)
        else:
            self.reader.tell(old)
        if self.reader.view is not None:
            self.artefacts.tell(self.reader.view, hits)

    def _take(self, view: LogsView, first: bool) -> None:
        files = view.tree.files
        alone = len(files) == 1 and files[0].path == view.tree.root
        self.set_class(alone, "-alone")
        self.reader.tell(view)
        if alone and first and self.where is OVERVIEW and views.is_plain(files[0]):
            self._go(views.of_file(files[0]))
        self.refresh_bindings()

    def plain_text(self) -> str:
        """What is shown, as text."""
        return self.reader.plain_text()

    def stop(self) -> None:
        """Let all threads and children of this pane end; does not wait."""
        self.source.stop()
        self.reader.close()

    def go_back(self) -> bool:
        """Where one came from, else the overview; False on the overview."""
        if self._back:
            self._go(self._back.pop(), again=True)
            self.read()
            return True
        if self.where.view != "overview" and not self.has_class("-alone"):
            self.action_overview()
            return True
        return False

    # --- where to be ----------------------------------------------------------------------------------------------

    def open(self, where: Where | None) -> None:
        """Go there, and remember from where."""
        if where is not None and where != self.where:
            self._back.append(self.where)
            self._go(where)
            self.read()

    def _go(self, where: Where, again: bool = False) -> None:
        read = self.reader.has_focus_within
        self.reader.go(where, again)
        self._lay_out()
        if read:
            self.read()
        self.refresh_bindings()

    def read(self) -> None:
        """Give the keys to what is shown."""
        self._reading(True)
        self.reader.widget.focus()

    # --- what is asked for -----------------------------------------------------------------------------------------

    def on_artefact_tree_chosen(self, message: ArtefactTree.Chosen) -> None:
        """Show what the row stands for; with `enter` go there."""
        message.stop()
        where = _of_row(message.row)
        if where is not None and where != self.where:
            self._back.clear()
            self._go(where)
        if message.read and where is not None:
            self.read()

    def on_explain_view_wanted(self, message: ExplainView.Wanted) -> None:
        """The evidence of a line."""
        message.stop()
        self.open(views.of_target(message.target))

    def on_log_view_jump_requested(self, message: LogView.JumpRequested) -> None:
        """The line of the program that a line of the log names, else its compile."""
        message.stop()
        self._jump(message.file, message.line, message.compile_id, message.rank)

    def on_code_scroll_jumped(self, message: CodeScroll.Jumped) -> None:
        """As from a log: output code and traces name source lines."""
        message.stop()
        jump = jump_of(message.text)
        self._jump(jump.file, jump.line, jump.compile_id, jump.rank)

    def _jump(self, file: str, line: int, compile_id: str, rank: int | None) -> None:
        key = views.compile_named(compile_id, rank, self.where.path, self.reader.view) if compile_id else None
        if file:
            self.open(views.of_source(Line(file, line)))
        elif key is not None:
            self.open(Where("compile", compile=key))
        else:
            words = f"nothing is known of compile {compile_id}" if compile_id else "this line leads nowhere"
            self.notify(words, timeout=2, markup=False)

    def on_log_view_copy_requested(self, message: LogView.CopyRequested) -> None:
        """Hand it to the app's clipboard."""
        message.stop()
        self.app.copy_to_clipboard(message.text)
        self.notify(f"copied {message.lines} line{'s' * (message.lines != 1)}", timeout=2)

    # --- keys -----------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        allowed = self._allowed.get(action) or self.whole_allowed.get(action)
        return True if allowed is None or not self.is_attached else bool(allowed(self))

    _allowed: ClassVar[Mapping[str, Callable[[LogsPane], object]]] = {
        "source": lambda pane: pane._source() is not None,
        "side": lambda pane: pane._beside() is not None,
        "overview": lambda pane: pane.where.view != "overview",
        "merged": lambda pane: pane.where.view != "log" and views.merged(pane.reader.view, pane.artefacts.marked),
        "search": lambda pane: pane.where.view != "log",
        "copy": lambda pane: pane.where.view != "log",
        "other": lambda pane: not pane.has_class("-alone"),
        "zoom": lambda pane: not pane.has_class("-alone"),
        "back": lambda pane: pane._back or pane.where.view != "overview",
    }

    def action_other(self) -> None:
        """To the tree, and back."""
        if self.artefacts.has_focus:
            self.read()
        else:
            self.remove_class("-zoomed")
            self._reading(False)
            self.artefacts.focus()

    def _reading(self, reading: bool) -> None:
        self.set_class(reading, "-reading")

    def on_descendant_focus(self) -> None:
        """Where there is no room for both, the tree is there while it has the keys."""
        self._reading(not self.artefacts.has_focus)

    def action_overview(self) -> None:
        """The overview, from anywhere."""
        self._back.clear()
        self.artefacts.select(OVERVIEW_ROW)
        self._go(OVERVIEW)
        self.read()

    def action_back(self) -> None:
        """Where one came from."""
        self.go_back()

    def action_zoom(self) -> None:
        """What is shown alone, or the tree beside it again."""
        self.toggle_class("-zoomed")
        if self.has_class("-zoomed"):
            self.read()

    def action_step(self, by: int) -> None:
        """Another file or artefact; side by side, another compile of the function."""
        if self.where.view == "side" and not self.where.linked:
            where = views.next_pair(self.where, by, self.reader.view)
            if where is not None:
                self._go(where)
        else:
            self.artefacts.step(by)

    def action_source(self) -> None:
        """The line of the program."""
        source = self._source()
        if source is not None:
            self.open(views.of_source(source))

    def _source(self) -> Line | None:
        row = self.artefacts.row if self.artefacts.has_focus else None
        key = row.compile if row is not None else self.where.compile
        if row is None and self.where.view in ("overview", "compile"):
            target = self.reader.explain.target
            if target.source is not None:
                return target.source
            key = target.compile or key
        return views.line_of(views.compile_of(key, self.reader.view)) if self.where.source is None else None

    def action_side(self) -> None:
        """Two texts beside each other."""
        self.open(self._beside())

    def _beside(self) -> Where | None:
        """What could stand side by side with what is shown or selected."""
        where, target = self.where, self.reader.explain.target
        if self.artefacts.has_focus and (row := self.artefacts.row) is not None:
            return views.beside(row.compile, row.piece, self.reader.view)
        if where.view in ("overview", "compile"):
            return views.beside(target.compile or where.compile, target.piece, self.reader.view)
        if where.view == "side":
            return views.other_side(where, self.reader.view)
        return views.beside(where.compile, where.piece, self.reader.view) if where.view == "code" else None

    def action_merged(self) -> None:
        """Several logs as one."""
        self.open(views.merged(self.reader.view, self.artefacts.marked))

    def action_search(self) -> None:
        """Ask for a text, in what is shown."""
        shown: Any = self.reader.widget
        self.mount(asked := later.search_line(shown))
        asked.focus()

    def action_copy(self) -> None:
        """Copy what is shown."""
        self.app.copy_to_clipboard(self.plain_text())

    # --- layout -----------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Say that there is nothing yet."""
        self._go(OVERVIEW)

    def on_resize(self) -> None:
        """Columns where there is room, rows where there is none."""
        self._lay_out()
        self.reader.say_title()
        self.call_after_refresh(self.refresh_data)

    def _lay_out(self) -> None:
        width = self.size.width
        self.set_class(width < NARROW, "-narrow")
        self.set_class(width < ROOMY, "-single")
        self.set_class(self.where.view == "side" and width < TWO_TEXTS, "-halves")


def _of_row(row: TreeRow) -> Where | None:
    """Where a row of the tree leads."""
    if row.key == OVERVIEW_ROW:
        return OVERVIEW
    if row.piece is not None:
        return views.of_piece(row.piece, row.compile)
    if row.file is not None:
        return views.of_file(row.file)
    return Where("compile", compile=row.compile) if row.compile is not None else None
