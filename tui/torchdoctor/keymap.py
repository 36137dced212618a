"""The keys that work in every pane. Each has an id, by which `config.toml` gives it another key."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

from .later import TITLES


def _pane(digit: int, name: str, title: str) -> Binding:
    return Binding(
        str(digit), f"pane('{name}')", f"Go to {title}", show=False, id=f"app.pane.{name}", tooltip=f"The {title} pane"
    )


EVERYWHERE: Final[list[BindingType]] = [
    *(_pane(digit, name, title) for digit, (name, title) in enumerate(TITLES.items(), 1)),
    Binding("x,X", "export", "Export", id="app.export", tooltip="Write a report or a comparison as a file, or this "
            "screen as a picture; X where x is taken"),
    Binding("colon", "command_palette", "Actions", id="app.palette", tooltip="Every action and probe by name"),
    Binding("question_mark,f1", "help", "Help", key_display="?", id="app.help", tooltip="This pane and its keys"),
    Binding("q", "quit", "Quit", id="app.quit", tooltip="Back, or quit; asks only while probes run"),
    Binding("ctrl+c", "interrupt", "Interrupt", show=False, priority=True, id="app.interrupt",
            tooltip="Cancel what runs, else quit; a second press quits at once"),
]  # fmt: skip
