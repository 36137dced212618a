"""The prolog gate and a baseline on a real GPU node: a sound one is not drained, and is as good as itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from torchdoctor import gate

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
TIMES = 10


def torchdoctor(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    roots = os.pathsep.join([str(ROOT / "tui"), str(ROOT / "probes")])
    environ = {**os.environ, "PYTHONPATH": roots, "TORCHDOCTOR_STATE": str(home)}
    command = [sys.executable, "-B", "-m", "torchdoctor", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)


def test_a_sound_node_is_never_drained_and_in_time(tmp_path: Path) -> None:
    """What is printed is for a person: how long it takes here, and what it says."""
    for number in range(TIMES):
        begun = time.monotonic()
        said = torchdoctor(tmp_path, "check", "--gate", "prolog")
        print(f"{number}: {time.monotonic() - begun:.2f} s of {gate.LIMIT_S:g} s, {said.stderr.strip()[:200]!r}")
        assert (said.returncode, said.stdout) == (0, "")


def findings(report: dict[str, Any]) -> list[str]:
    told = [f for result in report["results"] for f in result["findings"]] + report["findings"]
    return [f"{finding['id']}: {finding['seen']}" for finding in told if finding["id"].startswith("TD-BAS")]


def test_a_node_is_as_good_as_itself_a_minute_ago(tmp_path: Path) -> None:
    """Recorded noise is no finding: the same probes twice, the second against the first."""
    asked = ("check", "compute.gemm", "compute.memory", "compute.bandwidth", "compute.sdpa")
    good, here = tmp_path / "good.json", tmp_path / "here.json"
    first = torchdoctor(tmp_path, *asked, "--json", str(good))
    second = torchdoctor(tmp_path, *asked, "--json", str(here), "--baseline", str(good))
    report = json.loads(here.read_text())
    print(report["baseline"])
    assert report["baseline"]["figures"] > 10
    assert findings(report) == []
    assert second.returncode == first.returncode
