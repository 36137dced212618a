"""One line that asks what to show of a list, and follows as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.widgets import Input

from torchdoctor.widgets.lines import Lines

PROCESSES: Final = "user, command, job, container or pid"


class FilterLine(Input):
    """Tells `changed` every text that is typed; enter keeps it, esc drops it."""

    DEFAULT_CSS = """
    FilterLine { dock: bottom; height: 1; border: none; padding: 0 1; background: $panel; }
    FilterLine:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", "Drop", id="filter.drop", tooltip="All of it again")
    ]

    def __init__(self, text: str, lines: Lines, changed: Callable[[str], None], hint: str = PROCESSES) -> None:
        super().__init__(text, placeholder=hint, compact=True, select_on_focus=True)
        self._lines = lines
        self._told = changed

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what is left."""
        event.stop()
        self._told(self.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep it."""
        event.stop()
        self._close()

    def action_drop(self) -> None:
        """All of it again."""
        self._told("")
        self._close()

    def _close(self) -> None:
        self._lines.focus()
        self.remove()
