"""A log's window as strips: places, lines and marks of one instant in, screen lines out; painted lines are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from torchdoctor.widgets.log_pace import Pace
from torchdoctor.widgets.log_pages import Pages
from torchdoctor.widgets.log_paint import Gutter, LookOf, part_style
from torchdoctor.widgets.log_rows import Rows, Sheet
from torchdoctor.widgets.log_wrap import Place


@dataclass(frozen=True, slots=True)
class Shown:
    """What is to be drawn."""

    sheet: Sheet
    places: list[Place]
    height: int
    """Screen lines; where there are fewer places, the rest is blank."""
    cursor: int
    """The row that it is on."""
    bookmarks: frozenset[int]
    """Lines, not rows."""
    nothing: Sequence[str]
    """What is said where there are no lines."""


class Drawing:
    """Draws the rows of `pages` in the styles of a widget."""

    def __init__(self, widget: Widget, pages: Pages) -> None:
        self.rows = Rows()
        self._widget = widget
        self._pages = pages
        self._styles: dict[tuple[str, bool], Style] = {}
        self._sent: list[Strip] = []

    def draw(self, shown: Shown) -> list[Strip]:
        """All screen lines, from top to bottom. A line that is as it was is the same strip."""
        looks = (self._look(cursor=False), self._look(cursor=True))
        places = shown.places[: shown.height]
        marks = self._pages.marks(places[0].row, places[-1].row - places[0].row + 1) if places else {}
        strips = []
        for row, part in places:
            line, cursor = self._pages.line(row), row == shown.cursor
            if line is None:
                strips.append(self.rows.words(shown.sheet, "reading ...", shown.sheet.inset, looks[0]))
                continue
            gutter = Gutter(
                line.number if line.own < 0 else line.own,
                marks.get(row),
                line.number in shown.bookmarks,
                shown.sheet.source(line),
            )
            hit = self._pages.hit(row)
            strips.append(self.rows.strip(shown.sheet, line, hit, part, gutter, looks[cursor], cursor))
        for y in range(len(strips), shown.height):
            said = shown.nothing[y] if y < len(shown.nothing) else ""
            strips.append(self.rows.words(shown.sheet, said, 1, looks[0]))
        return strips

    def spend(self, strips: list[Strip], pace: Pace) -> None:
        """Count what goes to the terminal, where that matters; what was there already is not sent again."""
        if pace.limited:
            sent = {id(strip) for strip in self._sent}
            console = self._widget.app.console
            pace.spend(sum(len(strip.render(console)) for strip in strips if id(strip) not in sent))
            self._sent = strips

    def restyle(self) -> None:
        """The looks changed."""
        self._styles.clear()
        self.rows.restyle()

    def _look(self, *, cursor: bool) -> LookOf:
        styles = self._styles
        return lambda part: styles.get((part, cursor)) or self._style(part, cursor)

    def _style(self, part: str, cursor: bool) -> Style:
        """The style of a part on the ground of its row."""
        style = self._widget.rich_style
        if cursor:
            style += part_style(self._widget, "log--cursor", ground=True)
        if part:
            style += part_style(self._widget, f"log--{part}")
        self._styles[(part, cursor)] = style
        return style
