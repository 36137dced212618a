"""`check --tier quick` against `import torch` and `python -m torch.utils.collect_env`, in turns. Goal: 1.2 times.

It prints the ratio, and never fails on time: that is what the machine beside us decides.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench

ROUNDS = 3
ROOTS = [str(Path(__file__).parents[2] / name) for name in ("tui", "probes")]


def _seconds(place: Path, *argv: str) -> float:
    env = {**os.environ, "TORCHDOCTOR_STATE": str(place), "PYTHONPATH": os.pathsep.join(ROOTS)}
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-B", *argv], capture_output=True, env=env, timeout=600, check=False)
    assert b"Traceback" not in done.stderr, done.stderr[-2000:]
    return time.monotonic() - begin


def test_the_quick_tier_against_an_import_and_collect_env(tmp_path: Path) -> None:
    _seconds(tmp_path, "-c", "import torch")  # its files are in memory from here on
    ratios = []
    for _ in range(ROUNDS):
        ours = _seconds(tmp_path, "-m", "torchdoctor", "check", "--tier", "quick", "--python", sys.executable)
        base = _seconds(tmp_path, "-c", "import torch") + _seconds(tmp_path, "-m", "torch.utils.collect_env")
        ratios.append(ours / base)
        print(f"\nquick {ours:.2f} s, import torch and collect_env {base:.2f} s: {ours / base:.2f} times")
    assert statistics.median(ratios) > 0
