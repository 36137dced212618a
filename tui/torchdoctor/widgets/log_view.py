"""A log on screen, with everything one does with it: follow, filter, search, jump from error to error, copy, export."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from torchdoctor.text import ascii_only, safe, safe_line
from torchdoctor.widgets.log_bar import LogBar
from torchdoctor.widgets.log_bookmarks import Bookmarks
from torchdoctor.widgets.log_export import Export
from torchdoctor.widgets.log_filter import Wrong, parse
from torchdoctor.widgets.log_hunt import FIRST_HIT_S, Hunt, Opening
from torchdoctor.widgets.log_jump import Jump, jump_of
from torchdoctor.widgets.log_keys import KEYS
from torchdoctor.widgets.log_lines import LogLines
from torchdoctor.widgets.log_pace import Pace
from torchdoctor.widgets.log_prompt import FILTER, SEARCH, Asked, LogPrompt
from torchdoctor.widgets.log_sources import labels
from torchprobes.compilelog.document import Document
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.search import Query

ERRORS = (Mark.ERROR, Mark.BREAK, Mark.RECOMPILE, Mark.LIMIT)
"""What `e` goes to: what a person looks for in a compile's log."""


class LogView(Vertical):
    """Shows one document. `refresh_data` is to be called by the pane's timer, at most 5 times a second."""

    DEFAULT_CSS = """
    LogView { height: 1fr; width: 1fr; }
    LogView.-asking > LogBar { display: none; }
    """

    ALLOW_MAXIMIZE = True
    BINDING_GROUP_TITLE = "Log"
    BINDINGS = KEYS

    class CopyRequested(Message):
        """The person wants `text` outside of the console."""

        def __init__(self, text: str, lines: int) -> None:
            super().__init__()
            self.text = text
            self.lines = lines

    class JumpRequested(Message):
        """The person wants to see what the line under the cursor points at; see `log_jump.Jump`."""

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
        self.prompt = LogPrompt()
        self.bookmarks = Bookmarks()
        self._export: Export | None = None
        self._hunt = Hunt(self)
        self._opening = Opening(self)
        self._asked_line: int | None = None
        self._asked_offset: int | None = None

    def compose(self) -> ComposeResult:
        """The lines, the bar, and in its place the prompt while it is open."""
        yield self.lines
        yield self.bar
        yield self.prompt

    def on_mount(self) -> None:
        """Over a slow line a followed log is drawn less often."""
        capabilities = getattr(self.app, "capabilities", None)
        self.lines.pace = Pace(capabilities.bytes_s if capabilities is not None else math.inf)

    # --- for the pane -----------------------------------------------------------------------------------------

    def open(self, path: str | None, language: str = "log", *, follow: bool = True) -> None:
        """Show the file `path`; None shows nothing. Returns at once: the file is read by a thread of its own."""
        self.open_document(Document(path) if path is not None else None, language, follow=follow)

    def open_document(
        self, document: Document | None, language: str = "log", *, follow: bool = True, names: Sequence[str] = ()
    ) -> None:
        """Show a document, e.g. a payload inside a trace; it is closed when another is shown.

        `names` are those of the files of a merged one, in its order.
        """
        self._hunt.end()
        self._asked_line = self._asked_offset = None
        self.bar.filter_text = ""
        self.lines.open(document, language, follow=follow, names=labels(names, ascii_only(self.app)))
        self.bookmarks.show(document.path if document else "", self.lines)
        self.bar.show(self.lines)
        self._opening.begin()

    def go_to_line(self, line: int) -> None:
        """Put the cursor on a line, counted from 0, as soon as it is known; a filter that hides it is ended."""
        self.lines.leave_end()
        self._asked_line = line
        self._arrive()

    def go_to_offset(self, offset: int) -> None:
        """Put the cursor on the line in which byte `offset` of the file stands, as soon as it is known."""
        if self.lines.document is not None:
            self.lines.leave_end()
            self._asked_offset = offset
            self.lines.document.ask_offset(offset)
            self._arrive()

    def export_into(self, folder: str) -> None:
        """Write the lines that are shown into a new file of `folder`; a notice says where, or why not."""
        document = self.lines.document
        if document is not None and (self._export is None or self._export.over):
            self._export = Export(document, folder)

    def refresh_data(self) -> None:
        """Show what is new."""
        if self._export is not None and (said := self._export.said()):
            self.notify(safe(said, ascii_only=ascii_only(self.app)), markup=False)
        if self.lines.follow and not self.lines.paused and not self.lines.pace.ready:
            return  # what comes is shown when the line has room for it
        self.take()

    def take(self) -> None:
        """Show what is new, now."""
        self.lines.refresh_data()
        self._arrive()
        self._hunt.look()
        self.bookmarks.keep(self.lines)
        self.bar.show(self.lines)

    def close(self) -> None:
        """Let go of the document; does not wait."""
        self._hunt.end()
        if self.lines.document is not None:
            self.lines.document.close()

    def on_log_lines_moved(self) -> None:
        """The bar says where."""
        self.bar.show(self.lines)

    def found(self, row: int) -> None:
        """The first hit of a search that was begun is known."""
        self.lines.leave_end()
        self.lines.move_to(row)

    def _arrive(self) -> None:
        """Go to the line that was asked for, once it is there."""
        document = self.lines.document
        if document is None:
            return
        if self._asked_offset is not None and (line := document.line_at(self._asked_offset)) is not None:
            self._asked_offset, self._asked_line = None, line
        if self._asked_line is None or self._asked_line >= self.lines.view.lines:
            return
        row = document.row_of(self._asked_line)
        if row is None and document.filtered.filter is not None:
            self._filter("")
        elif row is not None and row < self.lines.lines:
            self._asked_line = None
            self.lines.move_to(row)

    # --- follow, pause, looks ---------------------------------------------------------------------------------

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

    def action_prefix(self) -> None:
        """Torch's line prefix whole, or shortened."""
        self.lines.shorten(not self.lines.short)

    def action_wrap(self) -> None:
        """Wrap long lines, or not."""
        self.lines.wrap_lines(not self.lines.wrap)
        self.bar.show(self.lines)

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

    def action_top(self) -> None:
        """To the first line."""
        self.lines.leave_end()
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
        row = find(marks, cursor)
        if row is None:  # around the end, as `n` goes
            row = find(marks, start)
        self._go(row, f"no {words} here")

    def _go(self, row: int | None, otherwise: str) -> None:
        if row is None or row >= self.lines.lines:
            self.notify(otherwise, timeout=2, markup=False)
            return
        self.lines.leave_end()
        self.lines.move_to(row)

    def action_bookmark(self) -> None:
        """Mark the cursor's line, or take its mark away."""
        if refused := self.bookmarks.toggle(self.lines):
            self.notify(refused, timeout=2, markup=False)
        self.bar.show(self.lines)

    def action_next_bookmark(self) -> None:
        """To the next line that the person marked, around the end."""
        self._go(self.bookmarks.next(self.lines), "no marked lines here: m marks one")

    # --- search and filter ------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Ask what to search for."""
        self._ask(SEARCH)

    def action_search_all(self) -> None:
        """Ask what to search all files for."""
        self._ask(SEARCH, everywhere=True)

    def action_filter(self) -> None:
        """Ask what to show."""
        self._ask(FILTER)

    def _ask(self, kind: str, *, everywhere: bool = False) -> None:
        self.add_class("-asking")
        self.prompt.open(kind, everywhere=everywhere)

    def on_log_prompt_left(self) -> None:
        """The keys belong to the lines again."""
        self.remove_class("-asking")
        self.lines.focus()

    def on_log_prompt_given(self, message: LogPrompt.Given) -> None:
        """Search, or filter; what cannot be understood is said, and stays there."""
        message.stop()
        asked = message.asked
        if asked.kind == FILTER:
            if wrong := self._filter(asked.text):
                self.prompt.say(wrong)
                return
        else:
            self._search(asked)
        self.prompt.close()

    def _filter(self, text: str) -> str:
        """Show only what `text` asks for; why that is no filter, or ""."""
        try:
            wanted = parse(text)
        except Wrong as wrong:
            return str(wrong)
        document = self.lines.document
        if document is not None:
            document.filter(wanted)
            self.bar.filter_text = text.strip() if wanted else ""
            self.bar.show(self.lines)
        return ""

    def _search(self, asked: Asked) -> None:
        """Go to the first hit at or below the cursor."""
        query = Query(asked.text, asked.regex) if asked.text else None
        if self.lines.document is not None:
            self.lines.document.search(query)
        if query is None:
            self._hunt.end()
            return
        self._hunt.begin(query, self.lines.cursor - 1)
        if asked.everywhere:
            self.post_message(self.SearchAllRequested(query))

    def action_hit(self, way: int) -> None:
        """To the next or previous hit; around the end."""
        document, cursor = self.lines.document, self.lines.cursor
        if document is None or document.found.query is None:
            self.action_search()
            return
        self._hunt.end()
        found = document.found
        row = found.next(cursor) if way > 0 else found.previous(cursor)
        if row is None:
            row = found.next(-1) if way > 0 else found.previous(self.lines.lines)
        self._go(row, "not found")

    def action_clear(self) -> None:
        """End the search; where there is none, the filter."""
        document = self.lines.document
        if document is None:
            return
        if document.found.query is not None:
            document.search(None)
            self._hunt.end()
            self.set_timer(2 * FIRST_HIT_S, self.lines.refresh)
        else:
            self._filter("")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`escape` belongs to others while there is nothing to end."""
        if action == "clear":
            document = self.lines.document
            return document is not None and (document.found.query is not None or bool(self.bar.filter_text))
        return True

    # --- out of the console -----------------------------------------------------------------------------------

    def action_copy(self, what: str) -> None:
        """Ask for the cursor's line, all on screen, or all that are marked to be copied."""
        lines, signs = self.lines, ascii_only(self.app)
        if what == "bookmarks":
            copied = [safe_line(raw, ascii_only=signs) for raw in self.bookmarks.texts]
        else:
            copied = lines.screen_lines() if what == "screen" else lines.safe_lines(lines.cursor, 1)
        if copied:
            self.post_message(self.CopyRequested("\n".join(copied), len(copied)))
        elif what == "bookmarks":
            self.notify("no marked lines here: m marks one", timeout=2, markup=False)

    def action_export(self) -> None:
        """Ask for a place to write to."""
        if self.lines.document is not None:
            self.post_message(self.ExportRequested())

    def action_jump(self) -> None:
        """Ask for what the cursor's line points at to be shown."""
        line = self.lines.pages.line(self.lines.cursor)
        if line is None:
            return
        text = line.raw.decode("utf-8", "replace")
        jump = jump_of(text)
        if jump.empty:
            self.notify("this line names no compile and no source", timeout=2, markup=False)
        else:
            self.post_message(self.JumpRequested(text, jump))
