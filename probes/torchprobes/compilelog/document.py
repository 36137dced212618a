"""One open log: a thread of its own reads and indexes it and answers for pages; nobody waits for a file system.

The screen holds a `Document`, reads its immutable `DocumentView` and asks for pages of lines. The thread is a plain
daemon: a file on a dead mount hangs it alone, and `close` never waits.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace

from .lines import Line, LineIndex, Shrunk
from .logfile import Change, LogFile
from .marks import Mark, Marks
from .search import NO_SEARCH, Query, Search

SLICE = 1 << 20
"""Bytes indexed between two looks at what was asked for."""

POLL_S = 0.05
"""How often a quiet file is looked at."""


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What is known of a log at one instant."""

    revision: int = 0
    generation: int = 0
    """Raised when the content was replaced (truncated, rotated): line numbers before it mean nothing now."""
    lines: int = 0
    indexed_bytes: int = 0
    size_bytes: int = 0
    cause: str = ""
    """Why there is nothing (new) to read; "" if all is well."""
    note: str = ""
    """What last became of the file: "truncated", "replaced"."""
    counts: tuple[tuple[Mark, int], ...] = ()

    @property
    def indexed(self) -> bool:
        """Whether every byte that is there was indexed."""
        return self.indexed_bytes >= self.size_bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Lines [first, first + count) of one generation, as far as they exist."""

    generation: int
    indexed_bytes: int
    first: int
    count: int
    lines: tuple[Line, ...]

    def holds(self, generation: int, first: int, count: int) -> bool:
        """Whether it has all of these lines."""
        within = self.first <= first and first + count <= self.first + self.count
        return generation == self.generation and within


NO_PAGE = Page(-1, 0, 0, 0, ())


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    """A request for lines; its identity tells one request from the next."""

    first: int
    count: int


class Document:
    """A log that is open: view, pages, marks, search. All methods return at once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.marks = Marks()
        self._marked = 0
        self._file = LogFile(path)
        self._index = LineIndex()
        self._view = DocumentView()
        self._page = NO_PAGE
        self._asked: _Ask | None = None
        self._search = NO_SEARCH
        self._wanted: Query | None = None
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._live, name=f"log {os.path.basename(path)}", daemon=True).start()

    # --- for the screen ---------------------------------------------------------------------------------------

    def view(self) -> DocumentView:
        """The newest view."""
        return self._view

    def page(self, first: int, count: int, wait_s: float = 0.02) -> Page:
        """The newest page; asks for these lines if it has not got them, and gives the thread `wait_s` to answer."""
        with self._changed:
            if self._fits(self._page, first, count):
                return self._page
            late = self._asked is not None
            self._asked = mine = _Ask(first, count)
            self._changed.notify_all()
            if not late:  # a thread that owes an answer hangs or works: the screen goes on without it
                self._changed.wait_for(lambda: self._asked is not mine, wait_s)
            return self._page

    def search(self, query: Query | None) -> None:
        """Search for `query` from the start, and in what comes; None ends the search."""
        with self._changed:
            self._wanted = query
            self._changed.notify_all()

    @property
    def found(self) -> Search:
        """The search that runs, with what it found so far."""
        return self._search

    def close(self) -> None:
        """Let the thread end; it closes what it holds. Does not wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, page: Page, first: int, count: int) -> bool:
        view = self._view
        if not page.holds(view.generation, first, min(count, max(0, view.lines - first))):
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
                if not busy and self._asked is None and not self._closed:
                    self._changed.wait(POLL_S)
        self._search.stop()
        self._file.close()

    def _step(self) -> bool:
        """Answer, look, take one slice; whether there is more to take."""
        self._answer()
        change = self._file.look(self._index.size)
        if change is not Change.NONE:
            self._restart("" if change is Change.OPENED else change.value)
        if self._index.size < self._file.size:
            self._index.feed(self._slice(self._index.size))
        elif self._marked < self._index.size:  # the line numbers come first, the marks catch up
            data = self._slice(self._marked)
            self.marks.feed(data)
            self._marked += len(data)
        self._publish(cause=self._file.cause)
        self._follow_search()
        return min(self._index.size, self._marked) < self._file.size

    def _slice(self, offset: int) -> bytes:
        return self._file.pread(min(SLICE, self._file.size - offset), offset)

    def _restart(self, note: str) -> None:
        self._index, self.marks, self._marked = LineIndex(), Marks(), 0
        self._search.stop()
        self._search = NO_SEARCH
        self._page = NO_PAGE
        self._view = replace(self._view, generation=self._view.generation + 1, note=note, lines=0, indexed_bytes=0)

    def _publish(self, cause: str) -> None:
        old, index = self._view, self._index
        counts = tuple(self.marks.counts.items())
        new = replace(
            old, lines=index.lines, indexed_bytes=index.size, size_bytes=self._file.size, cause=cause, counts=counts
        )
        if new != old:
            self._view = replace(new, revision=old.revision + 1)

    def _answer(self) -> None:
        with self._changed:
            asked = self._asked
        if asked is None:
            return
        try:
            lines = self._index.read(asked.first, asked.count, self._file.pread)
        except Shrunk:
            lines = []
        count = min(asked.count, max(0, self._index.lines - asked.first))
        with self._changed:
            self._page = Page(self._view.generation, self._index.size, asked.first, count, tuple(lines))
            if self._asked is asked:
                self._asked = None
            self._changed.notify_all()

    def _follow_search(self) -> None:
        """Start the search that is wanted, on the file that is held; end one that is not."""
        if self._search.query == self._wanted or (self._wanted is not None and self._file.fd < 0):
            return
        self._search.stop()
        self._search = Search(self._wanted, os.dup(self._file.fd)) if self._wanted else NO_SEARCH
