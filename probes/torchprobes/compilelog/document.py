"""One open log: a thread of its own reads and indexes it and answers for pages; nobody waits for a file system.

The screen holds a `Document`, reads its immutable `DocumentView` and asks for pages of rows. The thread is a plain
daemon: a file on a dead mount hangs it alone, and `close` never waits. Searches, filters and exports run in children.

Everything that the screen gives or gets is in rows: `page`, `marks`, `found`. Without a filter row n is line n; with
one, row n is the n-th line that is kept. `row_of` and `line_of` translate, and each `Line` has its number.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace

from .export import Exporting
from .filter import Filter, Filtering, FilterView
from .found import Found, MarkedRows
from .lines import Line, Shrunk
from .logfile import Change
from .marks import Mark
from .one_file import Files, OneFile
from .rows import Rows
from .search import Query, Search

POLL_S = 0.05
"""How often a quiet file is looked at."""

PLACES = 64
"""Offsets kept whose line was asked for."""


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What is known of a log at one instant."""

    revision: int = 0
    generation: int = 0
    """Raised when rows became others (truncated, rotated, another filter): row numbers before it mean nothing now."""
    lines: int = 0
    indexed_bytes: int = 0
    size_bytes: int = 0
    cause: str = ""
    """Why there is nothing (new) to read; "" if all is well."""
    note: str = ""
    """What last became of the file: "truncated", "replaced"."""
    counts: tuple[tuple[Mark, int], ...] = ()
    rows: int = 0
    """Lines that are shown: those that the filter keeps."""
    content: int = 0
    """Raised when the file's content was replaced: line numbers before it mean nothing now."""

    @property
    def indexed(self) -> bool:
        """Whether every byte that is there was indexed: until then nobody knows the numbers of the last lines."""
        return self.indexed_bytes >= self.size_bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Rows [first, first + count) of one generation, as far as they exist; `first` < 0 counts from the end."""

    generation: int
    indexed_bytes: int
    first: int
    count: int
    lines: tuple[Line, ...]

    def holds(self, generation: int, first: int, count: int) -> bool:
        """Whether it has all of these rows."""
        within = self.first <= first and first + count <= self.first + self.count
        return generation == self.generation and within


NO_PAGE = Page(-1, 0, 0, 0, ())


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    """A request for rows; its identity tells one request from the next."""

    first: int
    count: int


class Document:
    """A log that is open: view, pages, marks, search, filter, export. All methods return at once."""

    def __init__(self, path: str, window: tuple[int, int] | None = None, *, files: Files | None = None) -> None:
        """Open `path`, or its part `window` = (offset, bytes), a payload whose lines begin with a tab."""
        self.path = path
        self._files: Files = files or OneFile(path, window)
        self._rows = self._files.rows(None)
        self.marks = MarkedRows(self._files.marks, self._rows)
        self.found = Found(None, self._rows)
        """The search that runs, with what it found so far."""
        self._view = DocumentView()
        self._page, self._version = NO_PAGE, 0
        self._asked: _Ask | None = None
        self._search: Search | None = None
        self._query: Query | None = None
        self._filtering: Filtering | None = None
        self._filter: Filter | None = None
        self._places: dict[int, int | None] = {}
        self._exports: list[Exporting] = []
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._live, name=f"log {os.path.basename(path)}", daemon=True).start()

    # --- for the screen ---------------------------------------------------------------------------------------

    def view(self) -> DocumentView:
        """The newest view."""
        return self._view

    def page(self, first: int, count: int, wait_s: float = 0.02) -> Page:
        """The newest page; asks for these rows if it has not got them, and gives the thread `wait_s` to answer.

        A negative `first` counts from the end, and is answered before the file is indexed: (-40, 40) are its last
        40 lines, with negative numbers as long as theirs are not known.
        """
        with self._changed:
            if first < 0 and self._view.indexed and self._view.revision:
                first = max(0, self._view.rows + first)
            if self._fits(self._page, first, count):
                return self._page
            late = self._asked is not None
            self._asked = mine = _Ask(first, count)
            self._changed.notify_all()
            if not late:  # a thread that owes an answer hangs or works: the screen goes on without it
                self._changed.wait_for(lambda: self._asked is not mine, wait_s)
            return self._page

    def row_of(self, line: int) -> int | None:
        """The row of `line`, None if a filter leaves it out."""
        return self._rows.row_of(line)

    def line_of(self, row: int) -> int | None:
        """The line that is row `row`, None if there is no such row."""
        return self._rows.line_of(row)

    def row_near(self, line: int) -> int:
        """The row of the first line at or after `line` that is a row; the number of rows if there is none."""
        return self._rows.row_near(line)

    def search(self, query: Query | None) -> None:
        """Search for `query` from the start, and in what comes; None ends the search."""
        with self._changed:
            self._query = query
            self._changed.notify_all()

    def filter(self, wanted: Filter | None) -> None:
        """Keep only what passes `wanted`, also of what comes; None shows all."""
        with self._changed:
            self._filter = wanted if wanted != Filter() else None
            self._changed.notify_all()

    @property
    def filtered(self) -> FilterView:
        """How far the filter is; without one its `filter` is None."""
        filtering = self._filtering
        return filtering.told if filtering else FilterView()

    def ask_offset(self, offset: int) -> None:
        """Ask for the line in which byte `offset` of the file stands: `line_at` tells it once it is known."""
        with self._changed:
            self._places.setdefault(offset, None)
            while len(self._places) > PLACES:
                self._places.pop(next(iter(self._places)))
            self._changed.notify_all()

    def line_at(self, offset: int) -> int | None:
        """The line in which byte `offset` stands; None until the thread knows, or if nobody asked."""
        return self._places.get(offset)

    def export(self, path: str) -> Exporting:
        """Write the rows of now to the new file `path`, in a child. See `Exporting.view`."""
        exporting = Exporting(path, self._filter)
        with self._changed:
            self._exports.append(exporting)
            self._changed.notify_all()
        return exporting

    def close(self) -> None:
        """Let the thread end; it closes what it holds. Does not wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, page: Page, first: int, count: int) -> bool:
        view = self._view
        if first < 0 or not page.holds(view.generation, first, min(count, max(0, view.rows - first))):
            return False
        grows = bool(page.lines) and not page.lines[-1].ended
        return not grows or page.indexed_bytes >= view.indexed_bytes

    # --- the thread -------------------------------------------------------------------------------------------

    def _live(self) -> None:
        while not self._closed:
            try:
                busy = self._step()
            except OSError as error:  # e.g. ESTALE, EIO: said, and tried again
                self._publish(cause=(error.strerror or str(error)).lower())
                busy = False
            with self._changed:
                if not busy and not self._waited_for() and not self._closed:
                    self._changed.wait(POLL_S)
        self._stop_search()
        self._stop_filter()
        self._files.close()

    def _waited_for(self) -> bool:
        """Whether somebody waits for what can be answered now."""
        wanted = self._query != self.found.query or self._filter != self.filtered.filter or bool(self._exports)
        return self._asked is not None or (wanted and self._files.held)

    def _step(self) -> bool:
        """Answer, look, take one slice; whether there is more. Line numbers come first, then hits, then marks."""
        files = self._files
        self._answer()
        change = files.look()
        if change is not Change.NONE:
            self._restart("" if change is Change.OPENED else change.value)
        indexing = files.index()
        marking = not indexing and not self._searching and files.mark()
        self._follow_filter()
        self._follow_search()
        self._begin_exports()
        self._find_places()
        sifting = files.sift(self._rows)
        self.marks.sift()
        self._publish(cause=files.cause)
        return indexing or marking or sifting

    @property
    def _searching(self) -> bool:
        """Whether a search is on its way through what is there."""
        return self._search is not None and not (self._search.view.at_end or self._search.view.cause)

    def _restart(self, note: str) -> None:
        self._files.restart()
        self._stop_search()
        self._stop_filter()
        self._places = dict.fromkeys(self._places)
        self._view = replace(self._view, note=note, lines=0, indexed_bytes=0, content=self._view.content + 1)
        self._show(self._files.rows(None))

    def _show(self, rows: Rows) -> None:
        """From now on these are the rows."""
        with self._changed:
            self._rows, self._page = rows, NO_PAGE
            self.marks = MarkedRows(self._files.marks, rows)
            self.found = Found(self._search, rows)
            self._view = replace(self._view, generation=self._view.generation + 1, rows=0)

    def _publish(self, cause: str) -> None:
        old, files = self._view, self._files
        if files.version != self._version:
            with self._changed:
                self._version, self._page = files.version, NO_PAGE
        new = replace(
            old, lines=files.lines, rows=self._rows.count, indexed_bytes=files.done_bytes, size_bytes=files.size_bytes,
            cause=cause, note=files.note or old.note, counts=tuple(self.marks.counts.items()),
        )  # fmt: skip
        if new != old:
            self._view = replace(new, revision=old.revision + 1)

    def _answer(self) -> None:
        with self._changed:
            asked = self._asked
        if asked is None:
            return
        try:
            lines = self._files.read(self._rows, asked.first, asked.count)
        except Shrunk:
            lines = []
        count = min(asked.count, max(0, self._rows.count - asked.first)) if asked.first >= 0 else len(lines)
        with self._changed:
            self._page = Page(self._view.generation, self._files.done_bytes, asked.first, count, tuple(lines))
            if self._asked is asked:
                self._asked = None
            self._changed.notify_all()

    def _find_places(self) -> None:
        """Tell the lines of the offsets that were asked for, as far as they are known."""
        with self._changed:
            asked = [offset for offset, line in self._places.items() if line is None]
        for offset in asked:
            line = self._files.line_at(offset)
            with self._changed:
                if line is not None and offset in self._places:
                    self._places[offset] = line

    # --- children ---------------------------------------------------------------------------------------------

    def _follow_search(self) -> None:
        """Start the search that is wanted, on the files that are held; end one that is not."""
        wanted = self._query
        if self.found.query == wanted or (wanted is not None and not self._files.held):
            return
        self._stop_search()
        self._search = Search(wanted, *self._files.parts()) if wanted else None
        self.found = Found(self._search, self._rows)

    def _follow_filter(self) -> None:
        """The same for the filter."""
        wanted = self._filter
        if self.filtered.filter == wanted or (wanted is not None and not self._files.held):
            return
        self._stop_filter()
        self._filtering = Filtering(wanted, *self._files.parts()) if wanted else None
        self._show(self._files.rows(self._filtering))

    def _begin_exports(self) -> None:
        while self._exports and self._files.held:
            self._exports.pop(0).begin(self._files.parts(), self._files.order(), self._rows.count)

    def _stop_search(self) -> None:
        if self._search is not None:
            self._search.stop()
        self._search = None

    def _stop_filter(self) -> None:
        if self._filtering is not None:
            self._filtering.stop()
        self._filtering = None


def export(document: Document, path: str) -> Exporting:
    """Write the rows of `document` as they are now to the new file `path`; returns at once."""
    return document.export(path)
