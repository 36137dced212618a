"""The console on fakes, ready: every source has said what it has."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fakes import World
from textual.app import App
from textual.pilot import Pilot

from torchdoctor.app import TorchDoctor
from torchdoctor.paint import Page, text_of
from torchdoctor.settings import Settings
from torchdoctor.terminal import Capabilities

DEADLINE_S = 20.0
COLOUR = Capabilities(ascii=False, ansi=False, no_colour=False, mouse=True, screen_hz=20)
PLAIN = Capabilities(ascii=True, ansi=True, no_colour=False, mouse=True, screen_hz=20)


def app_of(world: World, capabilities: Capabilities = COLOUR, **settings: Any) -> TorchDoctor:
    """A console on this world."""
    return TorchDoctor(replace(Settings(ascii=capabilities.ascii), **settings), capabilities, world.engines)


async def until(pilot: Pilot[Any], test: Callable[[], object]) -> None:
    """Wait for an event, not for a time."""
    end = time.monotonic() + DEADLINE_S
    while not test():
        assert time.monotonic() < end, screen_text(pilot.app)
        await pilot.pause(0.01)


def settled(app: TorchDoctor) -> bool:
    """Whether all sources have answered, and the screen has shown it."""
    snapshot = app.sources.snapshot()
    target = snapshot.target is not None or snapshot.replay or "no Python" in snapshot.target_note
    report = snapshot.report is not None or app.sources._engines is not None
    return bool(snapshot.sample and target and report)


@asynccontextmanager
async def console(
    world: World | None = None, size: tuple[int, int] = (80, 24), capabilities: Capabilities = COLOUR, **settings: Any
) -> AsyncIterator[tuple[TorchDoctor, Pilot[Any]]]:
    """The console, running without a terminal, when all its sources have answered."""
    app = app_of(world or World(), capabilities, **settings)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: settled(app))
        app.tick()
        await pilot.pause()
        yield app, pilot


def page_text(page: Page) -> str:
    """A page as text."""
    return "\n".join(text_of(row) for row in page.lines)


def screen_text(app: App[Any]) -> str:
    """What the screen shows, as text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
