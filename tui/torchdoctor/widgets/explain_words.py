"""The words, signs and columns of the explanation: places, counts and times, the same in every view of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from rich.cells import cell_len

from torchdoctor.paint import BLANK, Line, Page, Span, fit, labelled, line
from torchdoctor.signs import CLOSED, OPEN
from torchdoctor.text import safe

if TYPE_CHECKING:
    from torchprobes.compilelog import events
    from torchprobes.compilelog.explanation import Explanation, Piece

T = TypeVar("T")

UNKNOWN: Final = "the files do not tell"
"""What stands for None: a reader must never take it for "none"."""

ERROR, LIMIT, BREAK, RECOMPILE, SKIP, FALLBACK, NOTE = "✘", "■", "◆", "↻", "▲", "▲", "•"

MOST: Final = 10
"""Lines of one section; the rest opens."""

ALL: Final = 500
"""Lines of one section that was opened."""

COMPILE_STATES: Final[dict[str, Span]] = {
    "compiling": ("●", "run"),
    "compiled": ("✔", "ok"),
    "cached": ("✔", "info"),
    "failed": ("✘", "fail"),
    "eager": ("–", "warn"),
    "killed": ("✘", "fail"),
}
"""State of a compile -> (sign, role)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a line of the overview leads: `enter` to the first of piece and place, `o` to the user's line."""

    place: events.Place | None = None
    source: events.Line | None = None
    piece: Piece | None = None
    compile: tuple[str, str] | None = None
    """(process, compile id) of a compile that has a page of its own."""
    pages: tuple[Piece, ...] = ()
    """Other things to read that belong to it."""


Told = Callable[[int], list[Line]]
"""What a line has to say in full, for so many cells."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A finished page, and what is behind its lines."""

    page: Page
    targets: dict[str, Target]
    told: dict[str, Told]
    folds: frozenset[str]
    """Keys that open and close."""

    def tell(self, key: str | None, width: int) -> list[Line]:
        """The line of this key in full."""
        told = self.told.get(key or "")
        return told(width) if told is not None else []


@dataclass(slots=True)
class Draft:
    """A page in the making, `width` cells wide; `opened` are the folds that stand open."""

    explanation: Explanation
    width: int
    opened: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    keys: dict[int, str] = field(default_factory=dict)
    marks: set[int] = field(default_factory=set)
    targets: dict[str, Target] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    folds: set[str] = field(default_factory=set)

    def say(self, *rows: Line) -> None:
        """Lines that lead nowhere."""
        self.lines.extend(rows)

    def section(self, title: str, note: str = "", role: str = "dim") -> None:
        """A title with a blank line before it."""
        if self.lines and self.lines[-1] != BLANK:
            self.say(BLANK)
        self.say(line(("  " + title, "title"), (f"  {note}" if note else "", role)))

    def item(self, key: str, row: Line, target: Target, told: Told | None = None, *, bad: bool = False) -> None:
        """A line that leads somewhere; `bad` ones are visited by `e`. A key that is taken gets a number."""
        while key in self.targets:
            key += "'"
        at = len(self.lines)
        self.keys[at] = key
        self.targets[key] = target
        if told is not None:
            self.told[key] = told
        if bad:
            self.marks.add(at)
        self.say(row)

    def fold(self, key: str, words: Sequence[Span], target: Target | None = None, told: Told | None = None) -> bool:
        """A line that opens; whether it stands open."""
        is_open = key in self.opened
        self.folds.add(key)
        self.item(key, line((f"  {OPEN if is_open else CLOSED} ", "dim"), *words), target or Target(), told)
        return is_open

    def some(self, name: str, found: Sequence[T], make: Callable[[T], None], most: int = MOST) -> None:
        """A line each for the first of these, and one that opens for the others."""
        key = f"more:{name}"
        for one in found[: ALL if key in self.opened else most]:
            make(one)
        if len(found) > most:
            self.fold(key, [(f"{len(found) - most:,} more", "dim")])

    def done(self) -> Sheet:
        """The page."""
        page = Page(self.lines, self.keys, frozenset(self.marks))
        return Sheet(page, self.targets, self.told, frozenset(self.folds))

    def at(self, file: str, number: int) -> str:
        """A place in the user's code, short: `train.py:9`."""
        name = self.names.get(file) or file.rpartition("/")[2]
        return safe(f"{name}:{number}" if number else name, limit=300)


def short_names(files: Iterable[str]) -> dict[str, str]:
    """File -> the shortest end of its path that no other of these files shares."""
    left = {file: file.split("/") for file in sorted({file for file in files if file})}
    names: dict[str, str] = {}
    count = 1
    while left:
        ends = {file: "/".join(parts[-count:]) for file, parts in left.items()}
        shared = Counter(ends.values())
        for file, parts in list(left.items()):
            if shared[ends[file]] == 1 or count >= len(parts):
                names[file] = ends[file]
                del left[file]
        count += 1
    return names


def row(sign: Span, where: str, at: int, text: str, width: int, tail: str = "", also: str = "") -> Line:
    """A line of the overview: sign, place (in a column of `at` cells), words, more words (dim), and a count."""
    room = max(4, width - 6 - at - (len(tail) + 3 if tail else 0))
    left = room - cell_len(text) - 3
    more = fit(also, left).rstrip() if also and left > 8 else ""
    words = fit(text, room - (cell_len(more) + 3 if more else 0)) if tail or more else text
    spans = [(words.rstrip() if more else words, ""), (f"   {more}", "dim")] if more else [(words, "")]
    if tail:
        gap = room - sum(cell_len(part) for part, _ in spans)
        spans.append((" " * (max(0, gap) + 2) + tail, "dim"))
    return line(("  " + sign[0] + " ", sign[1]), (fit(fit_place(where, at), at), "title"), "  ", *spans)


def column(places: Iterable[str], width: int) -> int:
    """How wide the column of places is."""
    return min(max(14, min(44, width * 3 // 10)), max((len(place) for place in places), default=8))


def fit_place(place: str, cells: int) -> str:
    """A place in so many cells: of one that is too long the name is cut, never the line number."""
    name, colon, number = place.rpartition(":")
    if len(place) <= cells or not number.isdigit() or cells <= len(number) + 2:
        return fit(place, cells)
    return fit(name, cells - len(number) - 1).rstrip() + colon + number


def told_rows(width: int, *parts: tuple[str, str]) -> list[Line]:
    """Labelled texts, one below the other; what is empty is left out."""
    rows: list[Line] = []
    for label, text in parts:
        if text:
            rows += labelled(label, safe(" ".join(text.split())), width, at=15)
    return rows


def seconds_text(seconds: float | None) -> str:
    """A length of time in at most nine cells: `3 ms`, `0.42 s`, `12.3 s`, `3 m 20 s`, `2 h 5 m`; "?" for None."""
    if seconds is None:
        return "?"
    if seconds < 0.0995:
        return f"{max(0.0, seconds) * 1e3:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, under, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // under} {small}"
    return f"{whole // 60} m {whole % 60} s"


def many(count: int, one: str, several: str = "") -> str:
    """`1 graph`, `3 graphs`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def times(count: int) -> str:
    """`×6`, nothing for one."""
    return f"×{count:,}" if count > 1 else ""


def listed(words: Iterable[str], most: int = 12) -> str:
    """`a, b, c and 4 more`."""
    all_words = list(words)
    more = f" and {len(all_words) - most:,} more" if len(all_words) > most else ""
    return ", ".join(all_words[:most]) + more
