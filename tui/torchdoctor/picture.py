"""A picture of the screen as SVG: without fonts from a network, its text masked before it is drawn."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from rich.cells import set_cell_size
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

if TYPE_CHECKING:
    from textual.app import App

_FONT: Final = re.compile(r"@font-face\s*\{[^}]*\}\s*")
_COMMENT: Final = re.compile(r"<!-- [^>]* -->")
_FAMILY: Final = re.compile(r"font-family: Fira Code, monospace")
_OWN: Final = "font-family: 'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"

Row = tuple[tuple[str, Style | None], ...]


def rows_of(app: App[Any]) -> list[Row]:
    """What is on the screen, a row of (text, style) a line."""
    strips = app.screen._compositor.render_strips()
    return [tuple((segment.text, segment.style) for segment in strip) for strip in strips]


def texts_of(rows: Sequence[Row]) -> list[str]:
    """The text of each line."""
    return ["".join(text for text, _ in row) for row in rows]


def drawer(rows: Sequence[Row], title: str, width: int) -> Callable[[Sequence[str]], str]:
    """What draws these rows with other texts, a text a row. It may be called in any thread: no screen is asked."""
    return lambda texts: svg([_with_text(row, text) for row, text in zip(rows, texts, strict=True)], title, width)


def svg(rows: Sequence[Row], title: str, width: int) -> str:
    """Rows as a picture that needs nothing from anywhere."""
    console = Console(
        width=width, height=len(rows), file=io.StringIO(), force_terminal=True, color_system="truecolor", record=True,
        legacy_windows=False, safe_box=False, emoji=False, markup=False, highlight=False,
    )  # fmt: skip
    segments: list[Segment] = []
    for row in rows:
        segments += [Segment(text, style) for text, style in row]
        segments.append(Segment.line())
    console.print(Segments(segments), end="", soft_wrap=True)
    return _FAMILY.sub(_OWN, _FONT.sub("", _COMMENT.sub("", console.export_svg(title=title), count=1)))


def _with_text(row: Row, text: str) -> Row:
    """The row with another text of as many cells: each character keeps the style of what it stands for."""
    old = "".join(part for part, _ in row)
    if text == old:
        return row
    width = sum(Segment(part).cell_length for part, _ in row)
    styles = [style for part, style in row for _ in part]
    made = [piece for piece in _pieces(text, old, styles) if piece[0]]
    fitted = set_cell_size(text, width)
    kept = [(char, style) for char, (_, style) in zip(fitted, made, strict=False)]
    kept += [(char, None) for char in fitted[len(kept) :]]  # what it is shorter by
    runs = groupby(kept, key=itemgetter(1))
    return tuple(("".join(char for char, _ in run), style) for style, run in runs)


def _pieces(new: str, old: str, styles: Sequence[Style | None]) -> Iterator[tuple[str, Style | None]]:
    """Each character of the new text with the style of the one that it is, or that it stands in for."""
    for what, first, _, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for at, char in enumerate(new[begin:end]):
            place = first + at if what == "equal" else first
            yield char, styles[min(place, len(styles) - 1)] if styles else None
