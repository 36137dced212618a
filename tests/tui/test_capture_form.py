"""The form that starts a capture: what it plans while it is filled in, what it shows of that, and how it ends."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from console_app import console, screen_text, until
from fakes import TARGET, World

from torchdoctor import capture_desk as desk
from torchdoctor import later
from torchdoctor.capture_form import CaptureForm
from torchprobes.compilelog.switches import Torch
from torchprobes.runner import capture, capture_plan

PYTHON = shlex.quote(sys.executable)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path))
    for name in ("NO_COLOR", "TORCH_LOGS", "TORCH_TRACE", "TORCH_COMPILE_DEBUG", "TORCH_COMPILE_DEBUG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(capture_plan, "torch_of", lambda python, _: (Torch("2.6.0") if python else Torch(), ()))


@asynccontextmanager
async def opened(last: Mapping[str, Any] | None = None) -> AsyncIterator[tuple[Any, Any, list[str | None]]]:
    answers: list[str | None] = []
    async with console(World(report=None), size=(100, 34)) as (app, pilot):
        app.push_screen(later.capture_form(app, last or {}), answers.append)
        await until(pilot, lambda: isinstance(app.screen, CaptureForm))
        await pilot.pause()
        yield app, pilot, answers


def typed(text: str) -> list[str]:
    return ["space" if char == " " else char for char in text]


async def test_the_exact_command_and_environment_are_shown_before_anything_runs() -> None:
    async with opened({"command": f"{PYTHON} train.py --lr 3"}) as (app, pilot, _):
        await until(pilot, lambda: "RUN/trace" in screen_text(app))
        text = " ".join(screen_text(app).split())
        assert f"torchdoctor capture -- {PYTHON} train.py --lr 3" in text
        assert "TORCH_LOGS=graph_breaks,recompiles,perf_hints,cudagraphs" in text
        assert "TORCH_COMPILE_DEBUG=1" not in text
        assert "2.6.0" in text


async def test_switches_and_names_come_to_one_choice() -> None:
    async with opened({"command": f"{PYTHON} x.py"}) as (app, pilot, _):
        await pilot.press("tab", "tab", *"guards", "tab", "right", "space")
        await until(pilot, lambda: "--switches default,debug,guards" in screen_text(app))
        text = " ".join(screen_text(app).split())
        assert "TORCH_COMPILE_DEBUG=1" in text
        assert "cudagraphs,guards" in text


async def test_a_name_that_this_torch_lacks_is_one_line_and_starts_nothing() -> None:
    async with opened({"command": f"{PYTHON} x.py", "names": "autotuning"}) as (app, pilot, answers):
        await until(pilot, lambda: "may not know autotuning" in screen_text(app))
        await pilot.press("f5")
        await pilot.pause()
        assert isinstance(app.screen, CaptureForm)
        assert not answers


async def test_a_python_file_alone_gets_the_interpreter_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.runner.capture_command.program_missing", lambda *_: "")
    async with opened({"command": "no-such-program.py"}) as (app, pilot, _):
        await until(pilot, lambda: f"{TARGET.python} no-such-program.py" in screen_text(app))


async def test_an_open_quotation_is_said() -> None:
    async with opened({"command": "python 'x"}) as (app, pilot, _):
        await until(pilot, lambda: "No closing quotation" in screen_text(app))


async def test_with_the_keyboard_alone_to_a_capture_that_runs_and_can_be_cancelled() -> None:
    async with opened() as (app, pilot, answers):
        assert "name a command" in screen_text(app)
        await pilot.press(*typed("sleep 600"))
        await until(pilot, lambda: "torchdoctor capture -- sleep 600" in screen_text(app))
        await pilot.press("f5")
        await until(pilot, lambda: answers)
        run = answers[0]
        assert run is not None
        assert capture.folder_of(Path(run)).is_dir()
        await pilot.press("q")
        await until(pilot, lambda: "It ends with this console" in screen_text(app))
        await pilot.press("n", "ctrl+c")
        await until(pilot, lambda: (view := desk.view(run)) is not None and view.finished)
        end = capture.end_of(Path(run))
        assert end is not None
        assert (end.signal, end.cause) == ("SIGKILL", "cancelled in the console")
        assert not desk.cancel(run)
        assert not later.what_ends(probes=False)


async def test_escape_starts_nothing() -> None:
    async with opened({"command": "true"}) as (_, pilot, answers):
        await pilot.press("escape")
        await until(pilot, lambda: answers == [None])
