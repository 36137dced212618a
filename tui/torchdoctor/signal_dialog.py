"""The question before a signal: which one, to whom; nothing is sent without a y."""

from __future__ import annotations

import signal
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from torchprobes.samples import ProcessSample

from .paint import BLANK, Line, crop, fit, line
from .text import safe
from .widgets.bars import Rows
from .widgets.cells import GIB, cell_span

SIGNALS: Final = {
    "t": (signal.SIGTERM, "asks it to end"),
    "i": (signal.SIGINT, "as ctrl+c: a training loop may write a checkpoint"),
    "k": (signal.SIGKILL, "ends it at once; it cannot clean up"),
}
"""Key -> signal, and what it does."""

_WIDTH: Final = 64


class SignalQuestion(ModalScreen["int | None"]):
    """Choose a signal, then confirm it; None means that none is sent."""

    CSS = """
    SignalQuestion { align: center middle; background: $background 60%; }
    SignalQuestion > Rows { width: auto; height: 10; padding: 1 3; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"choose('{key}')", number.name, id=f"signal.{number.name.lower()}", tooltip=text)
          for key, (number, text) in SIGNALS.items()),
        Binding("y", "send", "Send", id="signal.send", tooltip="Send the signal that is chosen"),
        Binding("n,escape,enter,q", "leave", "No", id="signal.no", tooltip="Send nothing"),
    ]  # fmt: skip

    def __init__(self, process: ProcessSample) -> None:
        super().__init__()
        self.process = process
        self.chosen = ""
        self.rows = Rows(id="signal")

    def compose(self) -> ComposeResult:
        """The question."""
        yield self.rows

    def on_mount(self) -> None:
        """Nothing is chosen at first."""
        self._show()

    def _show(self) -> None:
        width = min(self.app.size.width - 2, _WIDTH + 6)
        self.rows.styles.width = width
        self.rows.show(*(crop(row, width - 6) for row in self._lines()))

    def _lines(self) -> list[Line]:
        process = self.process
        user, memory = cell_span(process.user)[0], cell_span(process.gpu_memory_bytes, " GiB", scale=GIB, digits=1)[0]
        command = process.command
        rows = [
            line((f"pid {process.pid}", "title"), f"  {user}  {memory}  {safe(process.kind, limit=20)}"),
            line((safe(command, limit=200) if isinstance(command, str) else "its command is not known", "dim")),
            BLANK,
        ]
        for key, (number, text) in SIGNALS.items():
            sign = "›" if key == self.chosen else " "
            rows.append(line(sign, (f" {key} ", "key"), fit(number.name, 9), (text, "dim")))
        chosen = SIGNALS.get(self.chosen)
        ask = f"send {chosen[0].name}    " if chosen else "after a signal was chosen    "
        return [*rows, BLANK, line(("y", "key"), f" {ask}", ("n", "key"), " send nothing")]

    def action_choose(self, key: str) -> None:
        """This one, if it is confirmed."""
        self.chosen = key
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is sent before a signal was chosen."""
        return bool(self.chosen) if action == "send" else True

    def action_send(self) -> None:
        """It is confirmed."""
        self.dismiss(int(SIGNALS[self.chosen][0]))

    def action_leave(self) -> None:
        """It is not."""
        self.dismiss(None)
