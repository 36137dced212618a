"""The real console in this process, on one log: for what can only be measured from inside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from torchdoctor.app import TorchDoctor
from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchdoctor.widgets.log_view import LogView


@asynccontextmanager
async def console(log: Path, size: tuple[int, int]) -> AsyncIterator[Pilot[None]]:
    """The console as `torchdoctor logs FILE` starts it, once the log's lines have the keys."""
    settings = Settings(logs=str(log))
    app = TorchDoctor(settings, decide(settings, {"LANG": "C.UTF-8"}))
    async with app.run_test(size=size) as pilot:
        view = app.pane.query_one(LogView)
        while not view.lines.lines:
            await pilot.pause(0.05)
        view.lines.focus()
        yield pilot
        app.leave(0)
