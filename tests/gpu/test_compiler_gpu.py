"""What goes with compiling, on a real GPU; run by hand with `-m gpu`. The figures are printed with `-s`."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number, text
from torchprobes.model import Verdict

pytestmark = [pytest.mark.gpu, pytest.mark.compiles]

DEVICE = "cuda:0"


def told(said: Said) -> Said:
    """The run, its figures and findings printed, and nothing raised."""
    print(f"\n{said.readings.probe}: {said.judgement.verdict.value}, {said.judgement.reason}")
    for figure in said.readings.figures:
        print(f"  {figure.name} {figure.value:.6g} {figure.unit} {figure.labels}")
    for finding in said.judgement.findings:
        print(f"  {finding.id} {finding.seen}")
    assert said.readings.outcome.ending == "ended", (said.readings.outcome, said.stderr[-3000:])
    return said


def test_the_toolchain_answers_for_this_very_gpu(tmp_path: Path) -> None:
    said = told(run_payload(tmp_path / "run", "compile.toolchain", DEVICE))
    states = {f.name: f.value for f in said.readings.facts if f.name.startswith("toolchain.ptxas.")}
    assert states, "no capability was read from NVML"
    assert set(states.values()) == {"right"}, said.readings.facts
    assert text(said.readings, "toolchain.cc.works") == "right"
    assert text(said.readings, "toolchain.libcuda.linked") == "True"
    assert set(said.ids) <= {"TD-CMP-001", "TD-CMP-103", "TD-CMP-106", "TD-CMP-105"}, said.judgement


def test_without_a_c_compiler_the_gpu_cannot_be_compiled_for(tmp_path: Path) -> None:
    said = told(run_payload(tmp_path / "run", "compile.toolchain", DEVICE, {"CC": "/nowhere/gcc"}))
    assert said.judgement.verdict is Verdict.FAIL
    assert said.ids[0] == "TD-CMP-002"


@pytest.mark.parametrize("probe", ["compile.breaks", "compile.recompiles", "export.modes"])
def test_what_dynamo_tells_is_the_same_on_a_gpu(tmp_path: Path, probe: str) -> None:
    said = told(run_payload(tmp_path / "run", probe, DEVICE))
    assert said.judgement.verdict is Verdict.PASS, said.judgement


def test_the_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    said = told(run_payload(tmp_path / "run", "compile.cache", DEVICE))
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert [number(said.readings, "hits", cache=role) for role in ("cold", "warm", "disabled")] == [0, 1, 0]


def test_the_debug_preset_leaves_triton_kernels(tmp_path: Path) -> None:
    said = told(run_payload(tmp_path / "run", "compile.debug", DEVICE))
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert "triton kernels" in said.judgement.reason


def test_max_autotune_without_cuda_graphs_gains_by_fusing(tmp_path: Path) -> None:
    said = told(run_payload(tmp_path / "run", "compile.max-autotune-no-cudagraphs", DEVICE))
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    launches = number(said.readings, "graph_launches", model="reference", side="compiled")
    assert launches in (0, None), "this mode promises that there are no CUDA graphs"
    low = number(said.readings, "speedup_low", model="reference")
    assert low is not None
    assert low > 1.05
