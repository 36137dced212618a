"""compile.* and cudagraph.replay on a real GPU; run by hand with `-m gpu`."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number
from torchprobes.model import Verdict

pytestmark = [pytest.mark.gpu, pytest.mark.compiles]

MODES = ("default", "reduce-overhead", "max-autotune")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """Every mode once, one after the other."""
    folder = tmp_path_factory.mktemp("compile")
    return {mode: run_payload(folder / mode, f"compile.{mode}", "cuda:0") for mode in MODES}


@pytest.mark.parametrize("mode", MODES)
def test_a_sound_gpu_gains_on_the_reference_model(said: dict[str, Said], mode: str) -> None:
    run = said[mode]
    assert run.judgement.verdict is Verdict.PASS, (run.judgement, run.stderr[-3000:])
    low = number(run.readings, "speedup_low", model="reference")
    assert low is not None
    assert low > 1.05


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_graph_is_launched_for_each_step(said: dict[str, Said], mode: str) -> None:
    readings = said[mode].readings
    assert number(readings, "graph_launches", model="reference", side="compiled") == 1
    assert number(readings, "graph_launches", model="reference", side="eager") == 0
    eager = number(readings, "kernel_launches", model="reference", side="eager")
    assert eager is not None
    assert eager >= 72


def test_the_toy_is_slower_compiled_and_told_as_launch_bound(said: dict[str, Said]) -> None:
    run = said["default"]
    speedup = number(run.readings, "speedup", model="toy")
    assert speedup is not None
    assert speedup < 1
    (finding,) = (f for f in run.judgement.findings if f.id.startswith("TD-CMP-04"))
    assert finding.id == "TD-CMP-042"
    assert "no gain on the toy" in finding.seen


def test_a_replay_is_launched_recomputed_and_faster(tmp_path: Path) -> None:
    run = run_payload(tmp_path / "run", "cudagraph.replay", "cuda:0")
    assert run.judgement.verdict is Verdict.PASS, (run.judgement, run.stderr[-3000:])
    assert number(run.readings, "graph_launches", side="replay") == 1
    assert number(run.readings, "graphed_callable_difference") is not None
