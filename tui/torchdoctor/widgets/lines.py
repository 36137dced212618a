"""The one view under all panes but the logs: lines of spans, drawn one at a time, redrawn only where they changed."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from torchdoctor.paint import ROLES, Line, Page, Stop, laid, text_of
from torchdoctor.signs import drawn
from torchdoctor.text import ascii_only
from torchdoctor.widgets.plain_scrollbar import use_plain_scrollbar

NOTHING = Page(())


class Lines(ScrollView, can_focus=True):
    """Scrolls over a page; where the page has keys, a cursor stands on one of their lines."""

    DEFAULT_CSS = """
    Lines {
        height: 1fr;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        overflow-x: hidden;
        color: $foreground;
    }
    Lines > .line--ok { color: $text-success; }
    Lines > .line--warn { color: $text-warning; }
    Lines > .line--fail { color: $text-error; text-style: bold; }
    Lines > .line--info { color: $text-primary; }
    Lines > .line--run { color: $text-secondary; }
    Lines > .line--dim { color: $text-muted; }
    Lines > .line--title { text-style: bold; }
    Lines > .line--key { color: $text-accent; text-style: bold; }
    Lines > .line--accent { color: $accent; }
    Lines > .line--hit { text-style: reverse; }
    Lines > .line--cursor { background: $panel; }
    Lines:focus > .line--cursor { background: $primary 25%; text-style: bold; }
    Lines:ansi > .line--cursor, Lines:nocolor > .line--cursor { text-style: reverse; }
    Lines:ansi > .line--dim { text-style: dim; color: $foreground; }
    Lines:nocolor > .line--dim { text-style: dim; }
    Lines:nocolor > .line--warn { text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{role}" for role in (*ROLES, "hit", "cursor")}
    BINDING_GROUP_TITLE = "List"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, id="list.up", tooltip="One line up"),
        Binding("down", "move(1)", "Down", show=False, id="list.down", tooltip="One line down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up", show=False, id="list.pageup", tooltip="One screenful up"),
        Binding("pagedown,ctrl+d", "page(1)", "Page down", show=False, id="list.pagedown", tooltip="A screenful down"),
        Binding("g,home", "edge(-1)", "Top", show=False, id="list.top", tooltip="The first line"),
        Binding("G,end", "edge(1)", "Bottom", show=False, id="list.bottom", tooltip="The last line"),
        Binding("e", "finding(1)", "Finding", id="list.next", tooltip="The next finding, or the next that is not well"),
        Binding("E", "finding(-1)", "Back", show=False, id="list.previous", tooltip="The finding before"),
        Binding("n", "hit(1)", "Hit", id="search.next", tooltip="The next hit of the search"),
        Binding("N", "hit(-1)", "Hit back", show=False, id="search.previous", tooltip="The hit before"),
    ]  # fmt: skip

    class Selected(Message):
        """The cursor came to stand on another line; `key` names it."""

        def __init__(self, lines: Lines, key: str) -> None:
            super().__init__()
            self.lines = lines
            self.key = key

        @property
        def control(self) -> Lines:
            """The view that it stands in."""
            return self.lines

    class Opened(Selected):
        """The line under the cursor was clicked a second time."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.page = NOTHING
        self.cursor: str | None = None
        """The key of what is selected."""
        self._stops: list[Stop] = []
        self._places: dict[str, int] = {}
        """Key -> its place among the stops, the first one of it."""
        self.query_text = ""
        self._looked: re.Pattern[str] | None = None
        self._place = -1
        """The line that `e` or `n` went to last."""
        self._styles: dict[str, Style] = {}

    # --- what is shown ----------------------------------------------------------------------------------------

    def show(self, page: Page) -> None:
        """Show another page; only lines that differ are drawn again."""
        old, self.page = self.page, page
        if old is page and self.virtual_size.width:
            return  # nothing of it changed
        self._settle_cursor(page.stops())
        if len(old.lines) != len(page.lines) or not self.virtual_size.width:
            self.virtual_size = Size(self.size.width, len(page.lines))
            self.refresh()
        elif changed := self._changed(old):
            self.refresh(*changed)
        if old.marks != page.marks and self.is_attached:
            self.refresh_bindings()

    def show_anchored(self, page: Page) -> None:
        """Show a page to which lines come and go: the line under the cursor stays where it is on the screen."""
        before = self._cursor_line()
        self.show(page)
        if (moved := self._cursor_line() - before) and self.scroll_y:
            self.scroll_to(y=self.scroll_y + moved, animate=False, immediate=True)
        if self._here is not None and not 0 <= self._cursor_line() - round(self.scroll_y) < max(1, self.size.height):
            self._reveal(self._cursor_line())

    def _changed(self, old: Page) -> list[Region]:
        """Where the screen differs from the page before: neighbouring lines as one region, which costs the least."""
        top, regions = round(self.scroll_y), list[Region]()
        for y in range(top, min(top + self.size.height, len(self.page.lines))):
            before, after = old.lines[y], self.page.lines[y]
            if before == after:
                continue
            region = self._row_region(y, 0 if self._looked else _same_cells(before, after))
            if regions and regions[-1].bottom == region.y:
                region = regions.pop().union(region)
            regions.append(region)
        return regions

    def plain_text(self) -> str:
        """The whole page as text."""
        return "\n".join(text_of(row).rstrip() for row in self.page.lines).strip("\n") + "\n"

    def _settle_cursor(self, stops: list[Stop]) -> None:
        """Keep the cursor on its key; where that is gone, it goes to what took its place."""
        old, self._stops = self._stops, stops
        self._places = {stop.key: len(stops) - 1 - at for at, stop in enumerate(reversed(stops))}
        if self.cursor in self._places:
            return
        at = next((place for place, stop in enumerate(old) if stop.key == self.cursor), 0)
        self.cursor = stops[min(at, len(stops) - 1)].key if stops else None

    def _row_region(self, y: int, begin: int = 0) -> Region:
        return Region(begin, y - round(self.scroll_y), max(1, self.size.width - begin), 1)

    def _refresh_row(self, y: int) -> None:
        self.refresh(self._row_region(y))

    def on_mount(self) -> None:
        """Settle the signs."""
        use_plain_scrollbar(self)

    def on_resize(self, _: Resize) -> None:
        """The page is as wide as the view."""
        self.virtual_size = Size(self.size.width, len(self.page.lines))

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._styles.clear()

    def _style(self, role: str) -> Style:
        if role not in self._styles:
            known = role in ROLES or role in ("hit", "cursor")
            self._styles[role] = self.get_component_rich_style(f"line--{role}") if known else self.rich_style
        return self._styles[role]

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        place, width = y + round(self.scroll_y), self.scrollable_content_region.width
        if place >= len(self.page.lines):
            return Strip.blank(width, self._style(""))
        plain = ascii_only(self.app)
        spans = laid(self.page.lines[place], width)
        strip = Strip([Segment(drawn(text, plain), self._style(role)) for text, role in spans], width)
        strip = self._with_hits(strip, place)
        here = self._here
        if here is not None and here.line == place:
            begin, end = here.begin, width if here.end is None else here.end
            parts = (strip.crop(0, begin), self._with_cursor(strip.crop(begin, end)), strip.crop(end, width))
            strip = Strip.join(parts) if end - begin < width else parts[1]
        return strip

    def _with_cursor(self, strip: Strip) -> Strip:
        cursor = self._style("cursor")
        if cursor.reverse:
            return strip.apply_style(Style(reverse=True))
        mark = Style(bgcolor=cursor.bgcolor, bold=cursor.bold)
        return Strip([Segment(text, (style or Style()) + mark) for text, style, _ in strip], strip.cell_length)

    def _with_hits(self, strip: Strip, place: int) -> Strip:
        if self._looked is None:
            return strip
        text = strip.text
        cuts = [(cell_len(text[: m.start()]), cell_len(text[: m.end()])) for m in self._looked.finditer(text)]
        mark, at, parts = Style(reverse=True), 0, []
        for start, end in cuts:
            parts += [strip.crop(at, start), strip.crop(start, end).apply_style(mark)]
            at = end
        return Strip.join([*parts, strip.crop(at, strip.cell_length)]) if cuts else strip

    # --- moving ------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        if action == "finding":
            return bool(self.page.marks)
        if action == "hit":
            return self._looked is not None
        return True

    @property
    def _here(self) -> Stop | None:
        """Where the cursor stands."""
        place = self._places.get(self.cursor) if self.cursor is not None else None
        return None if place is None else self._stops[place]

    def _cursor_line(self) -> int:
        here = self._here
        return here.line if here is not None else 0

    def select(self, key: str) -> None:
        """Put the cursor on a key and show its line."""
        if key not in self._places:
            return
        before, moved, self.cursor = self._cursor_line(), key != self.cursor, key
        self._place = self._cursor_line()
        self._reveal(self._place)
        if moved:
            self._refresh_row(before)
            self._refresh_row(self._place)
            self.post_message(self.Selected(self, key))

    def _reveal(self, y: int) -> None:
        """Scroll to a line; at the first and the last stop, to what lies before and behind it as far as both fit."""
        begin, end = y, y + 1
        if y == self._stops[0].line:
            begin = max(0, end - self.size.height)
        elif y == self._stops[-1].line:
            end = min(len(self.page.lines), begin + self.size.height)
        self.scroll_to_region(Region(0, begin, 1, end - begin), animate=False, immediate=True)

    def action_move(self, by: int) -> None:
        """Another stop, or scroll where there is none."""
        if not self._stops:
            self.scroll_relative(y=by, animate=False, immediate=True)
            return
        at = self._places.get(self.cursor, 0) if self.cursor is not None else 0
        self.select(self._stops[min(len(self._stops) - 1, max(0, at + by))].key)

    def action_page(self, by: int) -> None:
        """A screenful."""
        if self._stops:
            self.action_move(by * max(1, self.size.height - 1))
        else:
            self.scroll_relative(y=by * max(1, self.size.height - 1), animate=False, immediate=True)

    def action_edge(self, end: int) -> None:
        """Top or bottom."""
        self._place = -1 if end < 0 else len(self.page.lines)
        if self._stops:
            self.select(self._stops[0 if end < 0 else -1].key)
        else:
            self.scroll_to(y=0 if end < 0 else self.max_scroll_y, animate=False, immediate=True)

    def action_finding(self, by: int) -> None:
        """The next line that is marked as a finding; around the end."""
        self._visit(sorted(self.page.marks), by)

    def action_hit(self, by: int) -> None:
        """The next line with a hit; around the end."""
        looked = self._looked
        if looked is not None:
            self._visit([y for y, row in enumerate(self.page.lines) if looked.search(text_of(row))], by)

    def _visit(self, rows: list[int], by: int) -> None:
        if not rows:
            return
        here = self._cursor_line() if self._place < 0 and self._stops else self._place
        ahead = [y for y in rows if y > here] if by > 0 else [y for y in rows if y < here][::-1]
        self._place = ahead[0] if ahead else rows[0 if by > 0 else -1]
        key = self.page.keys.get(self._place)
        if key is not None:
            self.select(key)
        else:
            self.scroll_to(y=max(0, self._place - 1), animate=False, immediate=True)

    def mark_hits(self, text: str) -> None:
        """Show where `text` stands in what is on screen."""
        self.query_text = text
        flags = re.IGNORECASE if text == text.lower() else 0
        self._looked = re.compile(re.escape(text), flags) if text else None
        self.refresh()
        self.refresh_bindings()

    def search(self, text: str) -> int:
        """Mark every line that holds `text` (without regard to case unless it has capitals); how many there are."""
        self.mark_hits(text)
        if self._looked is None:
            return 0
        hits = sum(1 for row in self.page.lines if self._looked.search(text_of(row)))
        self.action_hit(1)
        return hits

    def on_click(self, event: Click) -> None:
        """A click selects, a click on what is selected opens."""
        y = event.y + round(self.scroll_y)
        hit = next((stop for stop in self._stops if stop.line == y and _within(stop, event.x)), None)
        if hit is None:
            return
        if hit.key == self.cursor:
            self.post_message(self.Opened(self, hit.key))
        self.select(hit.key)


def _within(stop: Stop, x: int) -> bool:
    return stop.begin <= x and (stop.end is None or x < stop.end)


def _same_cells(old: Line, new: Line) -> int:
    """How many cells at the beginning of a line stay as they are."""
    same = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        same += cell_len(one[0])
    return same
