"""What somebody waits for is looked for more often than with every tick: a file's first page, a search's first hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from textual.timer import Timer

from torchprobes.compilelog.search import Query

if TYPE_CHECKING:
    from torchdoctor.widgets.log_bar import LogBar
    from torchdoctor.widgets.log_lines import LogLines

FIRST_HIT_S = 0.03
FIRST_HIT_LOOKS = 40

FIRST_PAGE_S = 0.015
FIRST_PAGE_LOOKS = 20


class Host(Protocol):
    """The log view, as those who look for something in it know it."""

    lines: LogLines
    bar: LogBar

    @property
    def is_running(self) -> bool:
        """Whether it has a loop that timers run on."""
        ...

    def set_interval(self, interval: float, callback: Callable[[], None], *, repeat: int) -> Timer:
        """Call again and again."""
        ...

    def take(self) -> None:
        """Show what is new."""

    def found(self, row: int) -> None:
        """Go to a hit."""


class Opening:
    """Shows the first page of a file as soon as the document's thread has it."""

    def __init__(self, view: Host) -> None:
        self._view = view
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Another document was opened."""
        self._end()
        if self._view.is_running and self._view.lines.document is not None:
            self._timer = self._view.set_interval(FIRST_PAGE_S, self._look, repeat=FIRST_PAGE_LOOKS)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = None

    def _look(self) -> None:
        self._view.take()
        lines = self._view.lines
        if lines.view.revision and not lines.pages.late:
            self._end()


class Hunt:
    """Goes to the first hit below where the search began, around the end; once, unless it is ended before."""

    def __init__(self, view: Host) -> None:
        self._view = view
        self._timer: Timer | None = None
        self._query: Query | None = None
        self._from = 0

    def begin(self, query: Query, after: int) -> None:
        """Look for the first hit after the row `after`."""
        self.end()
        self._query, self._from = query, after
        self._timer = self._view.set_interval(FIRST_HIT_S, self.look, repeat=FIRST_HIT_LOOKS)

    def end(self) -> None:
        """Go nowhere any more."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._query = None

    def look(self) -> None:
        """Go there if it is known; to be called with every tick."""
        document, lines = self._view.lines.document, self._view.lines
        if document is None or self._query is None or (found := document.found).query != self._query:
            return
        view = found.view()
        row = found.next(self._from)
        if row is None and view.at_end:  # none below: the first of all
            row = found.next(-1)
        if row is not None and row < lines.lines:
            self.end()
            self._view.found(row)
        elif view.at_end or view.cause:
            self.end()
        lines.repaint()
        self._view.bar.show(lines)
