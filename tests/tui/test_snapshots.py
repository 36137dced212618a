"""Pictures of every pane on fixed data; no time passes in them. `pytest --snapshot-update` makes them anew."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from console_app import COLOUR, PLAIN, app_of, settled, until
from fakes import NO_GPU, World, sample

from torchdoctor.app import TorchDoctor
from torchdoctor.terminal import Capabilities
from torchdoctor.widgets.lines import Lines
from torchprobes.catalogue import PROBES

pytestmark = pytest.mark.usefixtures("fixed_catalogue")

SIZES = [(80, 24), (120, 40)]
GREY = Capabilities(ascii=False, ansi=True, no_colour=True, mouse=True, screen_hz=20)
PANES = {"gpus": "1", "probes": "2", "report": "5"}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def shown(*keys: str, run: bool = False, select: str = "", detail: bool = False) -> Callable[[Any], Awaitable[None]]:
    """Bring the console to rest, press keys, and wait until nothing moves."""

    async def before(pilot: Any) -> None:
        app: TorchDoctor = pilot.app
        await until(pilot, lambda: settled(app))
        await until(pilot, lambda: app.sources.snapshot().report is not None or app.sources._load is None)
        if run:
            app.run_probes(PROBES)
            await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        await pilot.pause()
        await pilot.press(*keys)
        if select:
            app.pane.query_one("#probe-list", Lines).select(select)
        if detail:
            await pilot.press("z")
        app.tick()
        await pilot.pause()
        app.tick()
        await pilot.pause()

    return before


def _app(world: World | None = None, capabilities: Capabilities = COLOUR, **settings: Any) -> TorchDoctor:
    return app_of(world or World(), capabilities, **settings)


@pytest.mark.parametrize("size", SIZES, ids="x".join(("{0[0]}", "{0[1]}")).format)
@pytest.mark.parametrize("pane", PANES)
def test_pane(snap_compare: Any, pane: str, size: tuple[int, int]) -> None:
    assert snap_compare(_app(), terminal_size=size, run_before=shown(PANES[pane], run=True))


@pytest.mark.parametrize("pane", PANES)
def test_pane_in_ascii(snap_compare: Any, pane: str) -> None:
    assert snap_compare(_app(capabilities=PLAIN), run_before=shown(PANES[pane], run=True))


@pytest.mark.parametrize("pane", ["gpus", "probes"])
def test_pane_in_the_light_theme(snap_compare: Any, pane: str) -> None:
    assert snap_compare(_app(theme="light"), run_before=shown(PANES[pane], run=True))


def test_shell_at_60_by_16(snap_compare: Any) -> None:
    assert snap_compare(_app(), terminal_size=(60, 16), run_before=shown("1"))


def test_too_small(snap_compare: Any) -> None:
    assert snap_compare(_app(), terminal_size=(20, 5), run_before=shown())


def test_two_gpus_as_cards(snap_compare: Any) -> None:
    assert snap_compare(_app(World(sample=sample(2), findings=())), terminal_size=(120, 40), run_before=shown())


GPU_SCREENS = {
    "8-80x24": (8, (80, 24), ()),
    "16-80x24": (16, (80, 24), ()),
    "16-60x16": (16, (60, 16), ()),
    "8-200x50": (8, (200, 50), ()),
    "detail": (8, (100, 40), ("down", "enter")),
    "process": (8, (100, 40), ("G", "up", "enter")),
    "history": (8, (120, 40), ("h",)),
    "history-of-one": (8, (100, 30), ("h", "m", "m", "m", "right_square_bracket", "enter")),
    "topology": (8, (80, 24), ("t",)),
    "events": (8, (100, 24), ("v",)),
    "signal": (8, (80, 40), ("G", "up", "k", "t")),
}
"""Name -> how many GPUs, the terminal, and the keys that lead there."""


@pytest.mark.parametrize("name", GPU_SCREENS)
def test_gpus(snap_compare: Any, name: str) -> None:
    count, size, keys = GPU_SCREENS[name]
    assert snap_compare(_app(World(sample=sample(count))), terminal_size=size, run_before=shown(*keys))


@pytest.mark.parametrize("name", ["8-80x24", "16-80x24", "history-of-one"])
def test_gpus_without_colour(snap_compare: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    count, size, keys = GPU_SCREENS[name]
    app = _app(World(sample=sample(count)), GREY)
    assert snap_compare(app, terminal_size=size, run_before=shown(*keys))


@pytest.mark.parametrize("name", ["16-80x24", "history-of-one", "topology"])
def test_gpus_in_ascii(snap_compare: Any, name: str) -> None:
    count, size, keys = GPU_SCREENS[name]
    assert snap_compare(_app(World(sample=sample(count)), PLAIN), terminal_size=size, run_before=shown(*keys))


def test_replay(snap_compare: Any) -> None:
    app = _app(World(replays=True), replay="node.tdrec")
    assert snap_compare(app, terminal_size=(100, 30), run_before=shown("space"))


def test_no_gpu(snap_compare: Any) -> None:
    world = World(sample=NO_GPU, findings=(), verdict="no GPU on this machine · 12 checked")
    assert snap_compare(_app(world), run_before=shown())


@pytest.mark.parametrize("size", SIZES, ids=["narrow", "wide"])
def test_a_degraded_result(snap_compare: Any, size: tuple[int, int]) -> None:
    before = shown("2", run=True, select="compile.default", detail=size[0] < 110)
    assert snap_compare(_app(), terminal_size=size, run_before=before)


def test_probes_before_anything_ran(snap_compare: Any) -> None:
    assert snap_compare(_app(), run_before=shown("2"))


def test_help(snap_compare: Any) -> None:
    assert snap_compare(_app(), run_before=shown("2", "question_mark"))


def test_question(snap_compare: Any) -> None:
    assert snap_compare(_app(), run_before=shown("q", run=True))


def test_palette(snap_compare: Any) -> None:
    async def before(pilot: Any) -> None:
        await shown("2", "colon")(pilot)
        await until(pilot, lambda: pilot.app.screen.query("OptionList"))
        pilot.app.screen.query_one("Input").cursor_blink = False
        await until(pilot, lambda: pilot.app.screen.query_one("OptionList").option_count > 5)
        await pilot.pause()

    assert snap_compare(_app(), run_before=before)
