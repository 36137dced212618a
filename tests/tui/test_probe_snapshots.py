"""Pictures of the Probes pane with a check of nearly everything; the catalogue in them is a fixed one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from console_app import COLOUR, PLAIN, app_of, settled, until
from fixed_catalogue import FIXED
from whole_run import world

from torchdoctor.app import TorchDoctor

pytestmark = pytest.mark.usefixtures("fixed_catalogue")

SCREENS: dict[str, tuple[tuple[int, int], str, tuple[str, ...]]] = {
    "list-80x24": ((80, 24), "", ()),
    "list-60x16": ((60, 16), "", ()),
    "list-200x50": ((200, 50), "compute.gemm", ()),
    "group-open-80x24": ((80, 24), "compile", ("enter",)),
    "worst-80x24": ((80, 24), "", ("s",)),
    "detail-80x24": ((80, 24), "compute.gemm", ("enter", "pagedown")),
    "detail-120x40": ((120, 40), "compute.gemm", ()),
    "runs-80x24": ((80, 24), "", ("d",)),
    "compared-80x24": ((80, 24), "", ("d", "enter")),
    "compared-200x50": ((200, 50), "", ("d", "enter")),
}
"""Name -> the terminal, where the cursor stands, and the keys that lead there."""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def _shown(select: str, keys: tuple[str, ...]) -> Callable[[Any], Awaitable[None]]:
    async def before(pilot: Any) -> None:
        app: TorchDoctor = pilot.app
        await until(pilot, lambda: settled(app) and app.sources.snapshot().report is not None)
        app.run_probes(FIXED)
        await until(pilot, lambda: app.sources.snapshot().run)
        await pilot.press("2")
        await _rest(pilot)
        if select:
            app.pane.lines.select(select)
        for key in keys:
            await pilot.press(key)
            await until(pilot, lambda key=key: key != "d" or app.sources.snapshot().earlier)
            await _rest(pilot)
        await _rest(pilot)

    return before


async def _rest(pilot: Any) -> None:
    for _ in range(2):
        pilot.app.tick()
        await pilot.pause()


@pytest.mark.parametrize("name", SCREENS)
def test_probes(snap_compare: Any, name: str) -> None:
    size, select, keys = SCREENS[name]
    assert snap_compare(app_of(world(), COLOUR), terminal_size=size, run_before=_shown(select, keys))


@pytest.mark.parametrize("name", ["list-80x24", "detail-80x24", "compared-80x24"])
def test_probes_in_ascii(snap_compare: Any, name: str) -> None:
    size, select, keys = SCREENS[name]
    assert snap_compare(app_of(world(), PLAIN), terminal_size=size, run_before=_shown(select, keys))


@pytest.mark.parametrize("name", ["list-80x24", "detail-120x40"])
def test_probes_in_the_light_theme(snap_compare: Any, name: str) -> None:
    size, select, keys = SCREENS[name]
    assert snap_compare(app_of(world(), COLOUR, theme="light"), terminal_size=size, run_before=_shown(select, keys))
