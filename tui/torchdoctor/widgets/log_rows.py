"""Rows of a log as strips, painted once and kept: what a line, its place and all rows of one drawing need."""

from __future__ import annotations

from dataclasses import dataclass

from textual.cache import LRUCache
from textual.strip import Strip

from torchdoctor.widgets.log_paint import Gutter, LookOf, Painted, Painter, padded
from torchdoctor.widgets.log_wrap import cuts, window
from torchprobes.compilelog.lines import SHOWN, Line

PAINTED, STRIPS = 512, 192
"""Painted lines kept, and screen lines: a strip is some thirty objects that the garbage collector walks over."""

STEP = 512
"""Lines are painted up to a multiple of so many characters: a move sideways need not paint them anew."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What all rows of one drawing share."""

    painter: Painter
    width: int
    x: int
    """Cells to the left of the window; 0 where lines are wrapped."""
    wrap: bool
    digits: int
    """Cells of a line number."""
    names: tuple[str, ...] = ()
    """Of the files of a merged view, all of one width."""

    @property
    def inset(self) -> int:
        """Cells to the left of the text."""
        return self.digits + 3 + (len(self.names[0]) + 1 if self.names else 0)

    @property
    def room(self) -> int:
        """Cells for the text."""
        return max(1, self.width - self.inset)

    @property
    def limit(self) -> int:
        """Characters of a line that anybody sees."""
        return SHOWN if self.wrap else -(-(self.x + self.room) // STEP) * STEP

    def source(self, line: Line) -> tuple[int, str] | None:
        """Which file of a merged view a line is of, and its name; None in a single file."""
        return (line.source, self.names[line.source % len(self.names)]) if self.names else None


class Rows:
    """The strips of a log's rows; `widest` is the length in characters of the longest line painted so far."""

    def __init__(self) -> None:
        self.widest = 0
        self._painted: LRUCache[object, Painted] = LRUCache(PAINTED)
        self._strips: LRUCache[object, Strip] = LRUCache(STRIPS)

    def __len__(self) -> int:
        return len(self._strips)

    def forget(self) -> None:
        """Nothing that was painted holds any more."""
        self.widest = 0
        self._painted.clear()
        self._strips.clear()

    def restyle(self) -> None:
        """The looks changed."""
        self._strips.clear()

    def parts(self, sheet: Sheet, line: Line | None, hit: bytes) -> int:
        """Screen lines that a line takes; 1 while it is not there yet."""
        return len(cuts(self._text(sheet, line, hit).text, sheet.room)) if sheet.wrap and line is not None else 1

    def strip(
        self, sheet: Sheet, line: Line, hit: bytes, part: int, gutter: Gutter, look_of: LookOf, cursor: bool
    ) -> Strip:
        """One screen line of `line`; `cursor` says which ground `look_of` is for."""
        key = (sheet, line, hit, part, gutter, cursor)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._drawn(sheet, self._text(sheet, line, hit), part, gutter, look_of)
        return strip

    def words(self, sheet: Sheet, said: str, inset: int, look_of: LookOf) -> Strip:
        """Words of ours where there is no line."""
        key = (sheet, said, inset)
        strip = self._strips.get(key)
        if strip is None:
            painted = sheet.painter.plain(" " * inset + said)
            start, end, _ = window(painted.text, 0, sheet.width)
            segments = painted.segments(start, end, look_of)
            strip = self._strips[key] = Strip(padded(segments, sheet.width, look_of("")), sheet.width)
        return strip

    def _drawn(self, sheet: Sheet, painted: Painted, part: int, gutter: Gutter, look_of: LookOf) -> Strip:
        if sheet.wrap:
            starts = (*cuts(painted.text, sheet.room), len(painted.text))
            part = min(part, len(starts) - 2)
            start, end, blanks = starts[part], starts[part + 1], 0
        else:
            start, end, blanks = window(painted.text, sheet.x, sheet.room)
        left = sheet.painter.gutter(gutter, sheet.digits, look_of) if part == 0 else []
        segments = padded(left, sheet.inset + blanks, look_of("")) + painted.segments(start, end, look_of)
        return Strip(padded(segments, sheet.width, look_of("")), sheet.width)

    def _text(self, sheet: Sheet, line: Line, hit: bytes) -> Painted:
        """The line painted, as far as anybody sees it."""
        key = (sheet.painter, sheet.limit, line, hit)
        painted = self._painted.get(key)
        if painted is None:
            painted = self._painted[key] = sheet.painter.text(line, hit, sheet.limit)
            self.widest = max(self.widest, painted.cells)
        return painted
