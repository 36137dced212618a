"""One line of a log as a strip: its gutter (number, sign) and its text, in the styles that it is given."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from torchdoctor.text import safe, safe_line, size_text
from torchdoctor.widgets.highlight import LEVEL, shortened, spans
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

_LEVELS = {"W": "warning", "E": "error", "C": "error"}

Layer = tuple[int, int, Style]
"""A style on the characters [start, end)."""

StyleOf = Callable[[str], Style]
"""The style of a part: "dim", "error", "warning", "mark", "hit", "name", "keyword", "string", "comment", "number"."""


def part_style(widget: Widget, name: str, *, ground: bool = False) -> Style:
    """The style of a component class; its background only where that is the point (`ground`).

    A partial style would be without background of itself, and without the colours that are reckoned against one.
    """
    style = widget.get_component_rich_style(name)
    return style if ground else style.without_color + Style(color=style.color)


def sign(mark: Mark, ascii_only: bool) -> str:
    """The sign of a mark, one cell."""
    return SIGNS[mark][ascii_only]


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints lines of one language."""

    style_of: StyleOf
    language: str
    ascii_only: bool
    short: bool = False
    """Whether torch's prefix is cut down to rank, level and time of day."""

    def gutter(self, line: int, digits: int, mark: Mark | None) -> list[Segment]:
        """The line number, counted from 1, and the sign of the mark."""
        number = Segment(f"{line + 1:>{digits}} ", self.style_of("dim"))
        if mark is None:
            return [number, Segment("  ")]
        return [number, Segment(f"{sign(mark, self.ascii_only)} ", self.style_of(TONES[mark]))]

    def text(self, line: Line, hit: bytes) -> Strip:
        """The text of a line; `hit` are the bytes of it that a search found, b"" if none."""
        shown = safe_line(line.raw, ascii_only=self.ascii_only)
        if self.short and self.language == "log":
            shown = shortened(shown)
        layers = [(start, end, self.style_of(part)) for start, end, part in spans(self.language, shown)]
        level = LEVEL.match(shown) if self.language == "log" else None
        if level is not None and level[1] in _LEVELS:
            layers.append((level.start(1), level.end(1), self.style_of(_LEVELS[level[1]])))
        if hit:
            layers.extend(self._hits(shown, safe_line(hit, ascii_only=self.ascii_only)))
        segments = layered(shown, layers)
        if line.length > SHOWN:
            more = "..." if self.ascii_only else "…"
            segments.append(Segment(f" {more} +{size_text(line.length - len(line.raw))}", self.style_of("dim")))
        return Strip(segments)

    def _hits(self, shown: str, hit: str) -> Iterator[Layer]:
        style = self.style_of("hit")
        at = shown.find(hit)
        while hit and at >= 0:
            yield at, at + len(hit), style
            at = shown.find(hit, at + len(hit))

    def plain(self, words: str) -> Strip:
        """Words of ours in place of a line."""
        return Strip([Segment(safe(words, ascii_only=self.ascii_only), self.style_of("dim"))])


def layered(text: str, layers: list[Layer]) -> list[Segment]:
    """The text in segments, each in the style of the last layer that covers it; linear in the text."""
    covered = [-1] * len(text)
    for number, (start, end, _) in enumerate(layers):
        covered[start:end] = [number] * (end - start)
    segments, at = [], 0
    for number, run in itertools.groupby(covered):
        end = at + sum(1 for _ in run)
        segments.append(Segment(text[at:end], layers[number][2] if number >= 0 else None))
        at = end
    return segments
