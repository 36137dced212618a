"""One line that asks for a text; enter gives it, esc does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input


class AskLine(Input):
    """Tells `done` what was typed when it is submitted, gives the keys back to `back`, and goes away."""

    DEFAULT_CSS = """
    AskLine { dock: bottom; height: 1; border: none; padding: 0 1; background: $panel; }
    AskLine:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="ask.close", tooltip="Leave it as it is")
    ]

    def __init__(self, text: str, hint: str, back: Widget, done: Callable[[str], None]) -> None:
        super().__init__(text, placeholder=hint, compact=True, select_on_focus=False)
        self._back = back
        self._done = done

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give it."""
        event.stop()
        self.action_close()
        self.app.call_later(self._done, self.value.strip())  # what it asks then must not be answered to a line gone

    def action_close(self) -> None:
        """Give the keys back."""
        self._back.focus()
        self.remove()
