"""The lines of one log on screen: a Line-API view that reads what it shows and keeps nothing else.

It never touches a file: pages come from the document's thread. Memory does not depend on the log's size. What it
shows are rows: without a filter row n is line n, with one it is the n-th line that the filter lets through.
"""

from __future__ import annotations

from typing import ClassVar

from textual.events import Click, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from torchdoctor.text import ascii_only, safe_line
from torchdoctor.widgets.log_drawing import Drawing, Shown
from torchdoctor.widgets.log_looks import COLOURS, LOOKS
from torchdoctor.widgets.log_pace import Pace
from torchdoctor.widgets.log_pages import Pages
from torchdoctor.widgets.log_paint import Painter
from torchdoctor.widgets.log_rows import Sheet
from torchdoctor.widgets.log_sources import NARROW
from torchdoctor.widgets.log_wrap import Layout, Place
from torchdoctor.widgets.row_scroll import RowScroll
from torchprobes.compilelog.document import Document, DocumentView


class LogLines(RowScroll, can_focus=True, inherit_bindings=False):
    """A window on the rows of a document, with a cursor."""

    DEFAULT_CSS = COLOURS
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log--{part}" for part in LOOKS}

    class Moved(Message):
        """The cursor, the window or `follow` changed by the person's hand."""

        def can_replace(self, message: Message) -> bool:
            """A newer one says all that an older one said."""
            return isinstance(message, LogLines.Moved)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.pages = Pages()
        self.cursor = 0
        """The row that the cursor is on."""
        self.follow = True
        self.paused = False
        self.seen = 0
        """Rows that were there when the view last stood at the end."""
        self.short = True
        """Whether torch's long line prefix is shown shortened."""
        self.wrap = False
        """Whether long lines are wrapped."""
        self.bookmarks: frozenset[int] = frozenset()
        """Lines that the person marked."""
        self.names: tuple[str, ...] = ()
        """Labels of the files of a merged view, all of one width; () for a single file."""
        self.pace = Pace()
        """What may be sent to the terminal."""
        self.nothing: tuple[str, ...] = ()
        """What is said, row by row, while there is no document."""
        self._language = "text"
        self._top: Place | None = Place(0)
        """Where the window begins; None: so that it ends with the last row."""
        self._anchor: int | None = None
        """The line that the cursor shall stand on, while a new filter is on its way to it."""
        self._standing: int | None = None
        """The line that it was put on last, also where that line is not at hand."""
        self._drawing = Drawing(self, self.pages)
        self._drawn: list[Strip] = []
        self._widest = 0
        self._settled = False

    # --- what is shown ----------------------------------------------------------------------------------------

    @property
    def document(self) -> Document | None:
        """What is shown."""
        return self.pages.document

    @property
    def view(self) -> DocumentView:
        """What was taken of it."""
        return self.pages.view

    def open(self, document: Document | None, language: str, *, follow: bool, names: tuple[str, ...] = ()) -> None:
        """Show another document; the old one is closed."""
        self.pages.open(document)
        self._language, self.names, self.follow = language, names, follow
        self._start_over()
        self._size_to(0)
        self._stand(Place(0))
        self.refresh_data()

    def _start_over(self) -> None:
        """Nothing that was known of lines holds."""
        self.cursor, self.paused, self.bookmarks = 0, False, frozenset()
        self._anchor, self._standing, self._widest, self.seen, self._settled = None, None, 0, 0, False
        self.pages.forget()
        self._drawing.rows.forget()

    @property
    def lines(self) -> int:
        """How many rows are shown: frozen while paused."""
        return self.pages.tail or self.virtual_size.height

    @property
    def new_lines(self) -> int:
        """Rows that came since the view left the end, or was paused."""
        return max(0, self.view.rows - self.seen)

    @property
    def height(self) -> int:
        """Screen lines of the window."""
        return max(1, self.scrollable_content_region.height)

    def refresh_data(self) -> bool:
        """Take what the document's thread has; called at most 5 times a second, and after a key. Whether it is new."""
        if self.document is None:
            return False
        view, old = self.document.view(), self.view
        if view == old and not self.pages.late:
            return False
        if view.content != old.content:
            self._start_over()
        elif view.generation != old.generation:
            self._keep_place()
        self.pages.view = view
        if not self._settled:  # what was there already is not new
            self.seen, self._settled = view.rows, view.revision > 0 and view.indexed
        self._take_tail()
        if not self.paused:
            self._size_to(view.rows)
            self._find_place()
        self.repaint()
        return True

    def _keep_place(self) -> None:
        """Another filter: the cursor is to stay on its line, or on the first after it that is shown."""
        line = self.pages.line(self.cursor)
        number = line.number if line is not None else self._standing
        if self._anchor is None and number is not None and number >= 0:
            self._anchor = number
        self.paused = False
        self.seen = 0
        self.pages.forget()

    def _find_place(self) -> None:
        """Where the end is followed, there; else where the cursor was before the filter."""
        assert self.document is not None
        if self.follow:
            self._anchor = None
            self.to_end()
        elif self._anchor is not None:
            filtered, row = self.document.filtered, self.document.row_near(self._anchor)
            self.show_row(row)
            self.seen = self.view.rows  # which may be of the instant before: rows that it lacks are waited for
            self._anchor = None if row < self.lines or filtered.over(self.view.rows) else self._anchor

    def _take_tail(self) -> None:
        """Of a big file the end comes first: its lines are shown at once, their numbers come with the index."""
        if self.follow and not self._settled and self.document is not None and self.document.filtered.filter is None:
            self.pages.take_tail(self.height)
        elif self.pages.tail:
            self.pages.forget()

    def pause(self, paused: bool) -> None:
        """Hold the rows that are shown, or show all again; where the end was followed, it is again."""
        if paused and not self.paused:
            self.seen = self.view.rows if self.follow else self.seen
        self.paused = paused
        self.refresh_data()
        if not paused:
            self._size_to(self.view.rows)
            if self.follow:
                self.to_end()
        self.repaint()

    def shorten(self, short: bool) -> None:
        """Show torch's line prefix shortened, or as it is."""
        self.short, self._widest = short, 0
        self._drawing.rows.forget()
        self._size_to(self.lines)
        self.repaint()

    def wrap_lines(self, wrap: bool) -> None:
        """Wrap long lines, or show them on one screen line each; the cursor's row stays on screen."""
        top = self.top()
        self.wrap, self._widest = wrap, 0
        self._drawing.rows.forget()
        self._size_to(self.lines)
        self.scroll_rows(0, None)
        if self.follow and not self.paused:
            self.to_end()
        else:
            self._stand(self._layout().showing(self.cursor, Place(top.row), self.height))
        self.repaint()

    def to_end(self) -> None:
        """Stand at the end."""
        self.seen = self.view.rows
        self.cursor = max(0, self.lines - 1)
        self._stand(None)

    def _size_to(self, rows: int) -> None:
        self.size_to(self._sheet().inset + self._widest, rows)

    def _stand(self, top: Place | None) -> None:
        """Let the window begin at `top`, None: end with the last row. The scroll bar shows it as far as it can."""
        self._top = top
        self.scroll_rows(None, self.virtual_size.height if top is None else top.row)

    # --- where things stand -----------------------------------------------------------------------------------

    def _layout(self) -> Layout:
        sheet, pages = self._sheet(), self.pages

        def parts(row: int) -> int:
            return self._drawing.rows.parts(sheet, pages.line(row), pages.hit(row))

        return Layout(self.lines, parts if self.wrap else lambda _: 1)

    def top(self) -> Place:
        """The screen line that the window begins with."""
        end = max(0, self.lines - self.height)
        first = end if self._top is None else min(self._top.row, max(0, self.lines - 1))
        self.pages.hold(first, self.height, self.height)
        if self._top is None or (not self.wrap and self._top.row > end):
            return self._layout().end(self.height)
        return self._top

    def places(self) -> list[Place]:
        """What is on screen, from top to bottom."""
        return self._layout().frame(self.top(), self.height)

    # --- moving -----------------------------------------------------------------------------------------------

    def show_row(self, row: int) -> None:
        """Put the cursor on `row`, and the row on screen."""
        self.cursor = max(0, min(row, self.lines - 1))
        self._standing = self.document.line_of(self.cursor) if self.document is not None else None
        top = self.top()
        if self.wrap:  # its neighbours are needed to know where they stand
            self.pages.hold(max(0, self.cursor - self.height), 2 * self.height, self.height)
        self._stand(self._layout().showing(self.cursor, top, self.height))
        self.repaint()
        self.post_message(self.Moved())

    def move_to(self, row: int) -> None:
        """The same by the person's hand: upwards, it ends following."""
        self._anchor = None
        if row < self.cursor:
            self.leave_end()
        self.show_row(row)

    def move(self, delta: int) -> None:
        """Move the cursor by rows; from the window if the cursor is outside of it. A tall row is scrolled through."""
        places = self.places()
        if not places or self.pages.tail:  # nobody knows yet what is above the tail
            return
        first, last = places[0], places[-1]
        if self._hidden_part(first, last, delta):
            self.leave_end()
            self._stand(self._layout().move(first, delta, self.height))
            self.repaint()
            self.post_message(self.Moved())
            return
        self.move_to(min(max(self.cursor, first.row), last.row) + delta)

    def _hidden_part(self, first: Place, last: Place, delta: int) -> bool:
        """Whether the cursor's row goes on beyond the window on that side."""
        if delta < 0:
            return first.row == self.cursor and first.part > 0
        return last.row == self.cursor and last.part < self._layout().parts(last.row) - 1

    def move_page(self, pages: float) -> None:
        """Move window and cursor by screenfuls."""
        if self.pages.tail:
            return
        delta, layout, top = int(pages * max(2, self.height - 1)), self._layout(), self.top()
        if delta < 0:
            self.leave_end()
        standing = Place(min(max(self.cursor, top.row), max(0, self.lines - 1)))
        self._anchor = None
        self._stand(layout.move(top, delta, self.height))
        row = layout.up(standing, -delta).row if delta < 0 else layout.down(standing, delta).row
        places = self.places()
        if places:
            self.cursor = min(max(row, places[0].row), places[-1].row)
        self.repaint()
        self.post_message(self.Moved())

    def move_sideways(self, cells: int) -> None:
        """Move the window sideways; wrapped lines have nothing there."""
        if not self.wrap:
            self.scroll_rows(self.scroll_offset.x + cells, None)
            self.post_message(self.Moved())

    def leave_end(self) -> None:
        """Stop following; from now on new rows are counted."""
        if self.follow:
            if not self.pages.tail:
                self._top = self.top()
            self.follow = False
            self._take_tail()
            self.seen = self.view.rows

    def scrolled_by_hand(self, row: int, *, upwards: bool) -> None:
        """A move upwards ends following."""
        if upwards:
            self.leave_end()
        self._top = None if row >= self.max_scroll_y else Place(row)
        self.post_message(self.Moved())

    def _on_resize(self, event: Resize) -> None:
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        if self.follow and not self.paused:
            self.to_end()
            self.repaint()

    def on_click(self, event: Click) -> None:
        """The cursor goes to the row that is clicked."""
        places = self.places()
        if event.y < len(places) and not self.pages.tail:
            self.move_to(places[event.y].row)

    # --- texts ------------------------------------------------------------------------------------------------

    def safe_lines(self, first: int, count: int) -> list[str]:
        """The texts of the lines on rows that are on screen, as they are shown."""
        found = (self.pages.line(row) for row in range(first, first + count))
        return [safe_line(line.raw, ascii_only=ascii_only(self.app)) for line in found if line is not None]

    def screen_lines(self) -> list[str]:
        """The texts of all lines of which something is on screen."""
        places = self.places()
        return self.safe_lines(places[0].row, places[-1].row - places[0].row + 1) if places else []

    # --- drawing ----------------------------------------------------------------------------------------------

    def repaint(self) -> None:
        """Draw the screen lines that changed: all that a step of the cursor sends are two of them."""
        strips = self._draw()
        drawn, self._drawn = self._drawn, strips
        if len(drawn) != len(strips):
            self.refresh()
            return
        width = self.size.width
        changed = [Region(0, y, width, 1) for y, strip in enumerate(strips) if strip is not drawn[y]]
        if changed:
            self.refresh(*changed)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The visible strips, whole, with their ground.

        What Textual would do around them (borders, padding) makes six strips of each, and is most of what a frame
        costs.
        """
        strips = self._drawn = self._draw()
        if self._drawing.rows.widest != self._widest and not self.wrap:
            self._widest = self._drawing.rows.widest
            self.call_after_refresh(lambda: self._size_to(self.virtual_size.height))
        ground = self.background_colors[1]
        for line_filter in self.get_line_filters():  # no colour, or sixteen of them
            strips = [strip.apply_filter(line_filter, ground) for strip in strips]
        self._drawing.spend(strips, self.pace)
        return [strip.crop(crop.x, crop.right) for strip in strips[crop.y : crop.bottom]]

    def _draw(self) -> list[Strip]:
        """All screen lines."""
        places = self.places()
        shown = Shown(self._sheet(), places, self.size.height, self.cursor, self.bookmarks, self._empty())
        return self._drawing.draw(shown)

    def _sheet(self) -> Sheet:
        painter = Painter(self._language, ascii_only(self.app), self.short)
        x = 0 if self.wrap else self.scroll_offset.x
        digits = max(3, len(str(max(1, self.view.lines))))
        width = self.scrollable_content_region.width
        names = self.names if width >= NARROW else tuple(name[0] for name in self.names)
        return Sheet(painter, width, x, self.wrap, digits, names)

    def _empty(self) -> tuple[str, ...]:
        """What is said in place of lines where there are none."""
        if self.document is None:
            return self.nothing
        if self.lines:
            return ()
        if self.view.lines:
            return ("no line passes the filter",)
        return (self.view.cause or ("reading ..." if self.view.revision == 0 else "empty"),)

    def notify_style_update(self) -> None:
        """The theme or the focus changed: nothing painted holds."""
        super().notify_style_update()
        self._drawing.restyle()
