"""Payloads of an environment whose home, PATH or TMPDIR gives no answer: they end in time and tell what hung."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import ModuleType

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

SLACK_S = 10.0
"""What a loaded machine may add to a deadline; a hang would add for ever."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "looks")


def ask(path: Path) -> list[str]:
    return os.listdir(path)


# --- one look ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dead_mount", pytest.param("frozen_mount", marks=pytest.mark.trials)])
def test_what_hangs_is_left_at_its_deadline(kind: str, looks: ModuleType, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    began = time.monotonic()
    with pytest.raises(looks.Hung, match=r"^no answer in 0\.3 s$"):
        looks.within(0.3, ask, folder)
    assert time.monotonic() - began < SLACK_S


def test_an_answer_and_an_error_come_as_they_are_however_long(looks: ModuleType, tmp_path: Path) -> None:
    assert looks.within(SLACK_S, lambda: "x" * (1 << 20)) == "x" * (1 << 20)
    with pytest.raises(FileNotFoundError) as caught:
        looks.within(SLACK_S, ask, tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")


def test_a_child_that_dies_and_an_error_that_cannot_travel_are_told(looks: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="died"):
        looks.within(SLACK_S, lambda: os.kill(os.getpid(), 9))

    class Local(Exception):
        pass

    def fail() -> None:
        raise Local("words")

    with pytest.raises(RuntimeError, match="Local: words"):
        looks.within(SLACK_S, fail)


def test_what_a_hung_look_has_started_is_gone_with_it(looks: ModuleType, tmp_path: Path) -> None:
    told = tmp_path / "pid"

    def start() -> None:
        child = subprocess.Popen(["/bin/sleep", "1000"])
        told.write_text(str(child.pid))
        child.wait()

    look = looks.Look(looks.within, 1000, start)
    while not (told.exists() and told.read_text()):
        time.sleep(0.01)
    with pytest.raises(looks.Hung):
        look.answer(time.monotonic())
    pid = told.read_text()
    deadline = time.monotonic() + SLACK_S
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _lives(pid)


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# --- payloads ------------------------------------------------------------------------------------------------------


def on_dead_ground(folder: Path, name: str, dead: Path, **more: str) -> Said:
    """The probe with a dead home, a dead folder before all others on PATH, and what else is named."""
    home = {"HOME": str(dead), "PATH": f"{dead}/bin{os.pathsep}{os.environ['PATH']}", **more}
    return run_payload(folder, name, environ=home, limit_s=60)


@pytest.mark.trials
@pytest.mark.parametrize(
    ("name", "verdict", "finding"),
    [
        ("env.jupyter", Verdict.UNSURE, "TD-ENV-090"),
        ("env.image", Verdict.UNSURE, "TD-ENV-098"),
        ("env.extensions", Verdict.SKIP, "TD-ENV-083"),
    ],
)
def test_a_dead_home_is_named(tmp_path: Path, dead_mount: Path, name: str, verdict: Verdict, finding: str) -> None:
    said = on_dead_ground(tmp_path / "run", name, dead_mount)
    assert (said.judgement.verdict, said.ids[0]) == (verdict, finding), said.judgement
    assert str(dead_mount) in said.judgement.reason
    assert "no answer in" in said.judgement.reason


@pytest.mark.compiles
@pytest.mark.trials
def test_compilers_are_tried_although_the_home_and_a_folder_of_path_are_dead(tmp_path: Path, dead_mount: Path) -> None:
    pytest.importorskip("torch")
    said = on_dead_ground(tmp_path / "run", "compile.toolchain", dead_mount)
    told = {fact.name: fact.value for fact in said.readings.facts}
    assert (said.judgement.verdict, said.ids) == (Verdict.UNSURE, ["TD-ENV-058", "TD-CMP-109"]), said.judgement
    assert f"{dead_mount}/bin" in said.judgement.reason
    assert (told["toolchain.cxx.works"], told["toolchain.place.home.state"]) == ("right", "hung")
    assert told["toolchain.place.inductor.executable"] is True


def test_a_dead_tmpdir_fails_before_a_compiler_waits_there(tmp_path: Path, dead_mount: Path) -> None:
    pytest.importorskip("torch")
    said = on_dead_ground(
        tmp_path / "run", "compile.toolchain", dead_mount, PATH=os.environ["PATH"], TMPDIR=str(dead_mount)
    )
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ["TD-CMP-109"]), said.judgement
    assert "TMPDIR" in said.judgement.reason


@pytest.mark.trials
def test_identity_tells_what_the_shell_would_start_without_the_dead_folder(tmp_path: Path, dead_mount: Path) -> None:
    said = on_dead_ground(tmp_path / "run", "env.identity", dead_mount)
    assert (said.judgement.verdict, said.ids[0]) == (Verdict.UNSURE, "TD-ENV-058"), said.judgement
    facts = {fact.name: fact.value for fact in said.readings.facts}
    assert facts["cpu.answer"] == "right"
    assert facts["shell.python3"]
