"""A small app around a log view or the Logs pane, and waiting for events in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from torchdoctor.theme import DARK
from torchdoctor.widgets.log_view import LogView


@dataclass
class FakeSettings:
    ascii: bool = False


class OneWidgetApp(App[None]):
    """Shows one widget; nothing ticks by itself: tests call `refresh_data`."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, widget: Widget, *, ascii_signs: bool = False) -> None:
        super().__init__()
        self.settings = FakeSettings(ascii=ascii_signs)
        self.shown = widget
        self.copied: list[str] = []
        self.asked: list[Message] = []
        """What the log view asked for: jumps, exports, searches of all files."""

    def compose(self) -> ComposeResult:
        yield self.shown

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.theme = DARK.name

    def on_log_view_copy_requested(self, message: LogView.CopyRequested) -> None:
        self.copied.append(message.text)

    def on_log_view_jump_requested(self, message: LogView.JumpRequested) -> None:
        self.asked.append(message)

    def on_log_view_export_requested(self, message: LogView.ExportRequested) -> None:
        self.asked.append(message)

    def on_log_view_search_all_requested(self, message: LogView.SearchAllRequested) -> None:
        self.asked.append(message)

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)


def screen_text(app: App[None]) -> list[str]:
    """What is on screen, a string a row."""
    width, height = app.size
    return [
        "".join(segment.text for segment in strip).ljust(width) for strip in app.screen._compositor.render_strips()
    ][:height]


async def until(pilot: Pilot[None], holds: Callable[[], object], refresh: Callable[[], None]) -> None:
    """Tick until it holds."""
    deadline = time.monotonic() + 15
    while True:
        refresh()
        await pilot.pause()
        if holds():
            return
        assert time.monotonic() < deadline, "\n".join(screen_text(pilot.app))
        await asyncio.sleep(0.005)
