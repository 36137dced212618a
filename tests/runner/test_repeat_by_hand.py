"""The line that repeats a probe by hand, as the screen shows and copies it: it runs in a shell and does the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import DEADLINE_S

from torchdoctor.widgets.repeat import by_hand
from torchprobes import rundir
from torchprobes.catalogue import PROBES
from torchprobes.jobs import BUILDERS
from torchprobes.model import Result, Target
from torchprobes.runner.check import Check, Options

SECRET = "hf_" + "x" * 24


def _run(place: Path, name: str) -> Result:
    """A quick probe of the real catalogue, run for real in this Python; its environment holds a secret."""
    row = next(probe for probe in PROBES if probe.name == name)
    run = rundir.create(place, "check", target=Target(python=sys.executable), probes=(name,))
    options = Options(device="cpu", env={"HF_TOKEN": SECRET, "TORCHDOCTOR_OF_A_TEST": "a b"})
    check = Check(run, Target(python=sys.executable), (row,), options, BUILDERS)
    check.start()
    assert check.wait(DEADLINE_S)
    (view,) = check.view().probes
    assert view.result is not None
    return view.result


def test_the_line_repeats_a_quick_probe_and_leaves_the_finished_one_alone(tmp_path: Path) -> None:
    result = _run(tmp_path, "env.python")
    assert result.facts, result.reason
    folder = next(tmp_path.glob("*/probes/env.python"))
    before = {path: path.read_bytes() for path in (folder / "events").iterdir()}
    exact = by_hand(result.command)
    assert SECRET in result.command
    assert SECRET not in exact.line
    assert "HF_TOKEN" in exact.notes[0]
    assert "'TORCHDOCTOR_OF_A_TEST=a b'" in exact.line
    environ = {**os.environ, "HF_TOKEN": SECRET}
    done = subprocess.run(["bash", "-c", exact.line], env=environ, capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert events[-1]["ev"] == "end"
    assert events[-1]["ok"] is True
    facts = {event["name"]: event.get("value") for event in events if event["ev"] == "fact"}
    told = {fact.name: fact.value for fact in result.facts}
    assert facts == told
    assert {path: path.read_bytes() for path in (folder / "events").iterdir()} == before
