"""`check --graph` as a process: one real graph run alone, and what is refused before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from cli_process import torchdoctor

from torchprobes.model import Report, Verdict
from torchprobes.rundir import list_runs

GRAPHS = Path(__file__).parents[1] / "payloads" / "graphs"


QUICK = """import torch._inductor.config
torch._inductor.config.cpp.simdlen = 1
torch._inductor.config.cpp_cache_precompile_headers = False
"""
"""Settings as a job may have them: here they spare the compiler its questions about vectors and its headers."""


@pytest.mark.trials
@pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): torch.compile was not tried at all")
def test_a_graph_of_a_debug_tree_runs_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    tree = tmp_path / "torchinductor" / "model__0_inference_0.0"
    tree.mkdir(parents=True)
    file = tree / "fx_graph_runnable.py"
    file.write_text("import torch\n" + QUICK + (GRAPHS / "cos_2.6.txt").read_text())
    said = torchdoctor(tmp_path, "check", "graph.run", "--graph", str(file), "--device", "cpu", "--json", "-")
    report = msgspec.json.decode(said.out, type=Report)
    (result,) = report.results
    assert result.name == "graph.run"
    assert result.verdict is Verdict.PASS, (result, said)
    told = {figure.name for figure in result.figures}
    assert {"eager_s", "compiled_s", "speedup", "compile_s", "graph.off", "graph.ops"} <= told
    assert [path.name for path in tree.iterdir()] == ["fx_graph_runnable.py"]
    (run,) = list_runs(tmp_path / "state" / "runs")
    assert run.info.graph == str(file)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("graph.run",), "name its file with --graph FILE"),
        (("graph",), "name its file with --graph FILE"),
        (("compile", "--graph", "{graph}"), "compile has no use for a graph"),
        (("--graph", "{graph}", "--entry", "m:f"), "two checks"),
        (("--graph", "/no/such/file.py"), "No such file"),
        (("--graph", "{other}"), "no graph of torch.compile"),
        (("--graph", "{graph}", "--resume", "x"), "no --graph"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    other = tmp_path / "train.py"
    other.write_text("print('mine')\n")
    words = [word.format(graph=GRAPHS / "cos_2.6.txt", other=other) for word in arguments]
    said = torchdoctor(tmp_path, "check", *words)
    assert said.code == 2
    assert why in said.one_line()
    assert list_runs(tmp_path / "state" / "runs") == []
