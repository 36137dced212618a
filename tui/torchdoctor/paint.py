"""Lines as data: what a pane says, as spans of (text, role), so that views are plain functions, tested as text.

A role is a word that the stylesheet gives a colour ("ok", "warn", "fail", "info", "run", "dim", "title", "key");
text from outside can only ever be the text of a span.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from rich.cells import cell_len, set_cell_size

from .signs import EMPTY, FULL, STEPS

Span = tuple[str, str]
Line = tuple[Span, ...]
Align = Literal["left", "right"]

ROLES: Final = ("ok", "warn", "fail", "info", "run", "dim", "title", "key", "accent")

BLANK: Line = ()


class Stop(NamedTuple):
    """A place where the cursor can stand: a line, or the cells `begin` to `end` of one that holds several."""

    key: str
    line: int
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What a view shows: its lines, what can be selected in them (by key), and the lines that `e` and `E` visit.

    `keys` names whole lines; `spots` are parts of lines, one block in the order in which the cursor goes through it.
    """

    lines: Sequence[Line]
    keys: Mapping[int, str] = field(default_factory=dict)
    marks: frozenset[int] = frozenset()
    spots: Sequence[Stop] = ()

    def stops(self) -> list[Stop]:
        """Where the cursor can stand, in its order."""
        rows = [Stop(self.keys[y], y) for y in sorted(self.keys)]
        first = min((spot.line for spot in self.spots), default=0)
        at = sum(1 for row in rows if row.line < first)
        return [*rows[:at], *self.spots, *rows[at:]]


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a page with what belongs to them, as in `Page`; line numbers count from its own first line."""

    lines: Sequence[Line]
    keys: Mapping[int, str] = field(default_factory=dict)
    marks: frozenset[int] = frozenset()
    spots: Sequence[Stop] = ()


def stack(parts: Iterable[Part]) -> Page:
    """A page of parts, one below the other."""
    lines: list[Line] = []
    keys: dict[int, str] = {}
    marks: set[int] = set()
    spots: list[Stop] = []
    for part in parts:
        at = len(lines)
        lines += part.lines
        keys.update((at + y, key) for y, key in part.keys.items())
        marks.update(at + y for y in part.marks)
        spots += [spot._replace(line=at + spot.line) for spot in part.spots]
    return Page(lines, keys, frozenset(marks), spots)


def line(*parts: Span | str) -> Line:
    """A line of spans; a bare text has no role."""
    return tuple(part if isinstance(part, tuple) else (part, "") for part in parts)


def text_of(row: Line) -> str:
    """The text of a line without its roles."""
    return "".join(text for text, _ in row)


def fit(text: str, width: int, align: Align = "left") -> str:
    """Exactly `width` cells: padded, or cut with an ellipsis."""
    cells = len(text) if text.isascii() else cell_len(text)
    if cells > width:
        return set_cell_size(text, max(0, width - 1)) + "…"[: max(0, width)]
    return " " * (width - cells) + text if align == "right" else text + " " * (width - cells)


def crop(row: Line, width: int) -> Line:
    """A line of at most `width` cells, its last one an ellipsis where something was cut."""
    if cell_len(text_of(row).rstrip()) <= width:
        return row
    spans, left = [], width
    for text, role in row:
        cells = cell_len(text)
        if cells >= left:
            spans.append((fit(text + " " if cells == left else text, left), role))
            break
        spans.append((text, role))
        left -= cells
    return tuple(spans)


def laid(row: Line, width: int) -> Line:
    """A line of exactly `width` cells in as few spans as it can have: drawing costs by the span.

    Blanks have no colour, so they join what stands before them.
    """
    spans: list[Span] = []
    for text, role in crop(row, width):
        if spans and (role == spans[-1][1] or text.isspace()):
            before, kept = spans[-1]
            spans[-1] = (before + text, kept)
        elif text:
            spans.append((text, role))
    cells = sum(cell_len(text) for text, _ in spans)
    if cells > width:  # only blanks are beyond the edge
        spans[-1] = (spans[-1][0][: width - cells], spans[-1][1])
    elif cells < width:
        spans.append((" " * (width - cells), ""))
    return tuple(spans)


def wrap(text: str, width: int) -> list[str]:
    """Break between words; a word longer than the width (a path, a command) is broken where it must be."""
    rows: list[str] = []
    row = ""
    for word in text.split():
        if row and cell_len(row) + 1 + cell_len(word) <= width:
            row += " " + word
            continue
        if row:
            rows.append(row)
        while cell_len(word) > width > 0:
            head = set_cell_size(word, width)
            rows.append(head)
            word = word[len(head.rstrip()) :]
        row = word
    return [*rows, row] if row or not rows else rows


def labelled(label: str, text: str, width: int, *, at: int, indent: int = 2, role: str = "") -> list[Line]:
    """A dim label and its text, wrapped in a column of its own that begins at cell `at`."""
    rows = wrap(text, max(10, width - at))
    head = line((fit(" " * indent + label, at), "dim"), (rows[0], role))
    return [head, *(line((" " * at, ""), (row, role)) for row in rows[1:])]


def heading(text: str, note: str = "") -> Line:
    """A section's title."""
    return line(("  " + text, "title"), (f"  {note}" if note else "", "dim"))


def bar(fraction: float | None, width: int, role: str = "accent") -> list[Span]:
    """A bar of fixed scale, 0 to 1; without a number there is no bar, because an empty one would say 0."""
    if fraction is None:
        return [(" " * width, "")]
    full = round(min(1.0, max(0.0, fraction)) * width)
    if fraction > 0 and full == 0:
        full = 1
    return [(FULL * full, role), (EMPTY * (width - full), "dim")]


def plot(values: Sequence[float | None], width: int, height: int, top: float = 100.0) -> list[str]:
    """`height` rows of a column plot of fixed scale 0 to `top`, newest at the right; a gap stays a gap."""
    shown = list(values)[-width:]
    columns = [_column(value, height, top) for value in [None] * (width - len(shown)) + shown]
    return ["".join(column[row] for column in columns) for row in range(height)]


def _column(value: float | None, height: int, top: float) -> list[str]:
    """Top cell first. A reading of 0 still draws the lowest step: it was read, a gap was not."""
    if value is None:
        return [" "] * height
    eighths = max(1, round(min(1.0, max(0.0, value / top)) * height * 8))
    cells = []
    for row in range(height - 1, -1, -1):
        rest = eighths - row * 8
        cells.append(" " if rest <= 0 else STEPS[min(8, rest) - 1])
    return cells


def join(parts: Iterable[str], between: str = " · ") -> str:
    """The parts that are not empty, with a dot between them."""
    return between.join(part for part in parts if part)
