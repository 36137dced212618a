"""A log on screen, with everything one does with it: follow, pause, search, jump from error to error, copy."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from torchdoctor.widgets.log_bar import LogBar
from torchdoctor.widgets.log_jump import Jump, jump_of
from torchdoctor.widgets.log_lines import LogLines
from torchprobes.compilelog.document import Document
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.search import Query

ERRORS = (Mark.ERROR, Mark.BREAK, Mark.RECOMPILE, Mark.LIMIT)
"""What `e` goes to: what a person looks for in a compile's log."""

FIRST_HIT_S = 0.03
FIRST_HIT_LOOKS = 40
"""After a search starts its first hit is looked for so often, so that it is not one tick late."""


def _bind(keys: str, action: str, description: str, name: str, tooltip: str, show: bool = False) -> Binding:
    return Binding(keys, action, description, show=show, id=f"log.{name}", tooltip=tooltip)


class LogView(Vertical):
    """Shows one document. `refresh_data` is to be called by the pane's timer, at most 5 times a second."""

    DEFAULT_CSS = """
    LogView { height: 1fr; width: 1fr; }
    LogView > Input { height: 1; border: none; padding: 0 1; background: $panel; display: none; }
    LogView.-searching > Input { display: block; }
    LogView.-searching > LogBar { display: none; }
    """

    ALLOW_MAXIMIZE = True
    BINDING_GROUP_TITLE = "Log"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind("f", "follow", "Follow", "follow", "Stay at the end as lines come; any move upwards ends it", True),
        _bind("space", "pause", "Pause", "pause", "Hold the view still; nothing is lost", True),
        _bind("slash", "search", "Search", "search", "Search all of the log; ctrl+r for a regular expression", True),
        _bind("n", "hit(1)", "Next hit", "hit.next", "To the next line that the search found"),
        _bind("N", "hit(-1)", "Previous hit", "hit.previous", "To the previous line that the search found"),
        _bind("e", "mark(1)", "Next error", "error.next", "To the next error, graph break, recompile or limit", True),
        _bind("E", "mark(-1)", "Previous error", "error.previous", "To the previous one"),
        _bind("w", "warning(1)", "Next warning", "warning.next", "To the next warning"),
        _bind("W", "warning(-1)", "Previous warning", "warning.previous", "To the previous warning"),
        _bind("j,down", "move(1)", "Down", "down", "One line down"),
        _bind("k,up", "move(-1)", "Up", "up", "One line up"),
        _bind("ctrl+d", "page(0.5)", "Half a page down", "half.down", "Half a screenful down"),
        _bind("ctrl+u", "page(-0.5)", "Half a page up", "half.up", "Half a screenful up"),
        _bind("pagedown,ctrl+f", "page(1.0)", "Page down", "page.down", "One screenful down"),
        _bind("pageup,b,ctrl+b", "page(-1.0)", "Page up", "page.up", "One screenful up"),
        _bind("g,home", "top", "Top", "top", "To the first line"),
        _bind("G,end", "bottom", "Bottom", "bottom", "To the last line, and follow"),
        _bind("left", "sideways(-16)", "Left", "left", "Show what is to the left"),
        _bind("right", "sideways(16)", "Right", "right", "Show what is to the right: long lines are not wrapped"),
        _bind("full_stop", "prefix", "Prefix", "prefix", "Show torch's line prefix whole, or shortened"),
        _bind("y", "copy(False)", "Copy", "copy", "Copy the line under the cursor"),
        _bind("Y", "copy(True)", "Copy screen", "copy.screen", "Copy the lines on screen"),
        _bind("enter", "jump", "Follow up", "jump", "To the artefact or the source that the line points at", True),
        _bind("escape", "clear", "Clear search", "clear", "End the search"),
    ]

    class CopyRequested(Message):
        """The person wants `text` outside of the console."""

        def __init__(self, text: str, lines: int) -> None:
            super().__init__()
            self.text = text
            self.lines = lines

    class JumpRequested(Message):
        """The person wants to see what the line under the cursor points at; `jump` says what that is."""

        def __init__(self, text: str, jump: Jump) -> None:
            super().__init__()
            self.text = text
            self.compile_id, self.rank = jump.compile_id, jump.rank
            self.file, self.line = jump.file, jump.line

    class ExportRequested(Message):
        """The person wants what the filter lets through in a file: call `LogView.export_into` with a folder."""

    class SearchAllRequested(Message):
        """The person wants `query` searched in all files of the tree."""

        def __init__(self, query: Query) -> None:
            super().__init__()
            self.query = query

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.lines = LogLines()
        self.bar = LogBar()
        self._regex = False
        self._hunt: Timer | None = None
        self._from = 0

    def compose(self) -> ComposeResult:
        """The lines, the bar, and in its place the search prompt while it is open."""
        yield self.lines
        yield self.bar
        yield Input(compact=True, select_on_focus=True)

    # --- for the pane -----------------------------------------------------------------------------------------

    def open(self, path: str | None, language: str = "log", *, follow: bool = True) -> None:
        """Show the file `path`; None shows nothing. Returns at once: the file is read by a thread of its own."""
        self._end_hunt()
        self.lines.open(Document(path) if path is not None else None, language, follow=follow)
        self.bar.show(self.lines)

    def refresh_data(self) -> None:
        """Show what is new."""
        self.lines.refresh_data()
        self.bar.show(self.lines)

    def close(self) -> None:
        """Let go of the document; does not wait."""
        self._end_hunt()
        if self.lines.document is not None:
            self.lines.document.close()

    def on_log_lines_moved(self) -> None:
        """The bar says where."""
        self.bar.show(self.lines)

    # --- follow and pause -------------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Follow the end, or stop."""
        lines = self.lines
        if lines.follow and not lines.paused:
            lines.leave_end()
        else:
            self._follow_now()
        self.bar.show(lines)

    def _follow_now(self) -> None:
        self.lines.follow = True
        self.lines.pause(False)

    def action_pause(self) -> None:
        """Hold still, or go on where the log stands now."""
        lines = self.lines
        lines.pause(not lines.paused)
        self.bar.show(lines)

    # --- moving -----------------------------------------------------------------------------------------------

    def action_move(self, delta: int) -> None:
        """Move the cursor."""
        self.lines.move(delta)

    def action_page(self, pages: float) -> None:
        """Move by screenfuls."""
        self.lines.move_page(pages)

    def action_sideways(self, cells: int) -> None:
        """Show what is left or right of the window."""
        self.lines.move_sideways(cells)

    def action_prefix(self) -> None:
        """Torch's line prefix whole, or shortened."""
        self.lines.shorten(not self.lines.short)

    def action_top(self) -> None:
        """To the first line."""
        self.lines.move_to(0)

    def action_bottom(self) -> None:
        """To the last line; follow from there."""
        if self.lines.paused:
            self.lines.move_to(self.lines.lines - 1)
        else:
            self._follow_now()
        self.bar.show(self.lines)

    def action_mark(self, way: int) -> None:
        """To the next or previous error, graph break, recompile or limit."""
        self._to_mark(ERRORS, way, "errors, graph breaks or recompiles")

    def action_warning(self, way: int) -> None:
        """To the next or previous warning."""
        self._to_mark((Mark.WARNING,), way, "warnings")

    def _to_mark(self, marks: tuple[Mark, ...], way: int, words: str) -> None:
        document, cursor = self.lines.document, self.lines.cursor
        if document is None:
            return
        find, start = (document.marks.next, -1) if way > 0 else (document.marks.previous, self.lines.lines)
        line = find(marks, cursor)
        if line is None:  # around the end, as `n` goes
            line = find(marks, start)
        self._go(line, f"no {words} here")

    def _go(self, line: int | None, otherwise: str) -> None:
        if line is None or line >= self.lines.lines:
            self.notify(otherwise, timeout=2, markup=False)
            return
        self.lines.leave_end()
        self.lines.move_to(line)

    # --- search -----------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the prompt."""
        self.add_class("-searching")
        self._prompt()
        self.query_one(Input).focus()

    def _prompt(self) -> None:
        kind = "regular expression" if self._regex else "text"
        self.query_one(Input).placeholder = f"search for {kind} (enter; esc; ctrl+r: text or regular expression)"

    def on_key(self, event: Key) -> None:
        """Keys of the open prompt that the input itself does not know."""
        if not self.has_class("-searching"):
            return
        if event.key == "ctrl+r":
            self._regex = not self._regex
            self._prompt()
        elif event.key == "escape":
            self._close_prompt()
        else:
            return
        event.stop()
        event.prevent_default()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search, and go to the first hit at or below the cursor."""
        event.stop()
        self._close_prompt()
        document = self.lines.document
        if document is None:
            return
        document.search(Query(event.value, self._regex) if event.value else None)
        self._from = self.lines.cursor - 1
        self._end_hunt()
        if event.value:
            self._hunt = self.set_interval(FIRST_HIT_S, self._look_for_hit, repeat=FIRST_HIT_LOOKS)

    def _close_prompt(self) -> None:
        self.remove_class("-searching")
        self.lines.focus()

    def _look_for_hit(self) -> None:
        document = self.lines.document
        if document is None:
            return
        found = document.found
        line = found.next(self._from)
        if line is None and found.view().at_end:  # none below: the first of all
            line = found.next(-1)
        if line is not None and line < self.lines.lines:
            self._end_hunt()
            self.lines.leave_end()
            self.lines.move_to(line)
        self.lines.refresh()
        self.bar.show(self.lines)

    def _end_hunt(self) -> None:
        if self._hunt is not None:
            self._hunt.stop()
            self._hunt = None

    def action_hit(self, way: int) -> None:
        """To the next or previous hit; around the end."""
        document, cursor = self.lines.document, self.lines.cursor
        if document is None or document.found.query is None:
            self.action_search()
            return
        found = document.found
        line = found.next(cursor) if way > 0 else found.previous(cursor)
        if line is None:
            line = found.next(-1) if way > 0 else found.previous(self.lines.lines)
        self._go(line, "not found")

    def action_clear(self) -> None:
        """End the search."""
        if self.lines.document is not None:
            self.lines.document.search(None)
            self._end_hunt()
            self.set_timer(2 * FIRST_HIT_S, self.lines.refresh)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`escape` belongs to others while there is no search to end."""
        if action == "clear":
            return self.lines.document is not None and self.lines.document.found.query is not None
        return True

    # --- copy -------------------------------------------------------------------------------------------------

    def action_copy(self, screen: bool) -> None:
        """Ask for the cursor's line, or all on screen, to be copied."""
        lines = self.lines
        first, count = (lines.scroll_offset.y, lines.size.height) if screen else (lines.cursor, 1)
        copied = lines.safe_lines(first, count)
        if copied:
            self.post_message(self.CopyRequested("\n".join(copied), len(copied)))

    # --- jump -------------------------------------------------------------------------------------------------

    def action_jump(self) -> None:
        """Ask for what the cursor's line points at to be shown."""
        line = self.lines.line(self.lines.cursor)
        if line is None:
            return
        text = line.raw.decode("utf-8", "replace")
        jump = jump_of(text)
        if jump.empty:
            self.notify("this line names no compile and no source", timeout=2, markup=False)
        else:
            self.post_message(self.JumpRequested(text, jump))
