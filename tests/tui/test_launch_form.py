"""The form that launches a job, on fakes: what it asks of the desk, what it shows of the answers, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from console_app import console, screen_text, until
from fake_jobs import HEALTHY, FakeJobs
from fakes import TARGET, World
from job_screens import FOUND, PLAN

from torchdoctor.launch_form import LaunchForm

FORM: dict[str, Any] = {"plan": PLAN, "preflight": []}


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("torchdoctor.launch_planner.SETTLED_S", 0.01)


def world(**answers: Any) -> World:
    return World(report=None, jobs=FakeJobs(view=HEALTHY, answers={**FORM, **answers}))


async def opened(app: Any, pilot: Any) -> LaunchForm:
    await pilot.press("3", "L")
    await until(pilot, lambda: isinstance(app.screen, LaunchForm))
    await pilot.pause()
    return app.screen


def asked(there: World, question: str) -> list[Any]:
    return [arguments for name, arguments in there.jobs.asked if name == question]


async def test_an_empty_form_asks_nothing_and_launches_nothing() -> None:
    there = world()
    async with console(there) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("f5")
        await pilot.pause()
        assert not asked(there, "plan")
        assert not asked(there, "launch")
        assert "name a script" in screen_text(app)


async def test_with_the_keyboard_alone_from_fields_to_a_job_on_screen() -> None:
    there = world(launch="/runs/new")
    async with console(there) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(
            *"train.py", "enter", *"--lr 3", "tab", *"gpu", "down", *"--nnodes 2", "tab", "right", "space"
        )
        await until(pilot, lambda: "nothing was found that stands in its way" in screen_text(app))
        await pilot.press("f5")
        await until(pilot, lambda: asked(there, "launch"))
        form = asked(there, "launch")[-1]
        assert [form[name] for name in ("script", "arguments", "ranks", "torchrun")] == [
            "train.py", "--lr 3", "gpu", "--nnodes 2",
        ]  # fmt: skip
        assert form["ddp"]
        assert form["inject"]
        assert not form["nccl_debug"]
        assert form["target"]["python"] == TARGET.python
        assert form["gpus"] == 8
        await until(pilot, lambda: "no fault seen on 8 ranks" in screen_text(app))
        assert "views /runs/new" in there.jobs.done


async def test_the_command_and_findings_are_shown_as_they_come() -> None:
    there = world(preflight=FOUND)
    async with console(there, size=(100, 40)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: "port 29500 is held by pid 4711" in screen_text(app))
        text = screen_text(app)
        assert "torchdoctor launch --nproc-per-node=8 -- train.py --lr 3e-4" in text
        assert "torch.distributed.run" in text
        assert text.index("port 29500") < text.index("/dev/shm has 64 MiB"), "critical first"


async def test_what_would_fail_is_launched_on_a_second_press_only() -> None:
    there = world(preflight=FOUND, launch="/runs/new")
    async with console(there) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: "port 29500" in screen_text(app))
        await pilot.press("f5")
        await until(pilot, lambda: "once more launches it all the same" in screen_text(app))
        assert not asked(there, "launch")
        await pilot.press("f5")
        await until(pilot, lambda: asked(there, "launch"))


async def test_a_last_tick_of_a_form_that_is_closed_closes_nothing_else() -> None:
    there = world(launch="/runs/new")
    async with console(there) as (app, pilot):
        form = await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: form.planner.answers.plan)
        await pilot.press("f5")
        await until(pilot, lambda: app.screen is not form)
        under = app.screen
        form.refresh_data()
        await pilot.pause()
        assert app.screen is under


async def test_a_command_that_cannot_be_is_one_line_and_is_not_launched() -> None:
    there = world(plan="!ranks: No closing quotation")
    async with console(there) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: "✘ ranks: No closing quotation" in screen_text(app))
        await pilot.press("f5")
        await pilot.pause()
        assert not asked(there, "launch")


async def test_a_launch_that_fails_says_why_and_the_form_stays() -> None:
    there = world(launch="!train.py: no such file")
    async with console(there) as (app, pilot):
        form = await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: form.planner.answers.plan)
        await pilot.press("f5")
        await until(pilot, lambda: "✘ train.py: no such file" in screen_text(app))
        assert app.screen is form


async def test_what_was_filled_in_is_there_the_next_time() -> None:
    async with console(world()) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"train.py", "tab", "tab", "tab", "tab", "space", "escape")
        await until(pilot, lambda: not isinstance(app.screen, LaunchForm))
        form = await opened(app, pilot)
        assert form.form()["script"] == "train.py"
        assert form.form()["inject"] == ""


async def test_pre_flight_that_gives_no_answer_is_said() -> None:
    there = world(preflight="!no answer to 'preflight' in 6 s")
    async with console(there) as (app, pilot):
        await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: "no answer to 'preflight' in 6 s" in screen_text(app))


async def test_the_button_launches() -> None:
    there = world(launch="/runs/new")
    async with console(there) as (app, pilot):
        form = await opened(app, pilot)
        await pilot.press(*"train.py")
        await until(pilot, lambda: form.planner.answers.plan)
        await pilot.click("#form-launch")
        await until(pilot, lambda: asked(there, "launch"))
