"""The Probes pane on fakes: what its keys run, cancel, fold, sort, copy and compare."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from console_app import console, screen_text, until
from fakes import COMPILED, REPORT, VIEWS, FakeCheck, World, view

from torchdoctor.widgets.lines import Lines
from torchprobes.catalogue import PROBES
from torchprobes.model import Tier

EVERYTHING = tuple(p.name for p in PROBES if p.tier is not Tier.FULL)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)


# --- keys of the probes pane -------------------------------------------------------------------------------------


async def test_r_runs_what_the_cursor_stands_on() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: world.asked)
        assert world.asked == [EVERYTHING]
        world.check.ended.set()
        await until(pilot, lambda: not app.sources.snapshot().busy)
        app.tick()
        app.pane.lines.select("compile.default")
        await pilot.press("r")
        await until(pilot, lambda: len(world.asked) == 2)
        assert world.asked[1] == ("compile.default",)


async def test_a_group_row_runs_the_group() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("2")
        app.pane.query_one("#probe-list", Lines).select("compile")
        await pilot.press("r")
        await until(pilot, lambda: world.asked)
        assert world.asked == [tuple(name for name in EVERYTHING if name.startswith("compile."))]


async def test_a_second_check_is_refused_while_one_runs() -> None:
    world = World()
    async with console(world) as (app, pilot):
        app.run_probes(PROBES[:1])
        await until(pilot, lambda: world.asked)
        assert app.sources.run(PROBES[:1]) == "a check is running: c cancels it"
        assert len(world.asked) == 1


async def test_c_cancels_the_probe_under_the_cursor_what_is_left_of_its_group_or_all() -> None:
    for key, cancelled in (
        ("compile.reduce-overhead", ["compile.reduce-overhead"]),
        ("compile", ["compile.reduce-overhead", "compile.max-autotune"]),
        ("all", [None]),
    ):
        world = World()
        async with console(world) as (app, pilot):
            await pilot.press("2", "r")
            await until(pilot, lambda app=app: app.sources.snapshot().run)
            app.tick()
            app.pane.lines.select("compile")
            await pilot.press("right")
            app.pane.lines.select(key)
            await pilot.press("c")
            assert world.check.cancelled == cancelled, key


async def test_enter_and_arrows_fold_a_group_and_the_cursor_stays_on_it() -> None:
    async with console() as (app, pilot):
        await pilot.press("2")
        lines = app.pane.lines
        lines.select("compile")
        closed = len(lines.page.lines)
        await pilot.press("enter")
        assert "compile.max-autotune" in lines.page.keys.values()
        await pilot.press("down", "left")
        assert lines.cursor == "compile"
        assert len(lines.page.lines) == closed
        await pilot.press("right", "right", "enter")
        assert len(lines.page.lines) == closed


async def test_a_line_that_comes_above_the_cursor_does_not_move_it_on_the_screen() -> None:
    world = World(check=FakeCheck(views=()))
    async with console(world, size=(80, 16)) as (app, pilot):
        await pilot.press("2", "r", "G")
        await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        await pilot.pause()
        lines = app.pane.lines
        cursor, at = lines.cursor, lines._cursor_line() - round(lines.scroll_y)
        before = len(lines.page.lines)
        world.check.views = VIEWS
        world.check.revision = 1
        await until(pilot, lambda: len(lines.page.lines) > before)
        await pilot.pause()
        assert lines.cursor == cursor
        assert lines._cursor_line() - round(lines.scroll_y) == at


async def test_s_sorts_worst_first_and_back() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        await pilot.press("s")
        keys = list(app.pane.lines.page.keys.values())
        assert keys[1:4] == ["cudagraph.replay", "ddp.allreduce", "compile.default"]
        await pilot.press("s")
        assert "compile" in app.pane.lines.page.keys.values()


async def test_a_new_sample_alone_makes_no_page_anew() -> None:
    world = World()
    async with console(world, size=(160, 40)) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        await pilot.pause()
        app.tick()
        drawn: list[int] = []
        draw = app.pane.draw
        app.pane.draw = lambda snapshot: (drawn.append(1), draw(snapshot))
        for number in range(5):
            app.sources._set(verdict=f"sample {number}")
            app.tick()
        assert not drawn
        world.check.ended.set()
        await until(pilot, lambda: drawn)


async def test_y_copies_the_line_that_repeats_the_probe_without_its_secret() -> None:
    token = "hf_" + "a" * 24
    result = msgspec.structs.replace(COMPILED, command=f"cd /runs/1 && env HF_TOKEN={token} A=1 python -B x.py")
    world = World(check=FakeCheck(views=(view("compile.default", result=result, folder="/runs/1"),)))
    async with console(world, size=(100, 40)) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        app.pane.lines.select("compile.default")
        await pilot.press("y")
        assert app.clipboard == "cd /runs/1 && env A=1 python -B x.py\n"
        assert any("HF_TOKEN" in notice.message for notice in app._notifications)
        app.pane.lines.select("compile")
        await pilot.press("y")
        assert app.clipboard == app.pane.plain_text()
        app.pane.lines.select("compile.max-autotune")
        await pilot.press("Y")
        assert app.clipboard == app.pane.plain_text()


async def test_d_holds_the_results_against_an_earlier_run_and_escape_goes_back_by_steps() -> None:
    earlier = msgspec.structs.replace(REPORT, results=REPORT.results[:2])
    world = World(earlier=(("/runs/1", REPORT), ("/runs/0", earlier)))
    async with console(world, size=(100, 40)) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: app.sources.snapshot().run)
        world.check.ended.set()
        await until(pilot, lambda: not app.sources.snapshot().busy)
        await pilot.press("d")
        await until(pilot, lambda: app.sources.snapshot().earlier)
        app.tick()
        await pilot.pause()
        assert [path for path, _ in app.sources.snapshot().earlier or ()] == ["/runs/0"], (
            "what is on screen is not offered"
        )
        await pilot.press("enter")
        await pilot.pause()
        assert "two runs side by side" in screen_text(app)
        assert "not in the earlier run" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "compare with an earlier run" in screen_text(app))
        await pilot.press("escape")
        await pilot.pause()
        assert not app.pane.opened
        assert app.is_running


async def test_without_an_earlier_run_it_is_said() -> None:
    async with console() as (app, pilot):
        await pilot.press("2", "d")
        await until(pilot, lambda: "there is no earlier run" in screen_text(app))
        await pilot.press("enter", "q")
        assert not app.pane.opened
        assert app.is_running


async def test_the_tier_goes_round_and_the_first_row_follows() -> None:
    async with console() as (app, pilot):
        await pilot.press("2")
        seen = []
        for _ in Tier:
            await pilot.press("R")
            await pilot.pause()
            seen.append(next(tier.value for tier in Tier if f"all of tier {tier.value}" in screen_text(app)))
        assert seen == ["full", "quick", "standard"]


async def test_enter_opens_a_result_and_escape_goes_back() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        app.pane.query_one("#probe-list", Lines).select("compile.default")
        await pilot.press("enter")
        await pilot.pause()
        assert "cudagraph_skips is 2, 0 is expected" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert not app.pane.opened
        assert "all of tier standard" in screen_text(app)


async def test_enter_on_a_running_probe_follows_its_output(tmp_path: Any) -> None:
    world = World()
    async with console(world) as (app, pilot):
        followed: list[str] = []
        await pilot.press("4", "2")
        app.panes["logs"].follow_run = followed.append
        await pilot.press("r")
        await until(pilot, lambda: app.sources.snapshot().run)
        app.tick()
        app.pane.query_one("#probe-list", Lines).select("compile.reduce-overhead")
        await pilot.press("enter")
        await until(pilot, lambda: followed)
        assert app.here == "logs"
        assert followed == ["/runs/1/probes/compile.reduce-overhead"]
