"""What every view of code has: rows of text drawn one at a time, a cursor row, moving about, search, copying."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .code_paint import Run
from .log_paint import part_style
from .plain_scrollbar import use_plain_scrollbar

PARTS = (
    "dim", "name", "keyword", "string", "comment", "number", "gone", "come", "changed", "mark", "lit", "cursor",
)  # fmt: skip
GROUNDS = frozenset({"lit", "cursor"})


def _bind(keys: str, action: str, description: str, name: str, tooltip: str, show: bool = False) -> Binding:
    return Binding(keys, action, description, show=show, id=f"code.{name}", tooltip=tooltip)


class CodeScroll(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows [0, `count`) with a cursor; what a row looks like is the business of its kinds."""

    DEFAULT_CSS = """
    CodeScroll {
        height: 1fr; background: $background; color: $foreground;
        scrollbar-color: $panel-lighten-2; scrollbar-background: $background;
        scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1;
    }
    CodeScroll > .code--dim, CodeScroll > .code--comment { color: $text-muted; }
    CodeScroll > .code--comment { text-style: italic; }
    CodeScroll > .code--name { color: $text-primary; }
    CodeScroll > .code--keyword { color: $text-accent; }
    CodeScroll > .code--string { color: $text-success; }
    CodeScroll > .code--number { color: $text-secondary; }
    CodeScroll > .code--gone { color: $text-error; }
    CodeScroll > .code--come { color: $text-success; }
    CodeScroll > .code--mark { color: $text-warning; text-style: bold; }
    CodeScroll > .code--changed { color: $text-warning; text-style: bold underline; }
    CodeScroll > .code--lit { background: $primary 22%; }
    CodeScroll > .code--cursor { background: $surface-lighten-1; }
    CodeScroll:focus > .code--cursor { background: $primary-muted; text-style: bold; }
    CodeScroll:ansi > .code--cursor, CodeScroll:nocolor > .code--cursor { text-style: bold underline; }
    CodeScroll:ansi > .code--lit, CodeScroll:nocolor > .code--lit { text-style: bold; }
    CodeScroll:ansi > .code--dim, CodeScroll:nocolor > .code--dim { color: $foreground; text-style: dim; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"code--{part}" for part in PARTS}
    BINDING_GROUP_TITLE = "Code"
    BINDINGS: ClassVar[list[BindingType]] = [
        _bind("j,down", "move(1)", "Down", "down", "One line down"),
        _bind("k,up", "move(-1)", "Up", "up", "One line up"),
        _bind("pagedown,ctrl+d", "page(1)", "Page down", "page.down", "One screenful down"),
        _bind("pageup,ctrl+u", "page(-1)", "Page up", "page.up", "One screenful up"),
        _bind("g,home", "edge(-1)", "Top", "top", "To the first line"),
        _bind("G,end", "edge(1)", "Bottom", "bottom", "To the last line"),
        _bind("left", "sideways(-16)", "Left", "left", "Show what is to the left"),
        _bind("right", "sideways(16)", "Right", "right", "Show what is to the right"),
        _bind("n", "hit(1)", "Hit", "hit.next", "To the next hit of the search"),
        _bind("N", "hit(-1)", "Hit back", "hit.previous", "To the previous hit"),
        _bind("enter", "jump", "Follow up", "jump", "To the source or the compile that the line points at", True),
    ]

    class Jumped(Message):
        """`enter` was pressed on a row; `text` is what stands in it."""

        def __init__(self, view: CodeScroll, text: str) -> None:
            super().__init__()
            self.view = view
            self.text = text

        @property
        def control(self) -> CodeScroll:
            """The view that it stands in."""
            return self.view

    class Moved(Message):
        """The cursor stands on another row."""

        def can_replace(self, message: Message) -> bool:
            """A newer one says all that an older one said."""
            return isinstance(message, CodeScroll.Moved)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.cursor = 0
        self.query_text = ""
        self._looked: re.Pattern[str] | None = None
        self._styles: dict[str, Style] = {}

    # --- what its kinds say --------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def text_at(self, row: int) -> str:
        """What stands in a row, as `y` copies it and the search sees it."""
        raise NotImplementedError

    def widest(self) -> int:
        """Cells of the widest row."""
        raise NotImplementedError

    @property
    def window(self) -> int:
        """Rows that are on screen at once."""
        return max(1, self.size.height)

    # --- moving --------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Where signs are ASCII, so is the scroll bar."""
        use_plain_scrollbar(self)

    def settle(self, cursor: int) -> None:
        """Other rows are there: show `cursor`, a third of the way down."""
        self.cursor = max(0, min(cursor, self.count - 1))
        self.virtual_size = Size(self.widest(), self.count + self.size.height - self.window)
        top = 0 if self.cursor < self.window - 1 else self.cursor - self.window // 3
        self.scroll_to(0, top, animate=False, force=True, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, and the row on screen."""
        self.cursor = max(0, min(row, self.count - 1))
        top, height = self.scroll_offset.y, self.window
        if not top <= self.cursor < top + height:
            near = abs(self.cursor - top) <= 2 * height
            below = self.cursor - height + 1 if near else self.cursor - height // 3
            wanted = self.cursor if near and self.cursor < top else below
            self.scroll_to(None, wanted, animate=False, force=True, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """A screenful."""
        rows = by * max(1, self.window - 1)
        self.scroll_relative(y=rows, animate=False, force=True, immediate=True)
        self.move_to(self.cursor + rows)

    def action_edge(self, end: int) -> None:
        """Top or bottom."""
        self.move_to(0 if end < 0 else self.count - 1)

    def action_sideways(self, cells: int) -> None:
        """What is left or right of the window."""
        self.scroll_to(max(0, self.scroll_offset.x + cells), None, animate=False, force=True, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_jump(self) -> None:
        """Follow what the row points at."""
        if self.count:
            self.post_message(self.Jumped(self, self.text_at(self.cursor)))

    def on_click(self, event: Click) -> None:
        """A click puts the cursor there."""
        self.move_to(event.y + self.scroll_offset.y)

    # --- search --------------------------------------------------------------------------------------------------

    def search(self, text: str) -> int:
        """Mark every row that holds `text` (regardless of case unless it has capitals); how many there are."""
        self.query_text = text
        flags = re.IGNORECASE if text == text.lower() else 0
        self._looked = re.compile(re.escape(text), flags) if text else None
        rows = list(self.hits())
        if rows:
            self.move_to(next((row for row in rows if row >= self.cursor), rows[0]))
        self.refresh()
        self.refresh_bindings()
        return len(rows)

    def hits(self) -> Iterable[int]:
        """The rows with a hit."""
        looked = self._looked
        return () if looked is None else (row for row in range(self.count) if looked.search(self.text_at(row)))

    def action_hit(self, by: int) -> None:
        """The next row with a hit; around the end."""
        rows = list(self.hits())
        if not rows:
            return
        ahead = [row for row in rows if row > self.cursor] if by > 0 else [row for row in rows if row < self.cursor]
        self.move_to((ahead or rows)[0 if by > 0 else -1])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        return self._looked is not None if action == "hit" else True

    # --- drawing -------------------------------------------------------------------------------------------------

    def part(self, name: str) -> Style:
        """The style of a part."""
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = part_style(self, f"code--{name}", ground=name in GROUNDS)
        return style

    def notify_style_update(self) -> None:
        """The theme or the focus changed."""
        super().notify_style_update()
        self._styles.clear()

    def strip(self, text: str, runs: Iterable[Run], x: int, room: int) -> Strip:
        """`room` cells of a text from cell `x` on, its runs in their styles; of several the last counts."""
        layers = [*runs]
        if self._looked is not None:
            layers += [(match.start(), match.end(), "hit") for match in self._looked.finditer(text)]
        covered = [""] * len(text)
        for start, end, name in layers:
            covered[start:end] = [name] * (min(end, len(text)) - start)
        segments, at = [], 0
        for name, run in itertools.groupby(covered):
            end = at + sum(1 for _ in run)
            style = Style(reverse=True) if name == "hit" else self.part(name) if name else None
            segments.append(Segment(text[at:end], style))
            at = end
        return Strip(segments).crop_extend(x, x + room, None)

    def grounded(self, strip: Strip, ground: str) -> Strip:
        """On the ground of the cursor or of what is lit, else on that of the view."""
        style = self.rich_style + self.part(ground) if ground else self.rich_style
        return strip.crop_extend(0, self.size.width, None).apply_style(style)


def widest_of(texts: Iterable[str]) -> int:
    """Cells of the widest text."""
    return max((len(text) if text.isascii() else cell_len(text) for text in texts), default=0)
