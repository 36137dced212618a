"""What a real GPU node would give away, and what of it a public snapshot and a public report say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from torchprobes.reports.redaction import Level, Redactor
from torchprobes.samples import Sample
from torchprobes.telemetry import take_sample

pytestmark = pytest.mark.gpu

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def sample() -> Sample:
    taken = take_sample(DEADLINE_S)
    if not taken.gpus:
        pytest.skip("no GPU here")
    return taken


def identities(sample: Sample) -> set[str]:
    """What names this node and its GPUs, in every way that it is written."""
    whole = {gpu.uuid.lower() for gpu in sample.gpus} | {gpu.bus_id.lower() for gpu in sample.gpus}
    parts = {uuid.removeprefix("gpu-")[:8] for uuid in whole if uuid.startswith("gpu-")}
    short = {bus_id.partition(":")[2] for bus_id in whole if bus_id.count(":") == 2}
    return {name for name in whole | parts | short if name}


def said(*arguments: str, home: Path) -> dict[str, Any]:
    environ = {**os.environ, "HF_TOKEN": "fish-98765432", "TORCHDOCTOR_STATE": str(home)}
    command = [sys.executable, "-m", "torchdoctor", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=300, env=environ, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_public_snapshot_names_no_gpu_and_keeps_what_is_compared(sample: Sample, tmp_path: Path) -> None:
    plain = said("snapshot", "--json", "--no-jobs", "--redact", "none", home=tmp_path)
    public = said("snapshot", "--json", "--no-jobs", "--redact", "public", home=tmp_path)
    print(public["redaction"])
    text = json.dumps(public).lower()
    assert all(name in json.dumps(plain).lower() for name in (gpu.uuid.lower() for gpu in sample.gpus))
    assert [name for name in sorted(identities(sample)) if name in text] == []
    assert "fish-98765432" not in json.dumps(said("snapshot", "--json", "--no-jobs", home=tmp_path))
    for kind in ("driver", "gpu", "package", "topology"):
        assert public["machine"]["inventory"]["parts"].get(kind) == plain["machine"]["inventory"]["parts"].get(kind)


def test_a_public_report_of_a_check_names_no_gpu(sample: Sample, tmp_path: Path) -> None:
    asked = ("check", "env.identity", "cuda.available", "compute.memory", "--tier", "full", "--json", "-")
    whole = said(*asked, "--redact", "none", home=tmp_path)
    public = Redactor(Level.PUBLIC).document(whole)
    assert any(gpu.uuid in json.dumps(whole) for gpu in sample.gpus)
    assert [name for name in sorted(identities(sample)) if name in json.dumps(public).lower()] == []
    for before, after in zip(whole["results"], public["results"], strict=True):
        assert before["figures"] == after["figures"], "a figure names no device but by its index"
        assert (before["verdict"], before["name"]) == (after["verdict"], after["name"])
