"""One of several, chosen in a row: arrows move, a click chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from torchdoctor.paint import Span
from torchdoctor.widgets.bars import Rows


class Choice(Rows, can_focus=True):
    """Options by value and words; `value` is the one that is chosen."""

    DEFAULT_CSS = """
    Choice { background: $background; width: 1fr; }
    Choice:focus { background: $primary 15%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Before", show=False, id="choice.left", tooltip="The option before"),
        Binding("right,space", "move(1)", "Next", show=False, id="choice.right", tooltip="The next option"),
        Binding("down", "app.focus_next", "Next", show=False, id="form.down", tooltip="The next field"),
        Binding("up", "app.focus_previous", "Before", show=False, id="form.up", tooltip="The field before"),
    ]

    class Changed(Message):
        """Another one was chosen."""

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.options = tuple(options)
        self.value = value

    def on_mount(self) -> None:
        """Draw them."""
        self._draw()

    def offer(self, options: Sequence[tuple[str, str]]) -> None:
        """Other options; the first one where the chosen one is not among them."""
        self.options = tuple(options)
        if self.value not in dict(options):
            self.value = options[0][0]
        self._draw()

    def _draw(self) -> None:
        spans: list[Span] = []
        for value, words in self.options:
            here = value == self.value
            spans += [("[" if here else " ", "key"), (words, "here" if here else "dim"), ("]" if here else " ", "key"),
                      (" ", "")]  # fmt: skip
        self.show(tuple(spans))

    def action_move(self, by: int) -> None:
        """Choose a neighbour; around the end."""
        values = [value for value, _ in self.options]
        self._choose(values[(values.index(self.value) + by) % len(values)])

    def _choose(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self._draw()
            self.post_message(self.Changed())

    def on_click(self, event: Click) -> None:
        """The one under the mouse."""
        at = 0
        for value, words in self.options:
            at += len(words) + 3
            if event.x < at:
                self._choose(value)
                return
