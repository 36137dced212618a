"""Two texts beside each other, scrolled together: what differs between them, or which parts belong together.

With room they stand side by side. On a narrow screen a difference is two rows, one below the other, and parts that
belong together stand in two windows, one above the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.events import Resize
from textual.strip import Strip

from torchdoctor.text import ascii_only

from .code_paint import EMPTY, CodeText, Run, runs
from .code_scroll import CodeScroll, widest_of
from .side_rows import Links, Pair, changed_words

HALVES: Final = 100
"""From this width on the texts stand side by side."""

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Two texts and what was found of them: `pairs` where they are compared, `links` where parts belong together."""

    left: CodeText = EMPTY
    right: CodeText = EMPTY
    pairs: Sequence[Pair] = ()
    links: Links | None = None
    title: str = ""
    cause: str = ""
    """Why there is nothing to show."""

    @property
    def differs(self) -> int:
        """Rows in which the texts differ."""
        return sum(1 for pair in self.pairs if pair.change != "same")


NOTHING: Final = Compared(cause="reading ...")

_SIGNS: Final = {"same": " ", "changed": "~", "left": "-", "right": "+"}
_TONES: Final = {"same": "dim", "changed": "mark", "left": "gone", "right": "come"}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of differences: of both sides, or of one."""

    pair: Pair
    side: Side | None = None


def rows_of(pairs: Sequence[Pair], wide: bool) -> list[_Row]:
    """The rows on a screen: where halves have no room, what changed is told by a line that goes and one that comes."""
    if wide:
        return [_Row(pair) for pair in pairs]
    rows: list[_Row] = []
    for pair in pairs:
        sides: dict[str, tuple[Side | None, ...]] = {"same": (None,), "changed": ("left", "right")}
        rows += [_Row(pair, side) for side in sides.get(pair.change, (None,))]
    return rows


class SideBySide(CodeScroll):
    """Shows one comparison."""

    BINDING_GROUP_TITLE = "Side by side"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "difference(1)", "Next part", id="side.next", tooltip="The next difference, or the next part"),
        Binding("E", "difference(-1)", "Previous part", show=False, id="side.previous", tooltip="The one before"),
        Binding("s", "swap", "Other side", id="side.swap", tooltip="Walk through the other text"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.compared = NOTHING
        self.side: Side = "left"
        """Of parts that belong together: in which text the cursor stands."""
        self._rows: list[_Row] = []
        self._words: LRUCache[Pair, tuple[Sequence[tuple[int, int]], ...]] = LRUCache(1024)
        self._widest = 0

    # --- what is shown ---------------------------------------------------------------------------------------------

    @property
    def wide(self) -> bool:
        """Whether there is room for halves."""
        return self.size.width >= HALVES

    def show(self, compared: Compared) -> None:
        """Show a comparison from its first difference on."""
        self.compared, self.side = compared, "left"
        self._words.clear()
        self._widest = widest_of([*compared.left.lines, *compared.right.lines]) + 8
        self._rows = rows_of(compared.pairs, self.wide)
        first = next((at for at, row in enumerate(self._rows) if row.pair.change != "same"), 0)
        if compared.links is not None:
            first = min(compared.links.right_of, default=0)
        self.settle(first)
        self.refresh_bindings()

    def on_resize(self, _: Resize) -> None:
        """Halves where there is room for them; the cursor stays on its line."""
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        rows = rows_of(self.compared.pairs, self.wide)
        pair = self._rows[self.cursor].pair if self.cursor < len(self._rows) else None
        self._rows = rows
        self.settle(next((at for at, row in enumerate(rows) if row.pair is pair), self.cursor))

    @property
    def count(self) -> int:
        """Rows."""
        return len(self._rows) if self.compared.links is None else len(self._text(self.side).lines)

    @property
    def window(self) -> int:
        """Rows on screen; of two windows those of the upper one."""
        stacked = self.compared.links is not None and not self.wide
        return max(1, (self.size.height - 1) // 2 if stacked else self.size.height)

    def widest(self) -> int:
        """The widest line, which has to fit into what a text has."""
        return self._widest + (self.size.width // 2 if self.wide else 0)

    def text_at(self, row: int) -> str:
        """The line; of two the newer one."""
        if self.compared.links is not None:
            return self._text(self.side).lines[row]
        pair, side = self._rows[row].pair, self._rows[row].side
        if pair.right is None or side == "left":
            return self.compared.left.lines[pair.left or 0]
        return self.compared.right.lines[pair.right]

    def as_text(self) -> str:
        """The comparison as a text: a difference as `diff` writes it, parts as the lines of both, linked first."""
        if self.compared.links is not None:
            return "\n".join([*self.compared.left.lines, "", *self.compared.right.lines])
        signs = {"left": "-", "right": "+", None: " "}
        rows = rows_of(self.compared.pairs, False)
        lines = self.compared.left.lines, self.compared.right.lines
        made = []
        for row in rows:
            side = row.side or {"left": "left", "right": "right"}.get(row.pair.change)
            place = row.pair.right if side == "right" else row.pair.left
            made.append(signs[side] + lines[side == "right"][place or 0])
        return "\n".join(made)

    def _text(self, side: Side) -> CodeText:
        return self.compared.left if side == "left" else self.compared.right

    # --- going about ----------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        if action == "swap":
            return self.compared.links is not None and bool(self.compared.links.right_of)
        if action == "difference":
            return bool(self._parts())
        return super().check_action(action, parameters)

    def _parts(self) -> list[int]:
        """Rows where a difference begins, or lines that belong to something."""
        if self.compared.links is not None:
            return sorted(self._links_of(self.side))
        differs = [row.pair.change != "same" for row in self._rows]
        return [at for at, one in enumerate(differs) if one and (at == 0 or not differs[at - 1])]

    def action_difference(self, by: int) -> None:
        """The next one; around the end."""
        parts = self._parts()
        if parts:
            ahead = [at for at in parts if at > self.cursor] if by > 0 else [at for at in parts if at < self.cursor]
            self.move_to((ahead or parts)[0 if by > 0 else -1])

    def action_swap(self) -> None:
        """To what belongs to the cursor's line on the other side."""
        there = self._beside(self.cursor)
        self.side = "right" if self.side == "left" else "left"
        self.settle(there if there is not None else 0)

    def _links_of(self, side: Side) -> Mapping[int, tuple[int, ...]]:
        links = self.compared.links
        if links is None:
            return {}
        return links.right_of if side == "left" else links.left_of

    def _beside(self, row: int) -> int | None:
        """The first line of the other side that belongs to this one, or to the nearest one above it."""
        links = self._links_of(self.side)
        near = max((at for at in links if at <= row), default=min(links, default=None))
        return links[near][0] if near is not None else None

    # --- drawing --------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Row `y` of the window."""
        if self.compared.links is not None:
            return self._linked_line(y)
        row = self.scroll_offset.y + y
        if row >= self.count:
            words = f" {self.compared.cause}" if not self.count and y == 0 else ""
            return self.grounded(Strip([Segment(words, self.part("dim"))]), "")
        ground = "cursor" if row == self.cursor else ""
        shown = self._rows[row]
        if self.wide:
            return self._halves(self._half(shown, "left"), self._half(shown, "right"), ground)
        side = shown.side or ("left" if shown.pair.right is None else "right")
        return self.grounded(self._cells(shown.pair, side, self.size.width, shown.side or shown.pair.change), ground)

    def _half(self, row: _Row, side: Side) -> Strip:
        return self._cells(row.pair, side, self._half_width, row.pair.change)

    @property
    def _half_width(self) -> int:
        return (self.size.width - 1) // 2

    def _halves(self, left: Strip, right: Strip, ground: str) -> Strip:
        bar = Strip([Segment("|" if ascii_only(self.app) else "│", self.part("dim"))])
        return self.grounded(Strip.join([left, bar, right]), ground)

    def _cells(self, pair: Pair, side: Side, width: int, change: str) -> Strip:
        """One side of a row: number, sign, and the text with what changed in it lit."""
        at = pair.left if side == "left" else pair.right
        if at is None:
            return Strip.blank(width)
        text = self._text(side)
        found = runs(text.languages[at], text.lines[at])
        if pair.change == "changed":
            found += [(start, end, "changed") for start, end in self._changed(pair)[side == "right"]]
        elif pair.change == side:
            found = [(0, len(text.lines[at]), "gone" if side == "left" else "come")]
        return self._numbered(at, _SIGNS[change], _TONES[change], text.lines[at], found, width)

    def _numbered(self, at: int, sign: str, tone: str, text: str, found: Sequence[Run], width: int) -> Strip:
        number = Segment(f"{at + 1:>5} ", self.part("dim"))
        code = self.strip(text, found, self.scroll_offset.x, max(1, width - 8))
        return Strip([number, Segment(f"{sign} ", self.part(tone)), *code]).crop_extend(0, width, None)

    def _changed(self, pair: Pair) -> tuple[Sequence[tuple[int, int]], ...]:
        found = self._words.get(pair)
        if found is None:
            left, right = self.compared.left.lines[pair.left or 0], self.compared.right.lines[pair.right or 0]
            found = self._words[pair] = changed_words(left, right)
        return found

    # --- parts that belong together -------------------------------------------------------------------------------

    def _linked_line(self, y: int) -> Strip:
        top, window = self.scroll_offset.y, self.window
        other: Side = "right" if self.side == "left" else "left"
        beside = self._beside(self.cursor)
        if self.wide:
            begin = 0 if beside is None else max(0, beside - (self.cursor - top))
            mine = self._one(self.side, top + y, self._half_width)
            yours = self._one(other, begin + y, self._half_width)
            return self._halves(*((mine, yours) if self.side == "left" else (yours, mine)), "")
        if y < window:
            return self.grounded(self._one(self.side, top + y, self.size.width), "")
        if y == window:
            rule = ("-" if ascii_only(self.app) else "─") * self.size.width
            return self.grounded(Strip([Segment(rule, self.part("dim"))]), "")
        begin = 0 if beside is None else max(0, beside - 1)
        return self.grounded(self._one(other, begin + y - window - 1, self.size.width), "")

    def _one(self, side: Side, at: int, width: int) -> Strip:
        """A line of one text; what belongs to the cursor's line is lit on both sides."""
        text = self._text(side)
        if at >= len(text.lines):
            return Strip.blank(width)
        is_here = side == self.side and at == self.cursor
        lit = self._is_lit(side, at)
        sign, tone = ("=", "mark") if lit else ("·" if at in self._links_of(side) else " ", "dim")
        if ascii_only(self.app):
            sign = sign.replace("·", ".")
        strip = self._numbered(at, sign, tone, text.lines[at], runs(text.languages[at], text.lines[at]), width)
        ground = "cursor" if is_here else "lit" if lit else ""
        return strip.apply_style(self.rich_style + self.part(ground)) if ground else strip

    def _is_lit(self, side: Side, at: int) -> bool:
        here = self._links_of(self.side).get(self.cursor, ())
        if side != self.side:
            return at in here
        return bool(here) and bool(set(here) & set(self._links_of(side).get(at, ())))
