"""Pictures of the Jobs pane and of the form that launches; `pytest --snapshot-update` makes them anew."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from console_app import COLOUR, PLAIN, app_of, settled, until
from job_screens import PICTURES, Picture
from textual.widgets import Input

from torchdoctor.app import TorchDoctor
from torchdoctor.launch_form import LaunchForm
from torchdoctor.terminal import Capabilities

GREY = Capabilities(ascii=False, ansi=True, no_colour=True, mouse=True, screen_hz=20)
NOW_NS = 1_790_000_754 * 10**9


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr("torchdoctor.launch_planner.SETTLED_S", 0.01)
    monkeypatch.setattr("torchdoctor.widgets.job_rows.now_ns", lambda: NOW_NS)


def shown(picture: Picture) -> Callable[[Any], Awaitable[None]]:
    """Open the pane, press the keys, and wait until everything that was asked for is on screen."""

    async def before(pilot: Any) -> None:
        app: TorchDoctor = pilot.app
        await until(pilot, lambda: settled(app))
        await pilot.press("3")
        seen = app.sources.jobs.snapshot
        await until(pilot, lambda: seen().listed is not None)
        app.tick()
        await until(pilot, lambda: seen().view is not None or picture.view is None)
        await rest(app, pilot)
        for key in picture.keys:
            await pilot.press(key)
        await rest(app, pilot)
        await until(pilot, lambda: arrived(app, picture))
        await rest(app, pilot)

    return before


def arrived(app: TorchDoctor, picture: Picture) -> bool:
    """Whether what the desk was asked for has come."""
    app.tick()
    if isinstance(app.screen, LaunchForm):
        for field in app.screen.query(Input):  # a picture is of no half of a second
            field.cursor_blink = False
        answers = app.screen.planner.answers
        app.screen.refresh_data()
        wanted = picture.answers.get("preflight") is not None and picture.filled
        return answers.findings is not None if wanted else bool(answers.error) or not picture.filled
    if "tail" in picture.answers:
        return app.pane._tail[1] is not None
    return app.pane.merged is None or bool(app.pane.merged.feed.got.total)


async def rest(app: TorchDoctor, pilot: Any) -> None:
    for _ in range(3):
        app.tick()
        await pilot.pause()


CI = ("none", "list", "healthy", "ranks-64", "crash", "crash-60x16", "hang", "hang-stacks", "sources", "logs",
      "launch-filled")  # fmt: skip
"""Pictures that CI compares; the others are compared by hand."""

NAMES = [pytest.param(name, marks=() if name in CI else pytest.mark.trials) for name in PICTURES]


@pytest.mark.parametrize("name", NAMES)
def test_jobs(snap_compare: Any, name: str) -> None:
    picture = PICTURES[name]
    assert snap_compare(app_of(picture.world(), COLOUR), terminal_size=picture.size, run_before=shown(picture))


def by_hand(*names: str) -> list[Any]:
    """The first in CI, the others by hand."""
    return [pytest.param(name, marks=pytest.mark.trials if place else ()) for place, name in enumerate(names)]


@pytest.mark.parametrize("name", by_hand("crash", "list", "hang-stacks", "launch-filled"))
def test_jobs_in_ascii(snap_compare: Any, name: str) -> None:
    picture = PICTURES[name]
    assert snap_compare(app_of(picture.world(), PLAIN), terminal_size=picture.size, run_before=shown(picture))


@pytest.mark.parametrize("name", by_hand("hang", "crash", "launch-filled"))
def test_jobs_without_colour(snap_compare: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    picture = PICTURES[name]
    assert snap_compare(app_of(picture.world(), GREY), terminal_size=picture.size, run_before=shown(picture))


@pytest.mark.trials
def test_jobs_in_the_light_theme(snap_compare: Any) -> None:
    picture = PICTURES["crash"]
    assert snap_compare(app_of(picture.world(), COLOUR, theme="light"), run_before=shown(picture))
