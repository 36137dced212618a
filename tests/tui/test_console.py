"""The console on fakes: panes, keys, what runs, what is copied, and how it ends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from console_app import COLOUR, PLAIN, app_of, console, screen_text, until
from fakes import HOSTILE, REPORT, TARGET, FakeCheck, World, sample
from textual.widgets import Input

from torchdoctor import later
from torchdoctor.dialogs import HelpScreen, Question, bindings_of
from torchdoctor.panes.base import Pane
from torchdoctor.panes.probes import ProbesPane
from torchdoctor.widgets.lines import Lines
from torchprobes.catalogue import OFFERED, PROBES
from torchprobes.model import Tier
from torchprobes.telemetry.health import Health

EVERYTHING = tuple(p.name for p in PROBES if p.tier is not Tier.FULL)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)


# --- panes -------------------------------------------------------------------------------------------------------


async def test_digits_open_the_panes_and_each_keeps_the_protocol() -> None:
    async with console() as (app, pilot):
        for digit, name in enumerate(later.PANES, 1):
            await pilot.press(str(digit))
            assert app.here == name
            assert isinstance(app.pane, Pane)
            assert app.pane.HELP.strip()
            assert [pane.display for pane in app.panes.values()].count(True) == 1
            assert app.focused is not None


async def test_only_the_visible_pane_is_made_and_told() -> None:
    async with console() as (app, pilot):
        assert list(app.panes) == ["gpus"]
        await pilot.press("2")
        told: list[str] = []
        for name, pane in app.panes.items():
            pane.refresh_data = lambda name=name: told.append(name)
        app.tick()
        assert told == ["probes"]


async def test_telemetry_is_not_started_before_the_first_frame() -> None:
    world = World()
    app = app_of(world)
    assert world.sampler is None
    async with app.run_test() as pilot:
        await until(pilot, lambda: world.sampler is not None and world.sampler.started)
    assert world.sampler is not None


async def test_a_hidden_target_search_that_fails_is_a_line_at_the_top() -> None:
    async with console(World(target=None), size=(120, 24)) as (app, _):
        assert "no Python with torch: no python3 on PATH has torch" in screen_text(app)


async def test_a_machine_half_that_cannot_start_is_said_and_the_console_lives() -> None:
    def broken() -> Any:
        raise RuntimeError("libfoo is missing")

    world = World()
    app = app_of(world)
    app.sources._load = broken
    async with app.run_test() as pilot:
        await until(pilot, lambda: "libfoo" in screen_text(app))
        await pilot.press("2", "r")
        assert app.is_running


# --- what runs --------------------------------------------------------------------------------------------------------


async def test_read_only_runs_nothing() -> None:
    world = World()
    async with console(world, read_only=True) as (app, pilot):
        await pilot.press("2", "r")
        assert app.sources.run(PROBES[:1]).startswith("--read-only")
        assert not world.asked
        assert "run" not in _keys(app)


async def test_a_refused_target_runs_only_as_root_was_said() -> None:

    refused = msgspec.structs.replace(TARGET, refusal="its code belongs to mara")
    for as_root in (False, True):
        world = World(target=refused)
        async with console(world, as_root=as_root) as (app, pilot):
            said = app.sources.run(PROBES[:1])
            assert bool(said) is not as_root
            if as_root:
                await until(pilot, lambda world=world: world.asked)


async def test_q_goes_back_before_it_quits() -> None:
    async with console() as (app, pilot):
        await pilot.press("2", "z")
        assert app.pane.opened
        await pilot.press("q")
        assert not app.pane.opened
        assert app.is_running
        await pilot.press("q")
        await until(pilot, lambda: app.return_code is not None)
        assert app.return_code == 0


async def test_a_run_waits_for_the_target() -> None:
    import threading

    world, found = World(), threading.Event()
    answer = world._choice()

    def slow() -> Any:
        found.wait()
        return answer

    world._choice = slow  # type: ignore[method-assign]
    app = app_of(world)
    async with app.run_test() as pilot:
        await pilot.press("2", "r")
        assert app.sources.snapshot().busy
        assert not world.asked
        found.set()
        await until(pilot, lambda: world.asked)


async def test_a_run_without_a_target_is_refused_by_a_line() -> None:
    world = World(target=None)
    async with console(world) as (app, pilot):
        await pilot.press("2", "r")
        await until(pilot, lambda: any("no Python with torch" in n.message for n in app._notifications))
        assert not world.asked
        assert not app.sources.snapshot().busy


async def test_results_stay_beside_those_of_the_next_check() -> None:
    world = World()
    async with console(world) as (app, pilot):
        app.run_probes(PROBES)
        await until(pilot, lambda: app.sources.snapshot().run)
        world.check.ended.set()
        await until(pilot, lambda: not app.sources._state.busy)
        world.check = FakeCheck(views=())
        app.run_probes(PROBES[:1])
        await until(pilot, lambda: len(world.asked) == 2)
        assert "compile.default" in app.sources.snapshot().probes


async def test_a_check_that_cannot_begin_is_a_notice() -> None:
    world = World()

    def refuse(*_: object) -> Any:
        raise RuntimeError("cannot write a run below /state: choose another place with --out")

    async with console(world) as (app, pilot):
        import dataclasses

        assert app.sources._engines is not None
        app.sources._engines = dataclasses.replace(app.sources._engines, make_check=refuse)
        app.run_probes(PROBES[:1])
        await until(pilot, lambda: not app.sources.snapshot().busy)
        await until(pilot, lambda: any("cannot write a run" in n.message for n in app._notifications))


# --- keys that are the same everywhere ---------------------------------------------------------------------------


def _keys(app: Any) -> str:
    rows = app.screen_stack[0].query_one("#keys").rows
    return "".join(text for row in rows for text, _ in row)


async def test_every_binding_has_an_id_and_says_what_it_does() -> None:
    async with console() as (app, pilot):
        for digit in "12345":
            await pilot.press(digit)
            for _, group, binding in bindings_of(app.screen):
                assert binding.id, (group, binding)
                assert binding.tooltip, (group, binding)


async def test_the_bottom_shows_only_what_works_now() -> None:
    world = World()
    async with console(world, size=(160, 40)) as (app, pilot):
        await pilot.press("2")
        await pilot.pause()
        assert "r run" in _keys(app)
        assert "cancel" not in _keys(app)
        await pilot.press("r")
        await until(pilot, lambda: "c cancel" in _keys(app))
        assert "r run" not in _keys(app)
        assert _keys(app).rstrip().endswith("? help  q quit")


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_help_and_quit_are_shown_at_every_width(width: int) -> None:
    async with console(size=(width, 24)) as (app, pilot):
        for digit in "12345":
            await pilot.press(digit)
            await pilot.pause()
            assert "? help" in _keys(app)
            assert "q quit" in _keys(app)
            assert len(_keys(app)) <= width


async def test_help_is_made_of_the_bindings() -> None:
    async with console(size=(100, 60)) as (app, pilot):
        await pilot.press("2", "question_mark")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = app.screen.query_one(Lines).plain_text()
        for _, _, binding in bindings_of(app.screen.under):
            assert binding.tooltip.split()[0] in text
        assert "About Probes" in text
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


async def test_keys_of_the_settings_replace_ours_also_in_help() -> None:
    async with console(keys={"app.export": "f4"}, size=(100, 60)) as (app, pilot):
        await pilot.press("question_mark")
        await pilot.pause()
        text = app.screen.query_one(Lines).plain_text()
        row = next(row for row in text.splitlines() if "as a file, or this screen" in row)
        assert row.split()[0] == "f4"


async def test_the_palette_runs_a_probe_by_name() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("colon")
        await until(pilot, lambda: app.screen.query("Input"))
        await pilot.press(*"run dataload")
        await until(pilot, lambda: app.screen.query_one("OptionList").option_count == 1)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: world.asked)
        assert world.asked == [("data.loader",)]


async def test_the_palette_has_every_action_and_every_probe() -> None:
    from torchdoctor.palette import Actions

    async with console() as (app, pilot):
        await pilot.press("2")
        names = [name for name, _, _ in Actions(app.screen)._entries()]
        for probe in OFFERED:
            assert f"Run {probe.name}" in names
        for text in ("Probes: Cancel", "Go to Report", "Export", "Help", "Run compile", "Run all of tier quick"):
            assert text in names


async def test_search_goes_to_hits_and_n_to_the_next() -> None:
    async with console(size=(80, 16)) as (app, pilot):
        await pilot.press("5", "slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press(*"compile", "enter")
        await pilot.pause()
        lines = app.pane.query_one(Lines)
        first = lines._place
        assert "compile" in lines.plain_text().splitlines()[first - 1] or first > 0
        await pilot.press("n")
        assert lines._place > first
        await pilot.press("N")
        assert lines._place == first


async def test_e_goes_through_the_findings() -> None:
    async with console(size=(80, 16)) as (app, pilot):
        await pilot.press("5")
        lines = app.pane.query_one(Lines)
        places = []
        for _ in range(4):
            await pilot.press("e")
            places.append(lines._place)
        marks = sorted(lines.page.marks)
        assert places == [*marks, marks[0]]


async def test_g_and_capital_g_go_to_the_ends() -> None:
    async with console(size=(80, 16)) as (app, pilot):
        await pilot.press("5", "G")
        lines = app.pane.query_one(Lines)
        assert lines.scroll_y == lines.max_scroll_y > 0
        await pilot.press("g")
        assert lines.scroll_y == 0


async def test_pause_holds_the_screen_and_loses_nothing() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("space")
        app.sources._set(verdict="changed", findings=())
        app.tick()
        await pilot.pause()
        assert "PAUSED" in screen_text(app)
        assert "/dev/shm has 64 MiB" in app.pane.plain_text()
        await pilot.press("space")
        assert "/dev/shm has 64 MiB" not in app.pane.plain_text()


async def test_copy_keeps_a_file_and_says_where() -> None:
    world = World()
    async with console(world) as (app, pilot):
        await pilot.press("y")
        await until(pilot, lambda: any("/state/copied.txt" in n.message for n in app._notifications))
        assert world.written == [app.pane.plain_text()]
        assert app.clipboard == app.pane.plain_text()


async def test_over_a_slow_line_new_numbers_come_further_apart() -> None:
    world = World()
    async with console(world, slow=True) as (app, _):
        assert world.sampler is not None
        before = app.sources.snapshot().sample
        world.sampler.judged = lambda: (2, sample(1), Health())  # type: ignore[method-assign]
        assert app.sources.snapshot().sample is before
        assert app.sources._live is not None
        app.sources._live.taken_s -= 60
        assert app.sources.snapshot().sample is not before


# --- the end -----------------------------------------------------------------------------------------------------


async def test_quitting_asks_only_while_probes_run_and_lets_go_of_everything() -> None:
    world = World()
    async with console(world) as (app, pilot):
        app.run_probes(PROBES)
        await until(pilot, lambda: app.sources.snapshot().run)
        await pilot.press("q")
        await pilot.pause()
        assert isinstance(app.screen, Question)
        await pilot.press("n")
        assert app.is_running
        assert not world.check.abandoned
        await pilot.press("q", "y")
        await until(pilot, lambda: app.return_code is not None)
    assert world.check.abandoned
    assert world.sampler is not None
    assert world.sampler.stopped


async def test_ctrl_c_cancels_and_a_second_one_quits() -> None:
    world = World()
    async with console(world) as (app, pilot):
        app.run_probes(PROBES)
        await until(pilot, lambda: app.sources.snapshot().run)
        world.check.ended = type(world.check.ended)()  # this check takes its time to end
        await pilot.press("ctrl+c")
        assert world.check.cancelled == [None]
        assert app.return_code is None
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.return_code is not None)


# --- sizes and signs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (39, 24), (80, 7)])
async def test_a_terminal_that_is_too_small_says_one_line(size: tuple[int, int]) -> None:
    async with console(size=size) as (app, pilot):
        rows = [row for row in screen_text(app).splitlines() if row.strip()]
        assert len(rows) == 1
        assert "needs 60x16"[: size[0] - 1] in rows[0]
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "1 GPUs" in screen_text(app)


async def test_ascii_mode_draws_nothing_else_in_any_pane() -> None:
    world = World(verdict=HOSTILE + " é日", report=REPORT)
    async with console(world, (100, 30), PLAIN) as (app, pilot):
        app.run_probes(PROBES)
        await until(pilot, lambda: app.sources.snapshot().run)
        app.notify("a notice", markup=False)
        for digit in "1235":
            await pilot.press(digit)
            await pilot.pause()
            assert screen_text(app).isascii(), screen_text(app)
        await until(pilot, lambda: "a notice" in screen_text(app))
        for key in ("question_mark", "escape", "q"):
            await pilot.press(key)
            await pilot.pause()
            assert screen_text(app).isascii(), screen_text(app)


async def test_nothing_from_outside_reaches_the_screen_as_a_control_character() -> None:
    world = World(verdict=HOSTILE)
    async with console(world, (160, 50), COLOUR) as (app, pilot):
        app.run_probes(PROBES)
        await until(pilot, lambda: app.sources.snapshot().run)
        for digit in "1235":
            await pilot.press(digit)
            await pilot.pause()
            assert all(char.isprintable() or char == "\n" for char in screen_text(app))


async def test_the_probes_pane_has_both_sides_on_a_wide_screen() -> None:
    async with console(size=(120, 40)) as (app, pilot):
        await pilot.press("2")
        await pilot.pause()
        pane = app.pane
        assert isinstance(pane, ProbesPane)
        assert pane.query_one("#probe-detail").display
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        app.tick()
        await pilot.pause()
        assert pane.query_one("#probe-detail").styles.display != "block"
