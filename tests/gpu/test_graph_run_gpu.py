"""graph.run on a GPU: a graph of a capture there runs alone, on the GPU that is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import run_payload

from torchprobes.judge.reading import number, text
from torchprobes.model import Verdict

pytestmark = pytest.mark.gpu

GRAPHS = Path(__file__).parents[1] / "payloads" / "graphs"


def on_gpu(name: str) -> str:
    """A graph of a CPU as it would have been written on a GPU."""
    told = (GRAPHS / f"{name}.txt").read_text()
    device = "device=device(type='cuda', index=3)"  # the job's GPU, which need not be here
    lines = told.splitlines()
    return "\n".join(f"{line[:-1]}, {device})" if "reader.storage(" in line else line for line in lines) + "\n"


def test_a_graph_is_compiled_compared_and_timed_on_the_gpu_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "fx_graph_runnable.py"
    file.write_text(on_gpu("mlp_2.13"))
    said = run_payload(tmp_path / "run", "graph.run", "cuda:0", more={"params": {"file": str(file)}})
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
    assert text(said.readings, "graph.device") == "cuda:0"
    assert number(said.readings, "generated_kernels", model="graph")
    assert number(said.readings, "device_busy_share", model="graph", side="eager") is not None
    assert number(said.readings, "compiled_s", model="graph")


def test_a_graph_with_an_operator_that_falls_back_names_it(tmp_path: Path) -> None:
    file = tmp_path / "fx_graph_runnable.py"
    file.write_text((GRAPHS / "nonzero_gpu_2.11.txt").read_text())
    said = run_payload(tmp_path / "run", "graph.run", "cuda:0", more={"params": {"file": str(file)}})
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), (said.judgement, said.stderr[-3000:])
    assert "aten.nonzero.default" in [f.value for f in said.readings.facts if f.name.startswith("graph.fallback.")]


def test_a_graph_of_the_cpu_needs_no_gpu(tmp_path: Path) -> None:
    file = tmp_path / "fx_graph_runnable.py"
    file.write_text((GRAPHS / "cos_2.6.txt").read_text())
    said = run_payload(tmp_path / "run", "graph.run", "cpu", more={"params": {"file": str(file)}})
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
