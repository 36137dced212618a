"""The parts that forms are made of: a field, its label, and the button."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from torchdoctor.paint import fit, line
from torchdoctor.widgets.bars import Rows


class Go(Rows, can_focus=True):
    """The button: it runs `action` of its screen."""

    DEFAULT_CSS = """
    Go { background: $background; width: 16; }
    Go:focus { background: $primary 25%; }
    Go:ansi:focus, Go:nocolor:focus { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "go", "Go", show=False, id="form.button", tooltip="Start it"),
    ]

    def __init__(self, text: str, action: str, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._action = action
        self.show(line("  ", (f"[ {text} ]", "key")))

    async def action_go(self) -> None:
        """Start it."""
        await self.run_action(f"screen.{self._action}")

    async def on_click(self) -> None:
        """As enter."""
        await self.action_go()


class Field(Input):
    """One line of a form; enter goes to the next."""

    DEFAULT_CSS = """
    Field { height: 1; border: none; padding: 0 1; background: $panel; width: 1fr; }
    Field:focus { border: none; background: $primary 20%; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "Next", show=False, id="form.down", tooltip="The next field"),
        Binding("up", "app.focus_previous", "Before", show=False, id="form.up", tooltip="The field before"),
    ]

    def __init__(self, name: str, value: str, hint: str) -> None:
        super().__init__(value, placeholder=hint, compact=True, select_on_focus=False, id=f"field-{name}", name=name)


def field_label(text: str) -> Rows:
    """What stands before a field."""
    row = Rows()
    row.add_class("label")
    row.show(line(("  " + fit(text, 11), "dim")))
    return row
