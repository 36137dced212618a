"""The lines around the panes: who and how at the top, the panes, and the keys that work now at the bottom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import ActiveBinding
from textual.events import Click
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from torchdoctor import terminal
from torchdoctor.paint import Line, Span, crop
from torchdoctor.signs import drawn
from torchdoctor.text import ascii_only

ROLES = ("ok", "warn", "fail", "info", "run", "dim", "title", "key", "here")


class Rows(Widget, can_focus=False):
    """A few fixed rows of spans."""

    DEFAULT_CSS = """
    Rows { height: 1; background: $surface; color: $foreground; }
    Rows > .row--ok { color: $text-success; }
    Rows > .row--warn { color: $text-warning; }
    Rows > .row--fail { color: $text-error; text-style: bold; }
    Rows > .row--info { color: $text-primary; }
    Rows > .row--run { color: $text-secondary; }
    Rows > .row--dim { color: $text-muted; }
    Rows > .row--title { text-style: bold; }
    Rows > .row--key { color: $text-accent; text-style: bold; }
    Rows > .row--here { color: $text-accent; text-style: bold underline; }
    Rows:ansi > .row--dim, Rows:nocolor > .row--dim { text-style: dim; color: $foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row--{role}" for role in ROLES}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.rows: tuple[Line, ...] = ()

    def show(self, *rows: Line) -> None:
        """Show other rows; drawn again only if they differ."""
        if rows != self.rows:
            self.rows = rows
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row."""
        width, plain = self.size.width, ascii_only(self.app)
        row = crop(self.rows[y], width) if y < len(self.rows) else ()
        segments = [Segment(drawn(text, plain), self._role(role)) for text, role in row if text]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _role(self, role: str) -> Style:
        return self.get_component_rich_style(f"row--{role}") if role in ROLES else self.rich_style


class Tabs(Rows):
    """The panes by their digits; the one that is open stands out."""

    def __init__(self, names: Iterable[tuple[str, str]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.names = tuple(names)
        self._marked: object = None

    def mark(self, here: str, notes: Sequence[Span] = ()) -> None:
        """Say which one is open, and at the right as many of `notes` as fit, first ones first."""
        asked = (here, tuple(notes), self.app.size.width)
        if asked == self._marked:
            return
        self._marked = asked
        spans: list[Span] = [(" ", "")]
        for digit, (name, title) in enumerate(self.names, 1):
            spans += [(f" {digit} ", "dim"), (title, "here" if name == here else ""), ("  ", "")]
        used = sum(cell_len(text) for text, _ in spans)
        room, shown = self.app.size.width - used - 1, []
        for text, role in notes:
            room -= cell_len(text) + 2
            if room < 0:
                room += cell_len(text) + 2
                break
            shown += [("  ", ""), (text, role)]
        spans += [(" " * max(0, room), ""), *shown] if shown else []
        self.show(tuple(spans))

    async def on_click(self, event: Click) -> None:
        """A pane's title opens it."""
        at = 1
        for name, title in self.names:
            at += 3 + cell_len(title) + 2
            if event.x < at:
                await self.run_action(f"app.pane('{name}')")
                return


class Small(Rows):
    """What a terminal that is too small shows instead of everything."""

    def on_resize(self) -> None:
        """Say its size, and which one is needed."""
        self.show(((terminal.too_small(*self.app.size), "warn"),))


class Keys(Rows):
    """The keys that work now, read from the bindings; the last two never give way."""

    GENERAL: ClassVar[tuple[str, ...]] = ("pane", "app")
    """What the ids of keys begin with that are the same in several panes; they come after a pane's own."""

    LAST: ClassVar[tuple[str, ...]] = ("app.help", "app.quit")

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self.update()

    def on_resize(self) -> None:
        """As many as fit."""
        self.update()

    def update(self) -> None:
        """Read the bindings anew."""
        active = [b for b in self.screen.active_bindings.values() if b.enabled and b.binding.show]
        shown: dict[str, list[Span]] = {}
        for binding in active:
            shown.setdefault(binding.binding.id or binding.binding.key, self._key(binding))
        order = sorted(shown.items(), key=lambda item: item[0].partition(".")[0] in self.GENERAL)
        first = [spans for name, spans in order if name not in self.LAST]
        last = [spans for name, spans in order if name in self.LAST]
        room = self.app.size.width - sum(map(_cells, last)) - 1
        keys: list[Span] = [(" ", "")]
        for spans in first:
            room -= _cells(spans)
            if room < 0:
                break
            keys += spans
        self.show((*keys, *(span for spans in last for span in spans)))

    def _key(self, active: ActiveBinding) -> list[Span]:
        shown = self.app.get_key_display(active.binding)
        return [(f" {shown}", "key"), (f" {active.binding.description.lower()} ", "")]


def _cells(spans: Iterable[Span]) -> int:
    return sum(cell_len(text) for text, _ in spans)
