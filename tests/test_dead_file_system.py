"""A home, a working directory or a Python on a file system that gives no answer: everything else goes on in time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from torchprobes.rundir import choose_place
from torchprobes.target import TargetError, find_targets

ROOT = Path(__file__).parents[1]
DEADLINE_S = 2.0
SLACK_S = 10.0
"""What a loaded machine may add to a deadline; a hang would add for ever."""

ENTRY = (sys.executable, "-c", "import sys; sys.path.pop(0); from torchdoctor.__main__ import main; main()")
"""The console script, with `sys.path` as it has it: without the working directory."""


def on_dead_ground(dead: Path, state: Path, **more: str) -> dict[str, str]:
    """An environment of somebody whose home is dead; their own interpreter is the target."""
    return {
        "PATH": os.environ["PATH"], "HOME": str(dead), "LANG": "C.UTF-8", "TERM": "xterm-256color",
        "PYTHONPATH": f"{ROOT / 'tui'}:{ROOT / 'probes'}", "TMPDIR": str(state), "PYTHONNOUSERSITE": "1", **more,
    }  # fmt: skip


def run_there(dead: Path, state: Path, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run torchdoctor with HOME and cwd on the dead file system."""
    return subprocess.run(
        [*ENTRY, *arguments],
        cwd=dead,
        env=on_dead_ground(dead, state),
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(params=["dead_mount", "frozen_mount"])
def silent(request: pytest.FixtureRequest) -> Path:
    """Either kind."""
    return Path(request.getfixturevalue(request.param))


def test_targets_that_give_no_answer_are_noted_and_the_others_found(silent: Path) -> None:
    environ = {"VIRTUAL_ENV": str(silent), "CONDA_PREFIX": str(silent / "conda")}
    environ["PATH"] = f"{silent}/bin:{Path(sys.executable).parent}"
    began = time.monotonic()
    choice = find_targets(None, deadline_s=DEADLINE_S, environ=environ)
    assert time.monotonic() - began < DEADLINE_S + SLACK_S
    notes = {candidate.origin: candidate.note for candidate in choice.candidates}
    assert notes["VIRTUAL_ENV"].startswith("hung: no answer in ")
    assert notes["CONDA_PREFIX"].startswith("hung: no answer in ")
    assert notes["PATH"].startswith("hung: no answer in ")
    assert notes["torchdoctor's own"] == ""
    assert choice.chosen is not None
    assert choice.chosen.python == sys.executable
    assert {c.python for c in choice.candidates if c.origin.endswith("on PATH")} == {
        str(Path(sys.executable).with_name(name)) for name in ("python3", "python")
    }


def test_a_named_target_that_gives_no_answer_is_one_clear_line(silent: Path) -> None:
    with pytest.raises(TargetError, match=r"hung: no answer in 2 s") as caught:
        find_targets(str(silent / "python"), deadline_s=DEADLINE_S)
    assert "\n" not in str(caught.value)


def test_runs_go_elsewhere_when_the_home_is_dead(silent: Path, tmp_path: Path) -> None:
    place = choose_place(None, {"HOME": str(silent), "TMPDIR": str(tmp_path)}, deadline_s=DEADLINE_S)
    assert place.origin == "TMPDIR"
    assert place.note == f"XDG state {silent}/.local/state/torchdoctor: hung: its file system gave no answer in 2 s"


def test_status_comes_with_a_dead_home_and_working_directory(dead_mount: Path, tmp_path: Path) -> None:
    done = run_there(dead_mount, tmp_path, "status")
    assert done.returncode in (0, 1, 3, 4), done.stderr
    assert "verdict " in done.stdout
    assert "Traceback" not in done.stderr


def test_a_check_runs_with_a_dead_home_and_working_directory(dead_mount: Path, tmp_path: Path) -> None:
    done = run_there(dead_mount, tmp_path, "check", "--json", "-", "env", "compile.toolchain")
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    told = {result["name"]: (result["verdict"], result["reason"]) for result in report["results"]}
    assert told["env.packages"][0] == "pass", told
    assert told["env.abi"][0] in ("pass", "degraded"), told
    assert "built, loaded and called" in told["compile.toolchain"][1] or shutil.which("g++") is None, told
    for name in ("env.jupyter", "env.image"):
        assert told[name][0] == "unsure", told
        assert str(dead_mount) in told[name][1]
    assert not [name for name, (verdict, _) in told.items() if verdict == "error"], told
