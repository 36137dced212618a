"""A text of code on screen: numbered, coloured, the line that it was opened for lit."""

from __future__ import annotations

from collections.abc import Iterable

from rich.segment import Segment
from textual.cache import LRUCache
from textual.strip import Strip

from .code_paint import CodeText, runs
from .code_scroll import CodeScroll, widest_of

STRIPS = 512

READING = CodeText(cause="reading ...")


class CodeView(CodeScroll):
    """Shows one text; it is read elsewhere, and does not grow."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.text = READING
        self.lit: frozenset[int] = frozenset()
        self._widest = 0
        self._strips: LRUCache[object, Strip] = LRUCache(STRIPS)

    def show(self, text: CodeText, line: int | None = None, lit: Iterable[int] = ()) -> None:
        """Show a text; `line`, counted from 0, is lit and under the cursor."""
        self.text = text
        self._widest = widest_of(text.lines)
        self.lit = frozenset(lit) | ({line} if line is not None else set())
        self._strips.clear()
        self.settle(line or 0)

    @property
    def count(self) -> int:
        """Lines."""
        return len(self.text.lines)

    def text_at(self, row: int) -> str:
        """The line."""
        return self.text.lines[row]

    def widest(self) -> int:
        """Cells of the widest line with its number."""
        return self._widest + self.inset

    @property
    def inset(self) -> int:
        """Cells to the left of the text."""
        return max(3, len(str(max(1, self.count)))) + 3

    def search(self, text: str) -> int:
        """As everywhere; what was painted before does not hold."""
        self._strips.clear()
        return super().search(text)

    def notify_style_update(self) -> None:
        """Nothing painted holds."""
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """Row `y` of the window."""
        row, width = self.scroll_offset.y + y, self.size.width
        if row >= self.count:
            words = f" {self.text.cause}" if not self.count and y == 0 else ""
            return self.grounded(Strip([Segment(words, self.part("dim"))]), "")
        ground = "cursor" if row == self.cursor else "lit" if row in self.lit else ""
        key = (row, ground, self.scroll_offset.x, width)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._row(row, ground, width)
        return strip

    def _row(self, row: int, ground: str, width: int) -> Strip:
        text = self.text.lines[row]
        number = Segment(f"{row + 1:>{self.inset - 3}} ", self.part("dim"))
        mark = Segment("> " if row in self.lit else "  ", self.part("mark"))
        code = self.strip(text, runs(self.text.languages[row], text), self.scroll_offset.x, width - self.inset)
        return self.grounded(Strip([number, mark, *code]), ground)
