"""The views that the GPUs pane opens, and its keys, each pressed."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from console_app import PLAIN, console, page_text, screen_text, until
from fakes import EVENTS, HOSTILE, FakeAnswer, FakeHistory, FakePast, FakeReplay, World, gpu, process, sample
from rich.cells import cell_len
from textual.widgets import Input

from torchdoctor.paint import text_of
from torchdoctor.panes.gpus import Choice, GpusPane, Opened
from torchdoctor.panes.gpus_views import page
from torchdoctor.signal_dialog import SIGNALS, SignalQuestion
from torchdoctor.sources import Snapshot
from torchdoctor.widgets.event_rows import event_rows
from torchdoctor.widgets.gpu_cells import GPU_GROUPS
from torchdoctor.widgets.history_plot import BAND, METRICS, SPANS, band_plot
from torchdoctor.widgets.topology_rows import topology_rows
from torchprobes.cells import Absent, CellState
from torchprobes.child import Part
from torchprobes.samples import LANES, HostSample, LinkSample, MigSample, Sample
from torchprobes.telemetry import history as recorded

GIB = 1 << 30


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)


def view_text(opened: Opened, one: Sample | None = None, width: int = 119, **changes: Any) -> str:
    """A view as text; `choice` and `answer` as the pane would give them."""
    choice, answer = changes.pop("choice", Choice()), changes.pop("answer", None)
    fields: dict[str, Any] = {"sample": one or sample(), "history": FakeHistory(), "past": FakePast()}
    return page_text(page(opened, choice, answer, Snapshot(**{**fields, **changes}), (width, 40)))


def gpu_text(one: Any, **changes: Any) -> str:
    return view_text(Opened("gpu", f"gpu:{one.uuid}"), sample(8, gpus=(one,)), **changes)


def line_of(text: str, beginning: str) -> str:
    return next(line for line in text.splitlines() if line.strip().startswith(beginning))


def pane_of(app: Any) -> GpusPane:
    assert isinstance(app.pane, GpusPane)
    return app.pane


def notices(app: Any) -> str:
    return " ".join(notice.message for notice in app._notifications)


# --- one GPU ---------------------------------------------------------------------------------------------------


def test_every_reading_of_a_gpu_has_a_place_in_its_detail() -> None:
    shown = [one.cell for _, group in GPU_GROUPS for one in group]
    assert len(shown) == len(set(shown))
    assert set(shown) == set(LANES) - {"links", "migs"}


def test_a_reading_has_its_value_unit_age_and_limit() -> None:
    text = gpu_text(gpu(2, age_s=0.3, temperature_shutdown_c=92))
    assert line_of(text, "power  ").split() == ["power", "240", "W", "0.3", "s", "limit", "700", "W"]
    assert line_of(text, "SM  ").split() == ["SM", "1,980", "MHz", "0.3", "s", "most", "1,980", "MHz"]
    assert line_of(text, "generation  ").split() == ["generation", "5", "1.2", "s", "most", "5"]
    assert line_of(text, "core  ").rstrip().endswith("slows down at 87 °C, shuts down at 92 °C")


def test_counters_are_three_figures() -> None:
    text = gpu_text(gpu(0, pcie_replays=1007, ecc_uncorrected_volatile=9))
    assert line_of(text, "replays").split() == ["replays", "1,007", "1.2", "s", "7", "1"]
    assert line_of(text, "all, uncorrected volatile").split()[-5:] == ["9", "14.0", "s", "2", "–"]
    assert "by the driver    age  since start  last minute" in text


def test_an_absent_reading_says_its_state_its_age_and_why() -> None:
    hung = Absent(state=CellState.HUNG, why="the driver has not answered", age_s=12.3)
    assert line_of(gpu_text(gpu(0, power_w=hung)), "power  ").split()[:4] == ["power", "hung", "12.3", "s"]
    assert "the driver has not answered" in gpu_text(gpu(0, power_w=hung))


def test_links_migs_processes_and_events_of_a_gpu_are_shown() -> None:
    links = (LinkSample(link=0, state=1, version=4, remote="0000:05:00", crc_errors=0, replay_errors=3),
             LinkSample(link=1, state=0))  # fmt: skip
    migs = (MigSample(index=0, uuid="MIG-1", name="1g.18gb", memory_used_bytes=GIB, memory_total_bytes=18 * GIB),)
    text = gpu_text(gpu(5, links=links, migs=migs))
    assert line_of(text, "0  up").split() == ["0", "up", "4", "0000:05:00", "0", "3", "stale"]
    assert "down" in line_of(text, "1  down")
    assert line_of(text, "0  1g.18gb").split()[:3] == ["0", "1g.18gb", "1.0/18.0"]
    assert "XID 79" in text
    assert "4711.0" in line_of(text, "0")
    assert "1 of this GPU, newest first" in text


def test_a_gpu_that_is_no_longer_listed_is_said() -> None:
    assert "no longer listed" in view_text(Opened("gpu", "gpu:GPU-gone"))


def test_every_reading_of_the_host_is_in_its_detail() -> None:
    text = view_text(Opened("host", "host:"))
    cells = [
        n for n in HostSample.__struct_fields__ if n not in ("host", "cores", "disks", "network", "ports", "groups")
    ]
    assert len([line for line in text.splitlines() if line.startswith("    ")]) == len(cells) + 5
    assert line_of(text, "memory used").split() == ["memory", "used", "412.00", "GiB"]


async def test_enter_opens_a_gpu_and_escape_goes_back_to_where_it_was() -> None:
    async with console(size=(80, 24)) as (app, pilot):
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert pane_of(app).opened.subject == f"gpu:{gpu(2).uuid}"
        assert gpu(2).uuid in screen_text(app)
        await pilot.press("G", "escape")
        await pilot.pause()
        assert not pane_of(app).trail
        assert pane_of(app).lines.cursor == f"gpu:{gpu(2).uuid}"
        assert pane_of(app).lines.scroll_y == 0
        await pilot.press("enter", "q")
        assert not pane_of(app).trail
        assert app.is_running


async def test_the_detail_follows_the_newest_sample() -> None:
    world = World()
    async with console(world, size=(110, 40)) as (app, pilot):
        await pilot.press("enter")
        assert world.sampler is not None
        world.sampler.one = sample(8, gpus=(gpu(0, power_w=666.0),))
        world.sampler.judged = lambda: (2, world.sampler.one, world.sampler.health)  # type: ignore[union-attr, method-assign]
        app.tick()
        await pilot.pause()
        assert "666 W" in screen_text(app)


# --- one process -----------------------------------------------------------------------------------------------

OF_0 = Opened("process", f"process:41207:{gpu(0).uuid}:compute")


async def test_enter_on_a_process_asks_about_it_and_shows_the_answer() -> None:
    world = World()
    async with console(world, size=(100, 50)) as (app, pilot):
        pane_of(app).lines.select(OF_0.subject)
        await pilot.press("enter")
        await pilot.pause()
        assert world.inspected == [(41207, 42207)]
        text = screen_text(app)
        for said in (
            "pid 41207",
            "on GPU 0, compute",
            "4711.0",
            "python train.py --fsdp --token ***",
            "└ 41000 torchrun",
            "zombie",
            "slurmstepd.scope/job_4711",
            "1024 1048576 files",
            "permission denied: it belongs",
        ):
            assert said in text, said


def test_what_is_not_known_of_a_process_says_why() -> None:
    waiting = view_text(OF_0, answer=FakeAnswer({}, "waiting"))
    assert "reading /proc" in waiting
    hung = FakeAnswer({"command": Part("hung", cause="no answer"), "status": Part("done", {"name": "x"})}, "hung")
    text = view_text(OF_0, answer=hung)
    assert "hung: no answer" in text
    failed = FakeAnswer({}, "failed")
    failed.cause = "cannot start a child"
    assert "cannot start a child" in view_text(OF_0, answer=failed)
    assert "has left the GPU" in view_text(Opened("process", "process:9:GPU-x:compute"))


def test_hostile_text_of_a_process_detail_stays_in_its_lines() -> None:
    parts = {
        "command": Part("done", HOSTILE * 30),
        "family": Part("done", [{"pid": 1, "name": HOSTILE, "state": "S", "depth": 0}]),
        "status": Part("done", {HOSTILE: HOSTILE}),
        "cgroup": Part("done", [HOSTILE]),
        "limits": Part("done", {HOSTILE: [HOSTILE]}),
        "environment": Part("done", {"variables": {HOSTILE: HOSTILE * 20, "A": ""}, "cut": True}),
    }
    text = view_text(OF_0, width=79, answer=FakeAnswer(parts))
    assert all(line.isprintable() for line in text.splitlines())
    assert "and more, which is not read" in text
    assert "A=" in text


# --- history ---------------------------------------------------------------------------------------------------


def test_every_metric_that_is_plotted_is_recorded() -> None:
    assert {metric.cell for metric in METRICS} == set(recorded.METRICS)


@pytest.mark.parametrize("metric", range(len(METRICS)))
def test_the_top_of_a_plot_is_the_cards_own_limit(metric: int) -> None:
    one = gpu(
        0, power_limit_w=500.0, memory_clock_max_mhz=3201, memory_temperature_max_c=95, nvlink_speed_mbytes_per_s=26562
    )
    text = view_text(Opened("history", f"gpu:{one.uuid}"), sample(8, gpus=(one,)), choice=Choice(metric=metric))
    tops = {"power_w": "of 500 W", "memory_used_bytes": "of 140.0 GiB", "temperature_c": "of 87 °C",
            "memory_temperature_c": "of 95 °C", "sm_clock_mhz": "of 1,980 MHz", "pcie_rx_bytes_per_s": "of 63.0 GB/s",
            "nvlink_tx_bytes_per_s": "of 478.1 GB/s"}  # fmt: skip
    assert METRICS[metric].title in text
    assert tops.get(METRICS[metric].cell, "of ") in text
    assert "highest seen" not in text


def test_a_plot_without_a_limit_says_that_its_top_is_the_highest_seen() -> None:
    one = gpu(0, power_limit_w=Absent(state=CellState.NOT_SUPPORTED, why="x"))
    assert "the highest seen" in view_text(
        Opened("history", f"gpu:{one.uuid}"), sample(8, gpus=(one,)), choice=Choice(metric=3)
    )


def test_a_band_reaches_from_low_to_high_and_a_gap_stays_a_gap() -> None:
    class Window:
        low = (0.0, 50.0, None, 100.0)
        mean = (0.0, 60.0, None, 100.0)
        high = (0.0, 100.0, None, 100.0)

    rows = ["".join(text for text, _ in row) for row in band_plot(Window(), 5, 4, 100.0)]
    assert [row[1] for row in rows] == [" ", " ", " ", "▁"]
    assert [row[2] for row in rows] == [BAND, BAND, "█", "█"]
    assert {row[3] for row in rows} == {" "}
    assert [row[4] for row in rows] == ["█"] * 4
    assert {row[0] for row in rows} == {" "}


def test_events_are_marked_under_the_plot_where_they_happened() -> None:
    now = EVENTS[0].t_ns + 30 * 10**9
    text = view_text(Opened("history", f"gpu:{gpu(5).uuid}"), sample(8, t_ns=now), choice=Choice(span=0))
    marks = next(line for line in text.splitlines() if "▲" in line)
    assert abs(marks.index("▲") - 12 - (119 - 14) / 2) <= 1
    assert "XID 79" in text
    assert "▲" not in view_text(
        Opened("history", f"gpu:{gpu(5).uuid}"), sample(8, t_ns=now + 10**12), choice=Choice(span=0)
    )


async def test_the_keys_of_history_change_metric_time_and_gpu() -> None:
    async with console(size=(100, 40)) as (app, pilot):
        await pilot.press("h")
        await pilot.pause()
        assert "utilisation" in screen_text(app)
        assert "10 minutes" in screen_text(app)
        await pilot.press("m")
        assert pane_of(app).lines.plain_text().split()[0] == "memory"
        await pilot.press("M", "M")
        assert METRICS[-1].title in pane_of(app).lines.plain_text()
        await pilot.press("]", "]", "]")
        assert SPANS[-1][1] in pane_of(app).lines.plain_text()
        await pilot.press("[", "[", "[")
        assert SPANS[0][1] in pane_of(app).lines.plain_text()
        await pilot.press("down", "enter")
        await pilot.pause()
        text = pane_of(app).lines.plain_text()
        assert "GPU 1" in text
        assert "GPU 0" not in text
        await pilot.press("escape")
        assert "GPU 0" in pane_of(app).lines.plain_text()
        await pilot.press("escape")
        assert not pane_of(app).trail


async def test_history_of_the_gpu_that_is_open_shows_that_one() -> None:
    async with console(size=(100, 40)) as (app, pilot):
        await pilot.press("down", "enter", "h")
        text = pane_of(app).lines.plain_text()
        assert "GPU 1" in text
        assert "GPU 0" not in text


# --- topology and events ---------------------------------------------------------------------------------------


def test_the_topology_says_how_gpus_are_connected_and_what_the_words_mean() -> None:
    text = view_text(Opened("topology"))
    words = line_of(text, "GPU 1").split()
    assert words[2:] == ["NV18", "X", *["NV18"] * 2, *["SYS"] * 4, "0", "0-47,96-143"]
    assert "between NUMA nodes: the slowest" in text
    assert "that many NVLinks" in text
    assert "PIX" not in text


@pytest.mark.parametrize("width", [59, 79])
def test_a_topology_that_is_too_wide_is_told_in_blocks(width: int) -> None:
    rows = topology_rows(sample(16), width)
    assert all(cell_len(text_of(row)) <= width for row in rows)
    assert sum(1 for row in rows if text_of(row).startswith("  GPU 15")) >= 2


def test_without_a_topology_the_reason_and_the_numa_nodes_are_shown() -> None:
    text = "\n".join(text_of(row) for row in topology_rows(sample(2, topology=()), 79))
    assert "not read yet" in text
    assert "GPU 1   NUMA and CPUs 0     0-47,96-143" in text


def test_events_have_time_gpu_process_and_job_and_none_is_thinned() -> None:
    many = tuple(EVENTS) * 400
    rows = event_rows(many, sample().gpus, 119)
    assert len(rows) == 2 + len(many)
    newest = event_rows(EVENTS, sample().gpus, 119)[2:]
    assert [text_of(row).split()[2:4] for row in newest] == [["1", "exit"], ["–", "OOM"], ["5", "XID"]]
    assert "python 41207" in text_of(newest[2])
    assert "4711.0" in text_of(newest[2])
    assert all(text_of(row).isprintable() for row in rows)


async def test_t_and_v_open_topology_and_events() -> None:
    async with console(size=(100, 40)) as (app, pilot):
        await pilot.press("t")
        await pilot.pause()
        assert "NV18" in screen_text(app)
        await pilot.press("escape", "v")
        await pilot.pause()
        assert "XID 79" in screen_text(app)
        assert pane_of(app).opened.view == "events"


# --- processes -------------------------------------------------------------------------------------------------


async def test_s_goes_through_the_orders_and_the_cursor_stays_on_its_process() -> None:
    async with console(size=(100, 50)) as (app, pilot):
        pane_of(app).lines.select(OF_0.subject)
        before = pane_of(app).lines._cursor_line()
        await pilot.press("s", "s")
        assert "by CPU" in pane_of(app).plain_text()
        assert pane_of(app).lines.cursor == OF_0.subject
        assert pane_of(app).lines._cursor_line() != before or "by CPU" in pane_of(app).plain_text()


async def test_the_filter_follows_what_is_typed_and_escape_drops_it() -> None:
    async with console(size=(100, 50)) as (app, pilot):
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press(*"mara", "space", *"41210")
        await pilot.pause()
        text = pane_of(app).plain_text()
        assert "1 of 8 with “mara 41210”" in text
        assert "41211" not in text
        await pilot.press("enter")
        assert pane_of(app).choice.wanted == "mara 41210"
        assert app.focused is pane_of(app).lines
        await pilot.press("escape")
        assert "41211" in pane_of(app).plain_text()
        await pilot.press("F")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press("x", "escape")
        assert pane_of(app).choice.wanted == ""


async def test_a_process_that_left_gives_its_place_to_the_next() -> None:
    world = World()
    async with console(world, size=(100, 50)) as (app, pilot):
        pane_of(app).lines.select(OF_0.subject)
        assert world.sampler is not None
        left = sample(8, processes=tuple(p for p in sample().processes if p.pid != 41207))
        world.sampler.judged = lambda: (2, left, world.sampler.health)  # type: ignore[union-attr, method-assign]
        app.tick()
        await pilot.pause()
        assert pane_of(app).lines.cursor is not None
        assert pane_of(app).lines.cursor != OF_0.subject


# --- signals ---------------------------------------------------------------------------------------------------


async def _ask(app: Any, pilot: Any) -> str:
    pane_of(app).lines.select(OF_0.subject)
    await pilot.press("k")
    await pilot.pause()
    assert isinstance(app.screen, SignalQuestion)
    return screen_text(app)


@pytest.mark.parametrize("key", list(SIGNALS))
async def test_a_signal_is_chosen_confirmed_and_sent_to_that_very_process(key: str) -> None:
    world = World()
    async with console(world, size=(80, 40)) as (app, pilot):
        text = await _ask(app, pilot)
        for said in ("41207", "mara", "python train.py --rank 0", "SIGTERM", "SIGINT", "SIGKILL"):
            assert said in text
        await pilot.press("y")
        assert isinstance(app.screen, SignalQuestion), "nothing is sent before one was chosen"
        await pilot.press(key, "y")
        await until(pilot, lambda: world.signals)
        assert world.signals == [(41207, 42207, int(SIGNALS[key][0]))]
        await until(pilot, lambda: f"{SIGNALS[key][0].name} sent to 41207" in notices(app))


@pytest.mark.parametrize("key", ["n", "escape", "enter", "q"])
async def test_anything_but_y_sends_nothing(key: str) -> None:
    world = World()
    async with console(world, size=(80, 40)) as (app, pilot):
        await _ask(app, pilot)
        await pilot.press("k", key)
        await pilot.pause()
        assert not isinstance(app.screen, SignalQuestion)
        assert world.signals == []
        assert app.is_running


async def test_a_signal_that_is_refused_says_why() -> None:
    world = World(refused="it belongs to uid 0: only your own processes get signals from here")
    async with console(world, size=(80, 40)) as (app, pilot):
        await _ask(app, pilot)
        await pilot.press("t", "y")
        await until(pilot, lambda: "SIGTERM not sent: it belongs to uid 0" in notices(app))


@pytest.mark.parametrize("settings", [{"read_only": True}, {}])
async def test_read_only_and_a_gpu_row_have_no_signal(settings: dict[str, Any]) -> None:
    world = World()
    async with console(world, size=(160, 40), **settings) as (app, pilot):
        key = OF_0.subject if settings else f"gpu:{gpu(0).uuid}"
        pane_of(app).lines.select(key)
        await pilot.press("k")
        await pilot.pause()
        assert not isinstance(app.screen, SignalQuestion)
        assert "k signal" not in screen_text(app)
        app.sources.signal(process(1, 0), signal.SIGTERM)
        assert (not world.signals) or not settings


# --- replay ----------------------------------------------------------------------------------------------------


async def test_a_replay_is_paused_wound_and_sped_by_its_keys() -> None:
    world = World(replays=True)
    async with console(world, size=(120, 40), replay="x.tdrec") as (app, pilot):
        replay = world.sampler
        assert isinstance(replay, FakeReplay)
        assert "12:34 of 40:00" in screen_text(app)
        await pilot.press("space")
        assert replay.paused
        assert "paused" in screen_text(app)
        for key, place in (("right", 764.0), ("left", 754.0), ("shift+right", 1054.0), ("shift+left", 754.0),
                           ("full_stop", 764.0), ("comma", 754.0)):  # fmt: skip
            await pilot.press(key)
            assert replay.position_s == place
        for key, pace in (("plus", 2.0), ("plus", 4.0), ("minus", 2.0)):
            await pilot.press(key)
            assert replay.pace == pace
        await pilot.press(*["shift+left"] * 5)
        assert replay.position_s == 0.0
        pane_of(app).lines.select(OF_0.subject)
        await pilot.press("enter")
        assert world.inspected == []
        await pilot.press("k")
        assert not isinstance(app.screen, SignalQuestion)


async def test_without_a_replay_its_keys_are_not_offered_and_space_holds_the_screen() -> None:
    async with console(size=(200, 40)) as (app, pilot):
        await pilot.press("left", "plus")
        assert "earlier" not in screen_text(app)
        await pilot.press("space")
        await pilot.pause()
        assert "PAUSED" in screen_text(app)


# --- everywhere ------------------------------------------------------------------------------------------------


async def test_every_view_is_drawn_in_ascii_and_without_colour_alone() -> None:
    async with console(World(), (80, 24), PLAIN) as (app, pilot):
        for keys in (["enter"], ["h"], ["t"], ["v"], ["G", "enter"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert screen_text(app).isascii(), screen_text(app)
            await pilot.press("escape")


async def test_the_keys_at_the_bottom_follow_what_is_there() -> None:
    world = World(sample=sample(2), findings=())
    async with console(world, size=(120, 40)) as (app, pilot):
        await until(pilot, lambda: "enter open  h history" in screen_text(app))
        assert world.sampler is not None
        bare = sample(2, processes=())
        world.sampler.judged = lambda: (2, bare, world.sampler.health)  # type: ignore[union-attr, method-assign]
        app.tick()
        await until(pilot, lambda: "s sort" not in screen_text(app))


async def test_a_hidden_pane_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console() as (app, pilot):
        built: list[int] = []
        gpus = pane_of(app)
        await pilot.press("2")
        await pilot.pause()
        monkeypatch.setattr(gpus, "page", lambda *_: built.append(1))
        for _ in range(3):
            app.sources._set(verdict="changed")
            app.tick()
            await pilot.pause()
        assert not built


async def test_nothing_is_built_anew_while_nothing_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console() as (app, pilot):
        built: list[int] = []
        gpus = pane_of(app)
        whole = gpus.page
        monkeypatch.setattr(gpus, "page", lambda *asked: (built.append(1), whole(*asked))[1])
        for _ in range(5):
            app.tick()
            await pilot.pause()
        assert not built
        app.sources._set(verdict="changed")
        app.tick()
        assert built
