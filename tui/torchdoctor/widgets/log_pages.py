"""The rows of a document that are at hand: pages of its thread, asked for as the window moves. It never waits long."""

from __future__ import annotations

from torchprobes.compilelog.document import NO_PAGE, Document, DocumentView
from torchprobes.compilelog.lines import SHOWN, Line
from torchprobes.compilelog.marks import Mark

AHEAD = 2
"""Screenfuls asked for above and below what is shown, so that small moves need no answer."""


class Pages:
    """One document, its newest view that was taken, and the rows around the window."""

    def __init__(self) -> None:
        self.document: Document | None = None
        self.view = DocumentView()
        self.late = False
        """Whether the document's thread owes what is shown."""
        self._page = NO_PAGE
        self._tail: tuple[Line, ...] = ()

    def open(self, document: Document | None) -> None:
        """Another document; the old one is closed."""
        if self.document is not None:
            self.document.close()
        self.document, self.view = document, DocumentView()
        self.forget()

    def forget(self) -> None:
        """What is at hand is of no use any more."""
        self._page, self._tail = NO_PAGE, ()

    @property
    def tail(self) -> int:
        """How many last lines are at hand while nobody knows their numbers; 0 once they are rows like others."""
        return len(self._tail)

    def take_tail(self, count: int) -> None:
        """Have the last `count` lines at hand, of a file that is not indexed yet."""
        if self.document is not None:
            page = self.document.page(-count, count)
            self._tail = page.lines if page.first < 0 else ()

    def line(self, row: int) -> Line | None:
        """The line on `row`, None if it is not (yet) at hand; of the tail, counted from its first line."""
        if self._tail:
            return self._tail[row] if 0 <= row < len(self._tail) else None
        page = self._page
        at = row - page.first
        return page.lines[at] if page.generation == self.view.generation and 0 <= at < len(page.lines) else None

    def hold(self, top: int, count: int, height: int) -> None:
        """Have the rows [top, top + count) at hand, as far as they exist, and some screenfuls around them."""
        if self.document is None or self._tail:
            return
        view = self.view
        count = max(0, min(count, view.rows - top))
        if self._page.holds(view.generation, top, count) and self._page.indexed_bytes >= view.indexed_bytes:
            return
        first = max(0, top - AHEAD * height)
        self._page = self.document.page(first, top + count + AHEAD * height - first)
        self.late = not self._page.holds(view.generation, top, count)

    def hit(self, row: int) -> bytes:
        """The bytes of a row that the search found first, b"" if none, or if they are not shown."""
        if self.document is None or self._tail:
            return b""
        span, line = self.document.found.span(row), self.line(row)
        return line.raw[span[0] : span[1]] if span and line and line.length <= SHOWN else b""

    def marks(self, first: int, count: int) -> dict[int, Mark]:
        """The marked rows among [first, first + count)."""
        return {} if self.document is None or self._tail else self.document.marks.on(first, count)
