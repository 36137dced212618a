"""A graph of torch.compile, read and loaded beside the job that wrote it: in this process, without compiling it."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch._dynamo.config
import torch._inductor.config
from payload_modules import load

from torchprobes import graph_file
from torchprobes.graph_file import GRAPH, LAUNCHER, REPRO, GraphFile, GraphFileError

GRAPHS = Path(__file__).parent / "graphs"


def text(name: str) -> str:
    return (GRAPHS / f"{name}.txt").read_text()


def graph(name: str) -> GraphFile:
    return GraphFile(f"/graphs/{name}.py", text(name))


Told = dict[str, tuple[Any, str]]


@pytest.fixture
def payload(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """graph_load and graph_run in this process; `told` has their facts, `figures` their figures."""
    load(monkeypatch, "measure")
    loader = load(monkeypatch, "graph_load", "entry", "witness")
    runner = load(monkeypatch, "graph_run")
    told: Told = {}
    figures: dict[str, float] = {}
    for module in (loader, runner):
        monkeypatch.setattr(module.kit, "fact", lambda name, value, evidence="": told.update({name: (value, evidence)}))
        monkeypatch.setattr(module.kit, "figure", lambda name, value, *_a, **_k: figures.update({name: value}))
    return SimpleNamespace(load=loader, run=runner, told=told, figures=figures)


# --- told by what is in it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp_2.13", "nonzero_gpu_2.11", "cos_2.1", "cos_2.6", "symbolic_2.13"])
def test_a_graph_of_each_version_is_known_by_its_content(name: str) -> None:
    found = graph(name)
    assert found.kind == GRAPH
    assert found.after == "aot"
    assert found.ops
    assert found.torch.startswith(name.rpartition("_")[2])
    assert found.call["command"] == "run"
    assert not any("run_repro" in ast.unparse(statement) for statement in found.body)


def test_what_a_minifier_leaves_is_told_from_a_graph() -> None:
    plain = text("mlp_2.13")
    launcher = plain.replace("command='run', save_dir=None", "command='minify', save_dir='/x'")
    assert graph_file.kind_of(launcher) == LAUNCHER
    assert graph_file.kind_of(plain.replace("save_dir=None", "save_dir='/runs/minifier/checkpoints'")) == REPRO
    assert graph_file.kind_of(plain.replace("after_aot", "after_dynamo")) == REPRO


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("print('hello')\n", "no module Repro"),
        ("", "no module Repro"),
        ("Repro is not generated due to existence of BackwardState in graph input", "BackwardState"),
    ],
)
def test_another_file_is_refused_in_one_line(content: str, why: str) -> None:
    with pytest.raises(GraphFileError, match=why):
        graph_file.kind_of(content)


def test_a_file_that_is_none_or_hostile_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none", tmp_path / "pipe"):
        with pytest.raises(GraphFileError):
            graph_file.read(str(path))
    with pytest.raises(GraphFileError, match="no Python program"):
        GraphFile("x.py", "class Repro(:\n run_repro(")
    with pytest.raises(GraphFileError, match="no Python program"):
        GraphFile("x.py", "class Repro(Module): pass\nrun_repro(" + "(" * 5000 + ")" * 5000 + ")\n")


# --- the job's surroundings stay where they are -----------------------------------------------------------------------


def test_only_variables_that_choose_what_is_generated_are_applied(payload: SimpleNamespace) -> None:
    applied = payload.load.applied
    assert applied("TORCHINDUCTOR_GRAPH_PARTITION", "0")
    assert applied("TORCHINDUCTOR_MAX_AUTOTUNE", "1")
    for name, value in (
        ("TORCHINDUCTOR_CACHE_DIR", "0"), ("TORCH_TRACE", "1"), ("TORCH_LOGS", "output_code"), ("PATH", "x"),
        ("TORCHINDUCTOR_GRAPH_PARTITION", "/etc/passwd"), ("TORCHINDUCTOR_COMPILE_THREADS", "2"), ("LD_PRELOAD", "a"),
        ("TORCHDYNAMO_REPRO_AFTER", "aot"), ("TORCHDYNAMO_DISABLE", "1"), ("TORCHINDUCTOR_FX_GRAPH_REMOTE_CACHE", "1"),
    ):  # fmt: skip
        assert not applied(name, value), name
    assert not applied("TORCHINDUCTOR_MAX_AUTOTUNE", None)


def test_the_environment_of_a_file_is_told_and_what_is_harmful_left(
    payload: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHINDUCTOR_GRAPH_PARTITION", "TORCH_LOGS", "TORCH_TRACE", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    payload.load.tell(graph("nonzero_gpu_2.11"))
    assert os.environ.pop("TORCHINDUCTOR_GRAPH_PARTITION") == "0"
    assert not {"TORCH_LOGS", "TORCH_TRACE", "TORCHINDUCTOR_CACHE_DIR"} & os.environ.keys()
    assert payload.told["graph.env.TORCHINDUCTOR_GRAPH_PARTITION"] == ("0", "applied")
    assert payload.told["graph.env.TORCH_TRACE"][1].startswith("not applied")
    assert payload.told["graph.devices"][0] == "cuda:0"


def test_a_secret_in_the_environment_of_a_file_is_masked(payload: SimpleNamespace) -> None:
    file = GraphFile("x.py", "import os\nos.environ['TORCH_API_TOKEN'] = 'hf_abcdefghijklmnop'\n" + text("cos_2.1"))
    payload.load.tell(file)
    assert "abcdefgh" not in str(payload.told)


# --- loaded, with inputs of its own -----------------------------------------------------------------------------------


def test_a_graph_answers_alike_from_inputs_that_are_the_same_each_time(payload: SimpleNamespace) -> None:
    file = graph("mlp_2.13")
    loaded = payload.load.Loaded(torch, file)
    first, again = loaded.inputs(), loaded.inputs()
    assert [tuple(t.shape) for t in first] == [(256, 64), (256,), (32, 64), (64, 256), (64,)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with torch.no_grad():
        (out,) = loaded.module(*first)
    assert torch.allclose(out.sum(-1), torch.ones(32), atol=1e-5)  # its last operators are a softmax
    assert loaded.needs() == (140544, {"float32": 5})
    assert loaded.unknown_operators() == []


def test_sizes_that_were_symbolic_have_the_values_that_the_job_had(payload: SimpleNamespace) -> None:
    loaded = payload.load.Loaded(torch, graph("symbolic_2.13"))
    rows, columns, tensor = loaded.inputs()
    assert (rows, columns) == tuple(tensor.shape) == (18, 2)


def test_settings_of_another_version_are_left_out_and_told(payload: SimpleNamespace) -> None:
    before = torch._dynamo.config.automatic_dynamic_shapes
    unknown = "\ntorch._inductor.config.no_such_setting_at_all = 1\n"
    file = GraphFile("x.py", "import torch\n" + text("cos_2.6") + unknown)
    try:
        loaded = payload.load.Loaded(torch, file)
        assert torch._dynamo.config.automatic_dynamic_shapes is False  # as the job had it
    finally:
        torch._dynamo.config.automatic_dynamic_shapes = before
    told = [str(value) for name, value in payload.told.items() if name.startswith("graph.left_out.")]
    assert loaded.left_out == len(told) >= 1
    assert any("no_such_setting_at_all" in words for words in told)


def test_a_setting_that_holds_a_path_is_not_applied(payload: SimpleNamespace) -> None:
    setting = "torch._inductor.config.cpp.cxx = (None, '/home/somebody/evil-g++')\n"
    file = GraphFile("x.py", "import torch\nimport torch._inductor.config\n" + setting + text("cos_2.1"))
    before = torch._inductor.config.cpp.cxx
    dynamic = torch._dynamo.config.automatic_dynamic_shapes
    try:
        payload.load.Loaded(torch, file)
    finally:
        torch._dynamo.config.automatic_dynamic_shapes = dynamic
    assert torch._inductor.config.cpp.cxx == before
    assert payload.told["graph.setting.torch._inductor.config.cpp.cxx"][1].startswith("not applied")


def test_a_graph_of_a_gpu_is_skipped_where_there_is_none(payload: SimpleNamespace) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(payload.load.kit.Skip, match="the graph needs cuda:0"):
        payload.load.place(torch, graph("nonzero_gpu_2.11"), "cpu")


def test_the_gpu_that_a_file_names_becomes_the_one_that_is_given() -> None:
    file = GraphFile("x.py", text("nonzero_gpu_2.11").replace("index=0", "index=5"))
    file.move(0)
    assert "index=0" in "".join(ast.unparse(statement) for statement in file.body)
    assert "index=5" not in "".join(ast.unparse(statement) for statement in file.body)


def test_an_operator_that_nobody_registered_is_named(payload: SimpleNamespace) -> None:
    file = GraphFile("x.py", text("mlp_2.13").replace("torch.ops.aten.erf.default", "torch.ops.mine.swish.default"))
    assert payload.load.Loaded(torch, file).unknown_operators() == ["mine::swish"]


# --- how far is far ---------------------------------------------------------------------------------------------------


def steady(payload: SimpleNamespace, answer: list[torch.Tensor]) -> Any:
    return payload.run._Steady(torch, answer, answer, [t * (1 + 1e-7) for t in answer])


def test_the_tensor_that_is_furthest_beyond_eager_is_told(payload: SimpleNamespace) -> None:
    answer = [torch.ones(4), torch.ones(3)]
    steady(payload, answer).tell_worst([torch.ones(4), torch.full((3,), 1.5)], [t.double() for t in answer])
    assert payload.told["graph.worst"] == (1, "tensor of 2: float32 (3,)")
    assert payload.figures["graph.off"] == pytest.approx(0.5)
    assert payload.figures["graph.eager_off"] == 0


def test_the_line_of_the_graph_is_found_by_the_operator_that_torch_names(
    payload: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload.run.kit, "raised", lambda *_: None)
    file = graph("mlp_2.13")
    payload.run._raised("compile", RuntimeError("LoweringException: x\n  target: aten.erf.default\n"), file)
    place, words = payload.told["compile.line"]
    assert "torch.ops.aten.erf.default" in words
    assert file.text.splitlines()[int(place.rpartition(":")[2]) - 1].strip() == words
