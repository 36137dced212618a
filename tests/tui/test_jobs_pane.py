"""The Jobs pane on fakes: what opens, what is offered, what is asked of the desk, and what text from outside may do."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from console_app import PLAIN, console, screen_text, until
from fake_jobs import CRASHED, ENDED, FOREIGN, HEALTHY, HUNG, MANY, OURS, RUN, SPAWN, FakeJobs, rank, view
from fakes import HOSTILE, FakeCheck, World
from fakes import view as probe_view

from torchdoctor.dialogs import Question
from torchdoctor.job_source import Jobs, listed
from torchdoctor.panes.jobs_views import Look, Tail, listing, shown
from torchdoctor.widgets.job_words import command_text, lag_text, long_text, ranks_text, spread_text
from torchdoctor.widgets.rank_rows import SORTS, rank_cells
from torchprobes.distributed import JOB_STATES, RANK_STATES, JobVerdict, SourceState, StackGroup
from torchprobes.model import Evidence


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)


def world(*rows: dict[str, Any], view: Any = None, **answers: Any) -> World:
    return World(report=None, jobs=FakeJobs(rows=list(rows), view=view, answers=answers))


async def at_jobs(app: Any, pilot: Any, *, seen: bool = True) -> Any:
    """Open the pane and wait for its list, and for the view of what opens by itself."""
    await pilot.press("3")
    source = app.sources.jobs
    await until(pilot, lambda: source.snapshot().listed is not None)
    app.tick()
    await until(pilot, lambda: not seen or source.snapshot().view is not None)
    await tick(app, pilot)
    return source


async def tick(app: Any, pilot: Any) -> None:
    for _ in range(2):
        app.tick()
        await pilot.pause()


# --- opening -----------------------------------------------------------------------------------------------------


async def test_without_a_job_the_pane_says_how_to_get_one() -> None:
    async with console(world()) as (app, pilot):
        await at_jobs(app, pilot, seen=False)
        assert "No distributed job runs on this node." in screen_text(app)
        assert "L launch" in screen_text(app)


async def test_a_list_that_cannot_be_read_says_why_and_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchdoctor.job_source.LIST_S", 0.01)
    there = world()
    rows, there.jobs.rows = there.jobs.rows, None  # type: ignore[assignment]
    async with console(there) as (app, pilot):
        await pilot.press("3")
        await until(pilot, lambda: "jobs cannot be listed" in screen_text(app))
        there.jobs.rows = rows
        await until(pilot, lambda: "No distributed job runs" in screen_text(app))


async def test_our_running_job_opens_by_itself_and_back_leads_to_the_list() -> None:
    there = world(FOREIGN, OURS, ENDED, view=HEALTHY)
    async with console(there) as (app, pilot):
        source = await at_jobs(app, pilot)
        assert source.snapshot().run == RUN
        assert "no fault seen on 8 ranks" in screen_text(app)
        await pilot.press("escape")
        await tick(app, pilot)
        text = screen_text(app)
        assert "slurm:4711.0" in text
        assert "rank 3 on gpu-node" in text
        await tick(app, pilot)
        assert app.pane.look is None, "it does not open again by itself"


async def test_several_foreign_jobs_wait_for_a_choice_and_one_is_attached_to() -> None:
    there = world(FOREIGN, SPAWN, view=HUNG, attach="/runs/attached")
    async with console(there) as (app, pilot):
        source = await at_jobs(app, pilot, seen=False)
        assert source.snapshot().opened == ""
        await pilot.press("down", "enter")
        await until(pilot, lambda: source.snapshot().view is not None)
        await tick(app, pilot)
        assert ("attach", {"job": "spawn:3301"}) in there.jobs.asked
        assert "views /runs/attached" in there.jobs.done
        assert "no progress for 31 s" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: ("detach", {"run": "/runs/attached"}) in there.jobs.asked)


async def test_a_watcher_that_died_is_told_over_what_it_saw_last() -> None:
    there = world(FOREIGN, view=HUNG, attach="/runs/attached", watching="no longer watched, the watcher ended: SIGKILL")
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot, seen=False)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "the watcher ended: SIGKILL" in screen_text(app))
        assert "no progress for 31 s" in screen_text(app), "what it saw last stays"


async def test_a_job_that_cannot_be_attached_to_says_why() -> None:
    there = world(FOREIGN, attach="!slurm:4711.0 has ended")
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot, seen=False)
        await until(pilot, lambda: "slurm:4711.0 has ended" in screen_text(app))


async def test_the_job_that_the_command_line_named_is_opened() -> None:
    async with console(world(OURS, ENDED, view=HEALTHY), open_job=RUN) as (app, pilot):
        assert app.here == "jobs"
        await until(pilot, lambda: "no fault seen" in screen_text(app))


async def test_a_hidden_pane_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchdoctor.job_source.LIST_S", 0.01)
    there = world()
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot, seen=False)
        await pilot.press("1")
        source = app.sources.jobs
        assert not source._watched.is_set()
        assert not there.jobs.stopped
        app.leave(0)
    assert there.jobs.stopped


async def test_the_ranks_of_a_distributed_probe_are_a_job() -> None:
    folder = "/runs/1/probes/ddp.allreduce"
    check = FakeCheck(views=(probe_view("ddp.allreduce", "running", folder=folder),))
    there = world({**FOREIGN, "command": f"python -m torch.distributed.run --log-dir={folder}/artifacts/logs"})
    there.check = check
    async with console(there) as (app, pilot):
        app.sources._check = check  # type: ignore[assignment]
        source = await at_jobs(app, pilot)
        assert source.snapshot().opened == "probe"
        assert [job.key for job in source.snapshot().listed] == ["probe"], "its torchrun is no second job"
        await pilot.press("c")
        assert "ctrl+c cancels it" in await notice(app, pilot)


# --- going about -------------------------------------------------------------------------------------------------


async def notice(app: Any, pilot: Any) -> str:
    await until(pilot, lambda: list(app._notifications))
    return " ".join(note.message for note in app._notifications)


async def test_the_cursor_begins_on_the_guilty_rank_and_enter_tells_everything_about_it() -> None:
    there = world(OURS, view=CRASHED, tail=["RuntimeError: boom", HOSTILE])
    async with console(there, size=(100, 44)) as (app, pilot):
        await at_jobs(app, pilot)
        assert app.pane.lines.cursor == "rank:5"
        await pilot.press("enter")
        await until(pilot, lambda: app.pane._tail[1] is not None)
        await tick(app, pilot)
        text = screen_text(app)
        for said in (
            "named by the verdict",
            "pid 41205",
            "exit code 1",
            "RuntimeError: boom",
            "local rank",
            "ptrace_scope",
        ):
            assert said in text, said
        await pilot.press("escape")
        await tick(app, pilot)
        assert app.pane.lines.cursor == "rank:5"


async def test_views_by_their_keys() -> None:
    async with console(world(OURS, view=HUNG), size=(100, 40)) as (app, pilot):
        await at_jobs(app, pilot)
        for key, said in {
            "v": "7 GPUs are 100 % busy", "t": "the odd group", "u": "sudo sysctl kernel.yama.ptrace_scope=0",
        }.items():  # fmt: skip
            await pilot.press(key)
            await tick(app, pilot)
            assert said in screen_text(app), key
        await pilot.press("u")
        await tick(app, pilot)
        assert "steps/s" in screen_text(app)
        await pilot.press("right_square_bracket", "right_square_bracket")
        assert app.pane.look.view == "stacks"
        await pilot.press("q")
        assert app.pane.look.view == "ranks", "q goes back and does not quit"


async def test_sorting_brings_the_guilty_rank_to_the_top() -> None:
    async with console(world(OURS, view=MANY), size=(80, 24)) as (app, pilot):
        await at_jobs(app, pilot)
        await pilot.press("s")
        await tick(app, pilot)
        assert app.pane.lines.page.keys[0] == "rank:37"
        assert "rank 37" in screen_text(app)


async def test_pause_holds_the_screen() -> None:
    there = world(OURS, view=HEALTHY)
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot)
        await pilot.press("space")
        there.jobs.view = CRASHED
        await until(pilot, lambda: app.sources.jobs.snapshot().view is CRASHED)
        await tick(app, pilot)
        assert "no fault seen" in screen_text(app)
        await pilot.press("space")
        await until(pilot, lambda: "rank 5 on gpu-node-07 raised" in screen_text(app))


async def test_a_crash_is_on_screen_soon_after_its_view_is_there() -> None:
    """Figures, no gate: the time from a new view to a screen that says it."""
    there = world(OURS, view=HEALTHY)
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot)
        began = time.monotonic()
        there.jobs.view = CRASHED
        await until(pilot, lambda: "rank 5 on gpu-node-07 raised" in screen_text(app))
        print(f"view to screen {1e3 * (time.monotonic() - began):.0f} ms")


# --- actions -----------------------------------------------------------------------------------------------------


async def test_stop_asks_first_and_then_asks_the_desk() -> None:
    there = world(OURS, view=HEALTHY, stop="stopped: 8 ranks ended in 0.4 s")
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot)
        await pilot.press("c")
        assert isinstance(app.screen, Question)
        await pilot.press("n")
        assert not [one for one in there.jobs.asked if one[0] == "stop"]
        await pilot.press("c", "y")
        await until(pilot, lambda: ("stop", {"run": RUN}) in there.jobs.asked)
        assert "8 ranks ended in 0.4 s" in await notice(app, pilot)


async def test_a_job_of_others_is_never_stopped() -> None:
    there = world(FOREIGN, view=HUNG, attach="/runs/attached")
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot)
        await pilot.press("c")
        assert "was not launched by torchdoctor" in await notice(app, pilot)
        assert not isinstance(app.screen, Question)
        assert not [one for one in there.jobs.asked if one[0] == "stop"]


async def test_diagnose_export_and_copy() -> None:
    there = world(OURS, view=HUNG)
    async with console(there) as (app, pilot):
        await at_jobs(app, pilot)
        await pilot.press("d", "x", "t", "y")
        await until(pilot, lambda: f"diagnose {RUN}" in there.jobs.done and f"{RUN}/job.json" in there.jobs.done)
        await until(pilot, lambda: there.written)
        assert "fetch (data.py:88)" in there.written[-1]
        assert "no progress for 31 s" in there.written[-1]


@pytest.mark.parametrize("key", ["L", "c", "d"])
async def test_read_only_offers_nothing_that_changes_anything(key: str) -> None:
    there = world(OURS, view=HEALTHY)
    async with console(there, read_only=True) as (app, pilot):
        await at_jobs(app, pilot)
        before = app.screen
        await pilot.press(key)
        assert app.screen is before
        assert {one[0] for one in there.jobs.asked} <= {"list"}
        assert not [one for one in there.jobs.done if one.startswith("diagnose")]
        for word in ("launch", "stop", "diagnose"):
            assert word not in screen_text(app).splitlines()[-1]


# --- pages -------------------------------------------------------------------------------------------------------


def jobs_of(one: Any, **changes: Any) -> Jobs:
    fields: dict[str, Any] = {"listed": (listed(OURS),), "opened": OURS["key"], "run": RUN, "view": one}
    return Jobs(**{**fields, **changes})


def text_of_screen(made: Any) -> str:
    rows = ["".join(text for text, _ in row) for row in (*made.head, *made.page.lines, *made.foot)]
    return "\n".join(rows)


def test_eight_ranks_the_verdict_and_the_rank_under_the_cursor_fit_80_by_24() -> None:
    for one in (HEALTHY, CRASHED, HUNG):
        made = shown(jobs_of(one), Look(), (79, 20))
        assert len(made.head) + len(made.page.lines) + len(made.foot) <= 20
        assert all(len(row) <= 79 for row in text_of_screen(made).splitlines())


def test_a_verdict_that_is_not_sure_says_so() -> None:
    hung = text_of_screen(shown(jobs_of(HUNG), Look(), (79, 20)))
    assert hung.count("not sure") == 1
    bare = msgspec.structs.replace(HUNG, verdict=msgspec.structs.replace(HUNG.verdict, line="no progress for 31 s"))
    assert "not sure: no progress for 31 s" in text_of_screen(shown(jobs_of(bare), Look(), (79, 20)))
    said = msgspec.structs.replace(HUNG, verdict=msgspec.structs.replace(HUNG.verdict, line="not sure: two say two"))
    assert text_of_screen(shown(jobs_of(said), Look(), (79, 20))).count("not sure") == 1


def test_a_job_without_a_fault_is_never_called_safe() -> None:
    text = text_of_screen(shown(jobs_of(HEALTHY), Look(), (79, 20)))
    assert "no fault seen on 8 ranks" in text
    one_left = view((*(rank(n, "ended") for n in range(3)), rank(3, "lost")), "ended")
    assert "3 of 4 ranks are seen to end with 0" in text_of_screen(shown(jobs_of(one_left), Look(), (79, 20)))


def test_columns_without_a_reading_are_not_shown_and_nothing_unread_is_a_zero() -> None:
    bare = view(tuple(msgspec.structs.replace(rank(n), gpu="", step_rate_hz=None, lag_s=None, memory_bytes=None,
                gpu_utilization_percent=None, gpu_power_w=None, cpu_percent=None, rss_bytes=None, steps=None,
                waiting_s=None, quiet_s=None, last_share=None, memory_spread=None) for n in range(2)))  # fmt: skip
    text = text_of_screen(shown(jobs_of(bare), Look(), (199, 46)))
    for word in ("steps/s", "lag", "memory", "gpu", "cpu", "waits", "rss", " 0 %", "0.0"):
        assert word not in text.replace("gpu-node-07", ""), word


def test_every_state_has_a_sign_and_is_shown_by_its_word() -> None:
    for state in RANK_STATES:
        assert state in text_of_screen(shown(jobs_of(view((rank(0, state),))), Look(), (79, 20)))
    for state in (*JOB_STATES, "of-a-later-version"):
        assert state in text_of_screen(shown(jobs_of(view((rank(0),), state)), Look(), (79, 20)))


def test_unread_ranks_come_last_in_every_order() -> None:
    ranks = (
        rank(0, lag_s=None, step_rate_hz=None),
        rank(1, lag_s=0.02, step_rate_hz=3.0),
        rank(2, lag_s=0.1, step_rate_hz=1.0),
    )
    orders = {sort: [cell.rank.rank for cell in rank_cells(view(ranks), sort)] for sort in SORTS}
    assert orders["lag"] == [2, 1, 0]
    assert orders["step rate"] == [2, 1, 0]
    assert orders["rank"] == [0, 1, 2]


def test_only_ranks_in_view_are_drawn() -> None:
    many = view(tuple(rank(number) for number in range(512)))
    made = shown(jobs_of(many), Look(), (199, 46))
    assert len(made.page.lines) == 512
    assert not made.page.lines._made  # type: ignore[attr-defined]
    assert "all_reduce" in "".join(text for text, _ in made.page.lines[511])


def test_no_text_from_outside_acts() -> None:
    states = SourceState(source="log", available=False, why=HOSTILE, command=HOSTILE)
    one = rank(0, HOSTILE, host=HOSTILE, gpu=HOSTILE, exit=HOSTILE, why=HOSTILE, phase=HOSTILE, collective=HOSTILE,
               stdout=HOSTILE, stderr=HOSTILE, sources=(states,))  # fmt: skip
    bad = view(
        (one, msgspec.structs.replace(one, rank=1)), HOSTILE, command=HOSTILE, user=HOSTILE, launcher=HOSTILE,
        notes=(HOSTILE,),
        verdict=JobVerdict(ranks=(0,), cause=HOSTILE, line=HOSTILE),
        evidence=(Evidence(kind=HOSTILE, text=HOSTILE, artifact=HOSTILE),),
        stacks=(StackGroup(ranks=(0,), what=HOSTILE, text=(HOSTILE,)),),
    )  # fmt: skip
    evil = dict.fromkeys(("name", "launcher", "user", "command", "state", "line", "cause"), HOSTILE)
    row = listed({**OURS, **evil, "notes": [HOSTILE]})
    looks = [Look(), Look(rank="rank:0", tail=Tail(HOSTILE, (HOSTILE,))), Look(rank="rank:0", tail=Tail(why=HOSTILE)),
             *(Look(view=name) for name in ("evidence", "stacks", "sources"))]  # fmt: skip
    texts = [text_of_screen(shown(jobs_of(bad), look, (149, 40))) for look in looks]
    texts += [text_of_screen(listing(Jobs(listed=(row,), note=HOSTILE), None, (149, 40))),
              text_of_screen(shown(jobs_of(None, opening=HOSTILE), Look(), (149, 40)))]  # fmt: skip
    for text in texts:
        assert all(char.isprintable() or char == "\n" for char in text), text
        assert "evil" in text


async def test_signs_are_ascii_where_they_must_be() -> None:
    async with console(world(OURS, view=CRASHED), capabilities=PLAIN) as (app, pilot):
        await at_jobs(app, pilot)
        assert screen_text(app).isascii()


def test_words_of_numbers() -> None:
    assert [long_text(s) for s in (None, 0.04, 12, 200, 7500, 273600)] == [
        "",
        "0.0 s",
        "12 s",
        "3 m 20 s",
        "2 h 5 m",
        "3 d 4 h",
    ]
    assert [lag_text(s) for s in (None, 0.00015, 0.0202, 1.3)] == ["", "0.15 ms", "20.2 ms", "1.30 s"]
    assert ranks_text((5, 0, 1, 2)) == "0–2, 5"
    assert [spread_text(s) for s in (None, 0.002, 0.03)] == ["", "±0.2 %", "±3 %"]


@pytest.mark.parametrize(("command", "said"), [
    ("/v/python -m torch.distributed.run --no-python /v/python -I -S /x/rank_shim.py td-1 /v/python -u train.py --lr 1",
     "train.py --lr 1"),
    ("/v/bin/python3.11 -u -m pkg.train a", "-m pkg.train a"),
    ("python -m torch.distributed.run --standalone --nproc-per-node=2 a_train.py --x", "a_train.py --x"),
    ("/v/bin/torchrun --nnodes 2 -m pkg.train", "-m pkg.train"),
    ("torchrun --no-python ./app", "torchrun --no-python ./app"),
    ("srun --mpi=pmix ./app", "srun --mpi=pmix ./app"),
    ("", ""),
])  # fmt: skip
def test_a_command_is_told_without_what_launches_it(command: str, said: str) -> None:
    assert command_text(command) == said
