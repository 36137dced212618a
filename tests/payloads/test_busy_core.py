"""A reported speed-up on a machine whose core somebody else keeps busy: near the quiet truth, or `unsure`.

Run by hand on a quiet machine: `pytest -m trials -s tests/payloads/test_busy_core.py`. The process and its neighbour
share two cores, whatever the machine has.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
from payload_process import run_payload

from torchprobes.judge.reading import number
from torchprobes.model import Verdict

pytestmark = [pytest.mark.trials, pytest.mark.compiles]

TRIALS = 20
WITHIN = 0.15
SPIN = "import os\nwhile os.getppid() == {parent}: sum(range(100000))"


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    """This process, and so all that it starts, on two cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)


@contextmanager
def busy_neighbour() -> Iterator[None]:
    """Another process that keeps one of the two cores busy."""
    with subprocess.Popen([sys.executable, "-c", SPIN.format(parent=os.getpid())]) as process:
        try:
            yield
        finally:
            process.kill()


def speedups(folder: Path, environ: dict[str, str]) -> tuple[Verdict, dict[str, float]]:
    said = run_payload(folder, "compile.default", environ=environ)
    told = {model: number(said.readings, "speedup", model=model) for model in ("reference", "toy")}
    print(f"{folder.name:<10} {said.judgement.verdict.value:<9} {told} {said.judgement.reason[:90]}")
    return said.judgement.verdict, {model: value for model, value in told.items() if value is not None}


def test_a_speed_up_beside_a_busy_core_is_near_the_quiet_truth_or_unsure(tmp_path: Path) -> None:
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    quiet = [speedups(tmp_path / f"quiet-{i}", caches)[1]["reference"] for i in range(4)][1:]
    truth = median(quiet)
    with busy_neighbour():
        told = [speedups(tmp_path / f"busy-{i}", caches) for i in range(TRIALS)]
    near = [abs(each.get("reference", 0.0) / truth - 1) <= WITHIN for _, each in told]
    unsure = [verdict is Verdict.UNSURE for verdict, _ in told]
    honest = sum(a or b for a, b in zip(near, unsure, strict=True))
    print(f"quiet {quiet}, truth {truth:.3f}: honest {honest} of {TRIALS}, near {sum(near)}, unsure {sum(unsure)}")
    assert honest >= 19
    assert TRIALS - sum(unsure) >= 10
