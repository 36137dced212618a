"""The Report pane as somebody uses it: history, comparing, looking after runs, exports. The answers are real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from console_app import console, screen_text, until
from fake_reports import PLACE, FakeReportDesk, keep_run, on, write_files
from fakes import HOSTILE, REPORT, World
from textual.pilot import Pilot
from textual.widgets import Input

from torchdoctor.export_dialog import DEFAULTS
from torchprobes.model import Verdict, worst
from torchprobes.reports.redaction import level_for

OLD, NEW = "20260101T000000Z-gpu-node-07-aaaaaa", "20260102T030405Z-gpu-node-07-bbbbbb"
BETTER = on(REPORT, "gpu-node-07", "2026-01-01T00:00:00Z", cudagraph_replay=Verdict.PASS)


def whole(report: Any) -> Any:
    """The report with the verdict that its results make."""
    return msgspec.structs.replace(report, verdict=worst([r.verdict for r in report.results]))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two runs of this node."""
    keep_run(tmp_path / "runs", OLD, whole(BETTER))
    keep_run(tmp_path / "runs", NEW, REPORT, title="before the driver")
    return tmp_path / "runs"


def fleet(folder: Path, count: int = 3) -> Path:
    """Reports of other nodes, the second of which has lost a feature, beside a file that is none."""
    nodes = {f"node-{n}.json": whole(on(REPORT, f"node-{n}", cudagraph_replay=Verdict.PASS)) for n in range(count)}
    nodes["node-1.json"] = on(REPORT, "node-1")
    (write_files(folder, nodes) / "broken.json").write_text('{"schema": 99}')
    return folder


async def opened(app: Any, pilot: Pilot[Any], *keys: str) -> None:
    """The history, read to its end."""
    await pilot.press("5", "h", *keys)
    await until(pilot, lambda: app.sources.reports.snapshot().history is not None
                and app.sources.reports.snapshot().history.bytes is not None)  # fmt: skip
    app.tick()
    await pilot.pause()


async def typed(app: Any, pilot: Pilot[Any], text: str) -> None:
    """Type into the line that asks, and give it."""
    await until(pilot, lambda: isinstance(app.focused, Input))
    app.focused.value = text
    await pilot.press("enter")


async def seen(app: Any, pilot: Pilot[Any], text: str) -> None:
    """Wait until the screen shows it."""

    def there() -> bool:
        app.tick()
        return text in screen_text(app)

    await until(pilot, there)


def world(place: Path) -> World:
    return World(reports=FakeReportDesk(place))


# --- history -----------------------------------------------------------------------------------------------------


async def test_the_history_says_what_there_is_and_never_deletes_files(place: Path, tmp_path: Path) -> None:
    async with console(world(place), size=(120, 30)) as (app, pilot):
        await opened(app, pilot)
        text = screen_text(app)
        assert "2 runs" in text
        assert PLACE in text
        first, second = (row for row in text.splitlines() if "2026-01-0" in row)
        assert "✘ fail" in first
        assert "before the driver" in first
        assert "✘1 !1 ▲1 –1 ✔2" in " ".join(first.split()) or "✘1" in first
        assert "✘" not in second
        assert "kB" in first
        await pilot.press("o")
        await typed(app, pilot, str(fleet(tmp_path / "fleet")))
        await seen(app, pilot, "node-2.json")
        text = screen_text(app)
        assert "unreadable" in text
        assert "schema 99" in text
        await pilot.press("G", "D")
        assert app.screen is app.screen_stack[0]
        assert len(list((tmp_path / "fleet").iterdir())) == 4


@pytest.mark.trials
async def test_enter_opens_a_run_and_back_leads_to_the_list_and_to_the_newest(place: Path) -> None:
    async with console(world(place), size=(100, 40)) as (app, pilot):
        await opened(app, pilot, "down")
        await pilot.press("down", "enter")
        await seen(app, pilot, OLD)
        assert app.pane.view == "report"
        await pilot.press("escape")
        assert app.pane.view == "history"
        await pilot.press("escape", "escape")
        assert not app.sources.reports.snapshot().opened
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_rename_delete_and_prune_ask_first_and_do_what_they_say(place: Path) -> None:
    async with console(world(place), size=(120, 30)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("r")
        await typed(app, pilot, "after the driver")
        await seen(app, pilot, "after the driver")
        assert json.loads((place / NEW / "run.json").read_text())["title"] == "after the driver"
        await pilot.press("down", "D")
        await seen(app, pilot, "Delete the run of 2026-01-01 00:00Z?")
        await pilot.press("n")
        assert (place / OLD).exists()
        await pilot.press("D", "y")
        await until(pilot, lambda: not (place / OLD).exists())
        await seen(app, pilot, "1 run · ")
        await pilot.press("P")
        await typed(app, pilot, "soon")
        await seen(app, pilot, "neither days nor a size: soon")
        await pilot.press("P")
        await typed(app, pilot, "30d")
        await seen(app, pilot, "more than 30 days ago? The newest run stays.")
        await pilot.press("y")
        await until(pilot, lambda: app.sources.reports._turns.get("change") == 3)
        assert (place / NEW).exists()


async def test_read_only_offers_nothing_that_changes(place: Path) -> None:
    here = world(place)
    async with console(here, size=(120, 30), read_only=True) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("r", "D", "P")
        assert app.screen is app.screen_stack[0]
        assert not app.pane.query(Input)
        assert {question for question, _ in here.reports.asked} == {"history"}


# --- comparing -----------------------------------------------------------------------------------------------------


async def compared(app: Any, pilot: Pilot[Any], folder: Path) -> None:
    """All reports of a folder, compared."""
    await opened(app, pilot)
    await pilot.press("o")
    await typed(app, pilot, str(folder))
    await seen(app, pilot, "reports in")
    await pilot.press("G", "asterisk", "d")
    await seen(app, pilot, "platforms compared")


def platforms_of(app: Any) -> Any:
    """The platforms of the comparison on screen."""
    return app.sources.reports.snapshot().compared.platforms


async def test_causes_come_first_rows_and_nodes_open_and_masking_comes_before(place: Path, tmp_path: Path) -> None:
    async with console(world(place), size=(120, 40)) as (app, pilot):
        await compared(app, pilot, fleet(tmp_path / "fleet"))
        lines = app.pane.plain_text().splitlines()
        at = [next(y for y, row in enumerate(lines) if word in row) for word in
              ("likely causes", "what differs", "the same on all", "what no probe covered")]  # fmt: skip
        assert at == sorted(at)
        row = next(row for row in lines if row.strip().startswith("cudagraph.replay"))
        assert row.split() == ["cudagraph.replay", "lost", "✔", "pass", "✘", "fail", "✔", "pass"]
        assert "node-0" in "".join(text for text, _ in app.pane.head.rows[0])
        before = len(lines)
        await pilot.press("a")
        assert len(app.pane.plain_text().splitlines()) > before
        app.pane.rows["compare"].select("row:cudagraph.replay")
        await pilot.press("enter")
        await seen(app, pilot, "side by side")
        assert "replay 3 differs from eager" in app.pane.plain_text()
        await pilot.press("escape", "v")
        assert app.pane.rows["compare"].page.keys
        app.pane.rows["compare"].select("node:1")
        await pilot.press("enter")
        await seen(app, pilot, "host          node-1")
        await pilot.press("escape")
        assert app.pane.view == "compare"
        assert "node-1" in app.pane.plain_text()
        await pilot.press("M")
        source = app.sources.reports
        await until(pilot, lambda: "public" in getattr(source.snapshot().compared, "masked", ""))
        labels = [platform.label for platform in platforms_of(app)]
        assert not [label for label in labels if "node-1" in label], labels


async def test_two_are_compared_the_first_one_marked_first_and_a_node_is_shown_over_time(place: Path) -> None:
    async with console(world(place), size=(120, 40)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("space", "up", "d")
        await seen(app, pilot, "mark two or more")
        await pilot.press("down", "d")
        await seen(app, pilot, "2 platforms compared")
        where = [platform.where for platform in platforms_of(app)]
        assert [Path(path).name for path in where] == [NEW, OLD], "the first one marked is what is held against"
        await pilot.press("escape", "space")
        await pilot.press("t")
        await seen(app, pilot, "over time")
        text = app.pane.plain_text()
        assert text.index("2026-01-01 00:00Z") < text.index("2026-01-02 03:04Z")
        assert "cudagraph.replay" in text


@pytest.mark.trials
async def test_while_it_is_compared_the_screen_says_so_and_only_the_last_question_counts(place: Path) -> None:
    here = world(place)
    async with console(here, size=(120, 40)) as (app, pilot):
        await opened(app, pilot)
        here.reports.held.clear()
        await pilot.press("space", "down", "d")
        await seen(app, pilot, "comparing 2 reports")
        app.sources.reports.compare([f"{PLACE}/{OLD}"], "internal")
        here.reports.held.set()
        await seen(app, pilot, "1 platforms compared")


@pytest.mark.trials
async def test_hostile_reports_neither_style_nor_break_the_screen(place: Path, tmp_path: Path) -> None:
    evil = msgspec.structs.replace(on(REPORT, HOSTILE), tier=HOSTILE, started=HOSTILE)
    folder = write_files(tmp_path / "fleet", {"a.json": evil, "b.json": on(evil, HOSTILE + "2"), HOSTILE[:4]: REPORT})
    async with console(world(place), size=(120, 40)) as (app, pilot):
        await compared(app, pilot, folder)
        for _ in range(2):
            assert all(row.isprintable() for row in app.pane.plain_text().splitlines())
            await pilot.press("escape")
        assert "\x1b" not in screen_text(app)


# --- exports -------------------------------------------------------------------------------------------------------


async def exported(app: Any, pilot: Pilot[Any], to: str, *keys: str) -> str:
    """Write through the dialog; the notice."""
    await pilot.press("x")
    await until(pilot, lambda: app.screen.query("#field-to"))
    await pilot.press(*keys)
    app.screen.query_one("#field-to", Input).value = to
    count = len(app._notifications)
    await pilot.press("f5")
    await until(pilot, lambda: len(app._notifications) > count or app.tick())
    return str([n.message for n in app._notifications][-1])


@pytest.mark.trials
async def test_a_report_is_exported_masked_and_never_over_another_file(place: Path, tmp_path: Path) -> None:
    async with console(world(place), size=(100, 30)) as (app, pilot):
        await opened(app, pilot)
        to = tmp_path / "out.json"
        said = await exported(app, pilot, str(to), "right", "right")
        assert said.startswith(f"exported {to}")
        assert json.loads(to.read_bytes())["machine"]["host"] == "gpu-node-07", "JSON is internal by default"
        assert (to.stat().st_mode & 0o777) == 0o600
        assert "is there already" in await exported(app, pilot, str(to))
        page = tmp_path / "out.html"
        assert "masked" in await exported(app, pilot, str(page))
        assert "gpu-node-07" not in page.read_text()


async def test_a_picture_of_any_pane_is_masked_and_needs_no_network(place: Path, tmp_path: Path) -> None:
    async with console(world(place), size=(100, 30)) as (app, pilot):
        to = tmp_path / "gpus.svg"
        assert "gpu-node-07" in screen_text(app)
        assert "exported" in await exported(app, pilot, str(to))
        drawn = to.read_text()
        assert drawn.startswith("<svg")
        assert "GPUs" in drawn
        assert "font-face" not in drawn
        assert "url(http" not in drawn
        assert "gpu-node-07" not in drawn


def test_the_dialog_masks_as_the_command_line_does() -> None:
    assert all(level_for(form).value == level for form, level in DEFAULTS.items() if form != "svg")
