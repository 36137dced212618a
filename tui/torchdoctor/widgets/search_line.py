"""One line to search the page of a pane."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from torchdoctor.widgets.lines import Lines


class SearchLine(Input):
    """Searches `lines` when it is submitted, and goes away."""

    DEFAULT_CSS = """
    SearchLine { dock: bottom; height: 1; border: none; padding: 0 1; background: $panel; }
    SearchLine:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="search.close", tooltip="Back to the page")
    ]

    def __init__(self, lines: Lines) -> None:
        super().__init__(lines.query_text, placeholder="search this page", compact=True, select_on_focus=True)
        self.lines = lines

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the first hit."""
        event.stop()
        hits = self.lines.search(self.value)
        if self.value and not hits:
            self.notify(f"not found: {self.value}", timeout=2, markup=False)
        self.action_close()

    def action_close(self) -> None:
        """Give the keys back to the page."""
        self.lines.focus()
        self.remove()
