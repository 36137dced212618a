"""Switches of a form, drawn in columns: arrows move, space turns one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from torchdoctor.paint import Line, Span, fit
from torchdoctor.widgets.bars import Rows


@dataclass(frozen=True, slots=True)
class Toggle:
    """One switch: its name, what stands beside it, and what it does."""

    name: str
    text: str
    does: str
    on: bool = False


class Toggles(Rows, can_focus=True):
    """Switches in `columns` columns; `values` says which are on."""

    DEFAULT_CSS = """
    Toggles { background: $background; }
    Toggles > .row--cursor { background: $primary 25%; text-style: bold; }
    Toggles:ansi > .row--cursor, Toggles:nocolor > .row--cursor { text-style: reverse; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--cursor"}
    BINDING_GROUP_TITLE = "Switches"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "turn", "Turn", key_display="space", id="toggles.turn", tooltip="Turn the switch"),
        Binding("left", "move(-1)", "Left", show=False, id="toggles.left", tooltip="The switch before"),
        Binding("right", "move(1)", "Right", show=False, id="toggles.right", tooltip="The next switch"),
        Binding("up", "row(-1)", "Up", show=False, id="toggles.up", tooltip="One row up"),
        Binding("down", "row(1)", "Down", show=False, id="toggles.down", tooltip="One row down"),
    ]

    class Changed(Message):
        """A switch was turned, or the cursor moved."""

    def __init__(self, toggles: Sequence[Toggle], columns: int, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.toggles = tuple(toggles)
        self.columns = columns
        self.values = {toggle.name: toggle.on for toggle in toggles}
        self.at = 0
        self.styles.height = -(-len(self.toggles) // columns)

    @property
    def here(self) -> Toggle:
        """The switch under the cursor."""
        return self.toggles[self.at]

    def on_mount(self) -> None:
        """Draw them."""
        self._draw()

    def on_resize(self) -> None:
        """As wide as there is room."""
        self._draw()

    def on_focus(self) -> None:
        """The cursor is seen."""
        self._draw()

    def on_blur(self) -> None:
        """The cursor is not."""
        self._draw()

    def _draw(self) -> None:
        wide = max(16, (self.size.width - 2) // self.columns)
        cells = [self._cell(place, wide) for place in range(len(self.toggles))]
        rows = [cells[at : at + self.columns] for at in range(0, len(cells), self.columns)]
        self.show(*(self._row(row) for row in rows))

    def _row(self, cells: list[list[Span]]) -> Line:
        return (("  ", ""), *(span for cell in cells for span in cell))

    def _cell(self, place: int, wide: int) -> list[Span]:
        toggle = self.toggles[place]
        on = self.values[toggle.name]
        mark: Span = ("[✔] ", "ok") if on else ("[ ] ", "dim")
        here = self.has_focus and place == self.at
        text = fit(toggle.text, wide - 6)
        return [mark, (text, "here" if here else ""), ("  ", "")]

    def turn(self, name: str, on: bool) -> None:
        """Turn one."""
        if self.values[name] != on:
            self.values[name] = on
            self._draw()
            self.post_message(self.Changed())

    def action_turn(self) -> None:
        """Turn the one under the cursor."""
        self.turn(self.here.name, not self.values[self.here.name])

    def action_move(self, by: int) -> None:
        """Another switch."""
        self.at = max(0, min(len(self.toggles) - 1, self.at + by))
        self._draw()
        self.post_message(self.Changed())

    def action_row(self, by: int) -> None:
        """The switch above or below; past the first and the last row, another field."""
        at = self.at + by * self.columns
        if 0 <= at < len(self.toggles):
            self.action_move(by * self.columns)
        elif by > 0:
            self.screen.focus_next()
        else:
            self.screen.focus_previous()

    def on_click(self, event: Click) -> None:
        """A click turns."""
        wide = max(16, (self.size.width - 2) // self.columns)
        at = event.y * self.columns + max(0, event.x - 2) // wide
        if 0 <= at < len(self.toggles):
            self.at = at
            self.action_turn()
