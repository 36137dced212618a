"""One line of a log as it is painted: its gutter (file, number, signs) and its text, in the looks that it is given."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.widget import Widget

from torchdoctor.text import safe, safe_line, size_text
from torchdoctor.widgets.highlight import WHOS, shortened, spans
from torchdoctor.widgets.log_wrap import cells_of
from torchprobes.compilelog.lines import SHOWN, Line
from torchprobes.compilelog.marks import Mark

SIGNS: dict[Mark, tuple[str, str]] = {
    Mark.ERROR: ("✘", "x"),
    Mark.WARNING: ("▲", "!"),
    Mark.BREAK: ("◆", "*"),
    Mark.RECOMPILE: ("↻", "~"),
    Mark.LIMIT: ("■", "#"),
}
"""(sign, its ASCII form) of every mark."""

TONES: dict[Mark, str] = {
    Mark.ERROR: "error",
    Mark.WARNING: "warning",
    Mark.BREAK: "mark",
    Mark.RECOMPILE: "mark",
    Mark.LIMIT: "error",
}

BOOKMARK = ("▸", ">")
"""The sign of a bookmark, and its ASCII form."""

Run = tuple[int, int, str]
"""What the characters [start, end) are: the name of a look, "" for none."""

LookOf = Callable[[str], Style]
"""The style of a look by its name, on the ground of the row that is painted."""


def part_style(widget: Widget, name: str, *, ground: bool = False) -> Style:
    """The style of a component class; its background only where that is the point (`ground`).

    A partial style would be without background of itself, and without the colours that are reckoned against one.
    """
    style = widget.get_component_rich_style(name)
    return style if ground else style.without_color + Style(color=style.color)


def sign(mark: Mark, ascii_only: bool) -> str:
    """The sign of a mark, one cell."""
    return SIGNS[mark][ascii_only]


def who_source(source: int) -> str:
    """The look of a file of a merged view."""
    return f"who{source % WHOS}"


class Gutter(NamedTuple):
    """What stands to the left of a row's text."""

    number: int
    """Of the line, counted from 0; negative if nobody knows it yet."""
    mark: Mark | None = None
    bookmarked: bool = False
    source: tuple[int, str] | None = None
    """(which file, its name in the cells that names take) in a merged view."""


class Painted(NamedTuple):
    """The text of a line with what its parts are."""

    text: str
    runs: tuple[Run, ...]
    """All of the text, in order."""
    cells: int
    """That the whole text takes, also what is not painted of it."""

    def segments(self, start: int, end: int, look_of: LookOf) -> list[Segment]:
        """The characters [start, end) in their styles."""
        found = []
        for begin, stop, part in self.runs:
            if begin >= end:
                break
            if stop > start:
                found.append(Segment(self.text[max(begin, start) : min(stop, end)], look_of(part)))
        return found


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints lines of one language."""

    language: str
    ascii_only: bool
    short: bool = False
    """Whether torch's prefix is cut down to rank, level and time of day."""

    def gutter(self, row: Gutter, digits: int, look_of: LookOf) -> list[Segment]:
        """File, line number counted from 1, bookmark and mark: `digits` + 3 cells, and what the file's name takes."""
        number = str(row.number + 1) if row.number >= 0 else ""
        parts = [Segment(f"{number:>{digits}}", look_of("dim"))]
        if row.source is not None:
            parts.insert(0, Segment(f"{row.source[1]} ", look_of(who_source(row.source[0]))))
        if row.bookmarked:
            parts.append(Segment(BOOKMARK[self.ascii_only], look_of("book")))
        blank = Segment(" " if row.bookmarked else "  ", look_of(""))
        if row.mark is None:
            return [*parts, Segment(f"{blank.text} ", blank.style)]
        signed = Segment(f"{sign(row.mark, self.ascii_only)} ", look_of(TONES[row.mark]))
        return [*parts, signed] if row.bookmarked else [*parts, Segment(" ", blank.style), signed]

    def text(self, line: Line, hit: bytes, limit: int = SHOWN) -> Painted:
        """The text of a line; `hit` are the bytes of it that a search found, b"" if none.

        What is beyond `limit` characters is not painted: nobody sees it.
        """
        text = safe_line(line.raw, ascii_only=self.ascii_only)
        text = shortened(text) if self.short and self.language == "log" else text
        layers = list(spans(self.language, text[:limit]))
        if hit:
            layers.extend(_hits(text[:limit], safe_line(hit, ascii_only=self.ascii_only)))
        if line.length > SHOWN:
            layers.append((len(text), limit, "dim"))
            text += f" {'...' if self.ascii_only else '…'} +{size_text(line.length - len(line.raw))}"
            limit += len(text) if limit >= SHOWN else 0
        cells, text = cells_of(text), text[:limit]
        return Painted(text, tuple(layered(len(text), layers)), cells)

    def plain(self, words: str) -> Painted:
        """Words of ours in place of a line."""
        text = safe(words, ascii_only=self.ascii_only)
        return Painted(text, ((0, len(text), "dim"),), cells_of(text))


def _hits(text: str, hit: str) -> Iterator[Run]:
    at = text.find(hit)
    while hit and at >= 0:
        yield at, at + len(hit), "hit"
        at = text.find(hit, at + len(hit))


def layered(length: int, layers: Sequence[Run]) -> Iterator[Run]:
    """The characters [0, length) in runs, each of the last layer that covers it; linear in the text."""
    covered = [-1] * length
    for number, (start, end, _) in enumerate(layers):
        covered[start:end] = [number] * (min(end, length) - min(start, length))
    at = 0
    for number, run in itertools.groupby(covered):
        end = at + len(tuple(run))
        yield at, end, layers[number][2] if number >= 0 else ""
        at = end


def padded(segments: list[Segment], width: int, blank: Style) -> list[Segment]:
    """The segments with blanks to `width` cells."""
    left = width - sum(cells_of(segment.text) for segment in segments)
    return [*segments, Segment(" " * left, blank)] if left > 0 else segments
