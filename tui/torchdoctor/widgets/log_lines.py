"""The lines of one log on screen: a Line-API view that reads what it shows and keeps nothing else.

It never touches a file: pages come from the document's thread. Memory does not depend on the log's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual.cache import LRUCache
from textual.events import Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from torchdoctor.text import ascii_only, safe_line
from torchdoctor.widgets.log_paint import Painter, part_style
from torchdoctor.widgets.plain_scrollbar import use_plain_scrollbar
from torchprobes.compilelog.document import NO_PAGE, Document, DocumentView
from torchprobes.compilelog.lines import SHOWN, Line
from torchprobes.compilelog.marks import Mark

STRIPS = 1024
"""Painted lines kept."""

AHEAD = 2
"""Screenfuls asked for above and below what is shown, so that small moves need no answer."""

PARTS = ("dim", "error", "warning", "mark", "hit", "name", "keyword", "string", "comment", "number", "cursor")


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all rows of one drawing share."""

    painter: Painter
    ground: Style
    marks: dict[int, Mark]


class LogLines(ScrollView, can_focus=True, inherit_bindings=False):
    """A window on the lines of a document, with a cursor line."""

    DEFAULT_CSS = """
    LogLines {
        height: 1fr;
        background: $background;
        color: $foreground;
        scrollbar-color: $panel-lighten-2;
        scrollbar-background: $background;
        scrollbar-size-horizontal: 0;
        scrollbar-size-vertical: 1;
    }
    LogLines > .log--dim { color: $text-muted; }
    LogLines > .log--error { color: $text-error; text-style: bold; }
    LogLines > .log--warning { color: $text-warning; }
    LogLines > .log--mark { color: $text-accent; text-style: bold; }
    LogLines > .log--hit { text-style: reverse bold; }
    LogLines > .log--name { color: $text-primary; }
    LogLines > .log--keyword { color: $text-accent; }
    LogLines > .log--string { color: $text-success; }
    LogLines > .log--comment { color: $text-muted; text-style: italic; }
    LogLines > .log--number { color: $text-secondary; }
    LogLines > .log--cursor { background: $surface-lighten-1; }
    LogLines:focus > .log--cursor { background: $primary-muted; text-style: bold; }
    LogLines:ansi > .log--cursor { text-style: bold underline; }
    LogLines:nocolor > .log--cursor { text-style: bold underline; }
    LogLines:ansi > .log--dim, LogLines:nocolor > .log--dim { color: $foreground; text-style: dim; }
    LogLines:nocolor > .log--warning { text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log--{part}" for part in PARTS}

    class Moved(Message):
        """The cursor, the window or `follow` changed by the person's hand."""

        def can_replace(self, message: Message) -> bool:
            """A newer one says all that an older one said."""
            return isinstance(message, LogLines.Moved)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.document: Document | None = None
        self.view = DocumentView()
        self.cursor = 0
        self.follow = True
        self.paused = False
        self.seen = 0
        """Lines that were there when the view last stood at the end."""
        self.short = True
        """Whether torch's long line prefix is shown shortened."""
        self.nothing: tuple[str, ...] = ()
        """What is said, row by row, while there is no document."""
        self._language = "text"
        self._page = NO_PAGE
        self._strips: LRUCache[tuple[Line, bytes], Strip] = LRUCache(STRIPS)
        self._rows: LRUCache[object, Strip] = LRUCache(STRIPS // 4)
        self._frame: _Frame | None = None
        self._styles: dict[str, Style] = {}
        self._widest = 0
        self._ours = False
        self._late = False
        self._settled = False

    # --- what is shown ----------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Where signs are ASCII, so is the scroll bar."""
        use_plain_scrollbar(self)

    def open(self, document: Document | None, language: str, *, follow: bool) -> None:
        """Show another document; the old one is closed."""
        if self.document is not None:
            self.document.close()
        self.document, self._language = document, language
        self.view, self.cursor, self.follow, self.paused = DocumentView(), 0, follow, False
        self._forget()
        self._size_to(0)
        self._scroll(0, 0)
        self.refresh_data()

    def _forget(self) -> None:
        self._page, self._widest, self.seen, self._settled = NO_PAGE, 0, 0, False
        self._strips.clear()
        self._rows.clear()

    @property
    def lines(self) -> int:
        """How many lines are shown: frozen while paused."""
        return self.virtual_size.height

    @property
    def new_lines(self) -> int:
        """Lines that came since the view left the end, or was paused."""
        return max(0, self.view.lines - self.seen)

    @property
    def digits(self) -> int:
        """Cells of a line number."""
        return max(3, len(str(max(1, self.lines))))

    @property
    def inset(self) -> int:
        """Cells to the left of the text."""
        return self.digits + 3

    def refresh_data(self) -> None:
        """Take what the document's thread has; called at most 5 times a second, and after a key."""
        if self.document is None:
            return
        view, old = self.document.view(), self.view
        if view.generation != old.generation:
            self._forget()
            self.cursor, self.paused = 0, False
        if view == old and not self._late:
            return
        self.view = view
        if not self._settled:  # what was there already is not new
            self.seen, self._settled = view.lines, view.revision > 0 and view.indexed
        if not self.paused:
            self._size_to(view.lines)
        if self.follow and not self.paused:
            self.to_end()
        self.refresh()

    def pause(self, paused: bool) -> None:
        """Hold the lines that are shown, or show all again; where the end was followed, it is again."""
        if paused and not self.paused:
            self.seen = self.view.lines if self.follow else self.seen
        self.paused = paused
        self.refresh_data()
        if not paused:
            self._size_to(self.view.lines)
            if self.follow:
                self.to_end()
        self.refresh()

    def shorten(self, short: bool) -> None:
        """Show torch's line prefix shortened, or as it is."""
        self.short, self._widest = short, 0
        self._strips.clear()
        self._rows.clear()
        self._size_to(self.lines)
        self.refresh()

    def to_end(self) -> None:
        """Stand at the end."""
        self.seen = self.view.lines
        self.cursor = max(0, self.lines - 1)
        self._scroll(None, self.lines)

    def _size_to(self, lines: int) -> None:
        self._ours = True
        self.virtual_size = Size(self.inset + self._widest, lines)
        self._ours = False

    def _scroll(self, x: float | None, y: float | None) -> None:
        self._ours = True
        self.scroll_to(x, y, animate=False, force=True, immediate=True)
        self._ours = False

    # --- moving -----------------------------------------------------------------------------------------------

    def move_to(self, line: int) -> None:
        """Put the cursor on `line`, and the line on screen; upwards, or with lines below it, ends following."""
        line = max(0, min(line, self.lines - 1))
        if line < self.cursor:
            self.leave_end()
        self.cursor = line
        top, height = self.scroll_offset.y, max(1, self.scrollable_content_region.height)
        if not top <= line < top + height:
            near = abs(line - top) <= 2 * height
            up = line if near else line - height // 3
            down = line - height + 1 if near else line - height // 3
            self._scroll(None, up if line < top else down)
        self.refresh()
        self.post_message(self.Moved())

    def move(self, delta: int) -> None:
        """Move the cursor by lines; from the window if the cursor is outside of it."""
        top, height = self.scroll_offset.y, max(1, self.scrollable_content_region.height)
        self.move_to(min(max(self.cursor, top), top + height - 1) + delta)

    def move_page(self, pages: float) -> None:
        """Move window and cursor by screenfuls."""
        delta = int(pages * max(2, self.scrollable_content_region.height - 1))
        if delta < 0:
            self.leave_end()
        self._scroll(None, self.scroll_offset.y + delta)
        self.move_to(self.cursor + delta)

    def move_sideways(self, cells: int) -> None:
        """Move the window sideways."""
        self._scroll(self.scroll_offset.x + cells, None)
        self.post_message(self.Moved())

    def leave_end(self) -> None:
        """Stop following; from now on new lines are counted."""
        if self.follow:
            self.follow = False
            self.seen = self.view.lines

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A move upwards by mouse or scroll bar ends following, too."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and not self._ours and self.follow:
            self.leave_end()
            self.post_message(self.Moved())

    def _on_resize(self, event: Resize) -> None:
        if self.follow and not self.paused:
            self.call_after_refresh(self.to_end)

    # --- lines ------------------------------------------------------------------------------------------------

    def line(self, number: int) -> Line | None:
        """The line `number` from the page, None if it is not (yet) there."""
        page = self._page
        at = number - page.first
        return page.lines[at] if page.generation == self.view.generation and 0 <= at < len(page.lines) else None

    def safe_lines(self, first: int, count: int) -> list[str]:
        """The texts of lines that are on screen, as they are shown."""
        found = (self.line(number) for number in range(first, first + count))
        return [safe_line(line.raw, ascii_only=ascii_only(self.app)) for line in found if line is not None]

    def _fetch(self) -> None:
        """Make the page hold what is shown; the document's thread has a moment to answer, then it is late."""
        if self.document is None:
            return
        top, height = self.scroll_offset.y, max(1, self.size.height)
        shown = min(height, max(0, self.lines - top))
        fits = self._page.holds(self.view.generation, top, shown)
        if fits and self._page.indexed_bytes >= self.view.indexed_bytes:
            return
        first = max(0, top - AHEAD * height)
        self._page = self.document.page(first, top + height * (1 + AHEAD) - first)
        self._late = not self._page.holds(self.view.generation, top, shown)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The visible strips; what all of them need is looked up once."""
        self._fetch()
        top, height = self.scroll_offset.y, self.size.height
        marks = self.document.marks.on(top, height) if self.document is not None else {}
        self._frame = _Frame(self._painter(), self.rich_style, marks)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Row `y` of the window."""
        number, width, frame = self.scroll_offset.y + y, self.size.width, self._frame
        if frame is None:
            return Strip.blank(width)
        if self.document is None or number >= self.lines:
            said = self._empty()
            words = frame.painter.plain(f" {said[y]}" if y < len(said) else "")
            return words.crop_extend(0, width, None).apply_style(frame.ground)
        line = self.line(number)
        ground = frame.ground + self._style("cursor") if number == self.cursor else frame.ground
        if line is None:
            return self._row(number, frame.painter.plain("reading ..."), ground)
        hit = self._hit(line)
        key = (line, hit, frame.marks.get(number), self.scroll_offset.x, width, self.digits, ground)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._row(number, self._text(line, hit, frame.painter), ground)
        return row

    def _row(self, number: int, text: Strip, ground: Style) -> Strip:
        """A line's number, sign and text as far as they are in the window."""
        assert self._frame is not None
        x, room = self.scroll_offset.x, max(0, self.size.width - self.inset)
        gutter = self._frame.painter.gutter(number, self.digits, self._frame.marks.get(number))
        row = Strip([*gutter, *text.crop_extend(x, x + room, None)])
        return row.crop_extend(0, self.size.width, None).apply_style(ground)

    def _text(self, line: Line, hit: bytes, painter: Painter) -> Strip:
        strip = self._strips.get((line, hit))
        if strip is None:
            strip = self._strips[(line, hit)] = painter.text(line, hit)
            if strip.cell_length > self._widest:
                self._widest = strip.cell_length
                self.call_after_refresh(self._size_to, self.lines)
        return strip

    def _hit(self, line: Line) -> bytes:
        span = self.document.found.span(line.number) if self.document else None
        if span is None or line.length > SHOWN:
            return b""
        return line.raw[span[0] : span[1]]

    def _empty(self) -> tuple[str, ...]:
        """What is said in place of lines where there are none."""
        if self.document is None:
            return self.nothing
        if self.lines:
            return ()
        return (self.view.cause or ("reading ..." if self.view.revision == 0 else "empty"),)

    # --- styles -----------------------------------------------------------------------------------------------

    def _painter(self) -> Painter:
        return Painter(self._style, self._language, ascii_only(self.app), self.short)

    def _style(self, part: str) -> Style:
        style = self._styles.get(part)
        if style is None:
            style = self._styles[part] = part_style(self, f"log--{part}", ground=part == "cursor")
        return style

    def notify_style_update(self) -> None:
        """The theme or the focus changed: nothing painted holds."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()
        self._rows.clear()
