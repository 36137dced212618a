"""Which rows stand where on the screen, wrapped or not: plain arithmetic, without a widget.

A row that is wrapped takes several screen lines, its parts; one that is not takes one. The height of a log in screen
lines would need every line of it, so it is never known: all is reckoned from where the window stands, a screenful at
a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size


class Place(NamedTuple):
    """One screen line: a part of a row, both counted from 0."""

    row: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows [0, rows), each of `parts(row)` screen lines, at least 1."""

    rows: int
    parts: Callable[[int], int]

    def frame(self, top: Place, height: int) -> list[Place]:
        """The screen lines of a window, from `top` down; fewer than `height` at the end of the log."""
        lines: list[Place] = []
        row, part = top
        while row < self.rows and len(lines) < height:
            count = self.parts(row)
            lines.extend(Place(row, at) for at in range(min(part, count - 1), count))
            row, part = row + 1, 0
        return lines[:height]

    def up(self, place: Place, count: int) -> Place:
        """`count` screen lines above `place`, at most up to the first of all."""
        row, part = place.row, place.part - count
        while part < 0 and row > 0:
            row -= 1
            part += self.parts(row)
        return Place(row, max(0, part))

    def down(self, place: Place, count: int) -> Place:
        """`count` screen lines below `place`, at most down to the last of all."""
        row, part = place.row, place.part + count
        while row < self.rows - 1 and part >= self.parts(row):
            part -= self.parts(row)
            row += 1
        return Place(row, min(part, max(0, self.parts(row) - 1))) if self.rows else Place(0)

    def end(self, height: int) -> Place:
        """Where a window begins that ends with the last screen line of all."""
        return self.up(self.last, height - 1) if self.rows else Place(0)

    @property
    def last(self) -> Place:
        """The last screen line of all."""
        return Place(self.rows - 1, self.parts(self.rows - 1) - 1) if self.rows else Place(0)

    def move(self, top: Place, count: int, height: int) -> Place:
        """Where the window begins after it moved by `count` screen lines; it does not pass the end."""
        return self.up(top, -count) if count < 0 else min(self.down(top, count), max(top, self.end(height)))

    def showing(self, row: int, top: Place, height: int) -> Place:
        """Where a window begins that was at `top` and now shows `row`; whole, if it is not taller than the window.

        It moves no further than it must, and puts a row from afar at a third of its height.
        """
        first, count = Place(row), self.parts(row)
        last = Place(row, count - 1)
        if first >= top and last <= self.down(top, height - 1):
            return top
        if abs(row - top.row) > 2 * height:
            return min(self.up(first, height // 3), max(first, self.end(height))) if count <= height else first
        if first < top or count > height:
            return first
        return self.up(last, height - 1)


def cuts(text: str, width: int) -> tuple[int, ...]:
    """Where the parts of `text` begin, in characters, if each may take `width` cells; a wide one is never split."""
    if text.isascii():
        return tuple(range(0, max(1, len(text)), max(1, width)))
    starts, cells = [0], 0
    for at, char in enumerate(text):
        size = get_character_cell_size(char)
        if cells + size > width and at > starts[-1]:
            starts.append(at)
            cells = 0
        cells += size
    return tuple(starts)


def window(text: str, x: int, width: int) -> tuple[int, int, int]:
    """(first character, end, blanks before) of what is to be seen of `text` from cell `x` on in `width` cells.

    There is a blank before where the left edge cuts a wide character in two.
    """
    if text.isascii():
        return min(x, len(text)), min(x + width, len(text)), 0
    first, cells = 0, 0
    while first < len(text) and cells < x:
        cells += get_character_cell_size(text[first])
        first += 1
    blanks = max(0, cells - x)
    end, used = first, blanks
    while end < len(text) and used + (size := get_character_cell_size(text[end])) <= width:
        used += size
        end += 1
    return first, end, blanks


def cells_of(text: str) -> int:
    """The cells that `text` takes."""
    return len(text) if text.isascii() else cell_len(text)
