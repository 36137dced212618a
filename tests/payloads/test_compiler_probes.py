"""The probes of what goes with compiling, in real processes: Dynamo's alone in CI, Inductor's by hand (`-m trials`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict

torch = pytest.importorskip("torch")


def number(said: Said, name: str, **labels: str) -> float:
    found = [f.value for f in said.readings.figures if f.name == name and labels.items() <= f.labels.items()]
    assert found, (name, labels, said.stderr[-2000:])
    return found[-1]


def values(said: Said) -> dict[str, object]:
    return {fact.name: fact.value for fact in said.readings.facts}


def test_every_trap_is_told_with_its_line_and_its_remedy(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "compile.breaks")
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    told = values(said)
    traps = {name for name in told if name.startswith("trap.") and name.count(".") == 1}
    assert len(traps) >= 11
    assert {told[name] for name in traps} <= {"told", "captured"}
    assert told["breaks.control"] == "clean"
    assert number(said, "documented_breaks") > 400
    assert str(told["trap.branch.what"]).startswith("GB0170 ")


def test_sizes_are_compiled_up_to_the_limit_and_dynamic_ones_once(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "compile.recompiles")
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert said.ids == ["TD-CMP-125"]
    limit = values(said)["recompiles.limit"]
    assert [number(said, "graphs", case=case) for case in ("static", "automatic", "dynamic")] == [limit, 2, 1]
    assert number(said, "eager_calls", case="static") == 4
    assert "size mismatch" in str(values(said)["recompiles.static.reason"])


@pytest.mark.trials
@pytest.mark.parametrize("probe", ["compile.breaks", "compile.recompiles"])
@pytest.mark.parametrize(
    ("variable", "card"), [("TORCHDYNAMO_DISABLE", "TD-CMP-022"), ("TORCH_COMPILE_DISABLE", "TD-CMP-023")]
)
def test_a_compiler_that_is_switched_off_is_named_and_nothing_else_is(
    tmp_path: Path, probe: str, variable: str, card: str
) -> None:
    said = run_payload(tmp_path / "run", probe, environ={variable: "1"})
    assert (said.judgement.verdict, said.ids) == (Verdict.DEGRADED, [card])


@pytest.mark.trials
@pytest.mark.compiles
def test_the_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "compile.cache", limit_s=500)
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, []), said.judgement
    assert [number(said, "hits", cache=role) for role in ("cold", "warm", "disabled")] == [0, 1, 0]
    assert number(said, "first_call_s", cache="warm") < number(said, "first_call_s", cache="cold")


@pytest.mark.trials
@pytest.mark.compiles
def test_compiling_works_in_threads_and_children_and_leaves_nothing(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "compile.workers", limit_s=600)
    told = values(said)
    assert [told[f"workers.in.{place}"] for place in ("process", "thread", "daemonic process")] == ["right"] * 3
    assert number(said, "workers_left") == 0
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.judgement
    assert set(said.ids) <= {"TD-CMP-141"}, said.judgement


@pytest.mark.trials
@pytest.mark.compiles
def test_the_debug_preset_leaves_generated_code(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "compile.debug", limit_s=300)
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    code = said.folder / "artifacts" / "debug" / str(values(said)["debug.output_code"])
    assert "cpp_fused" in code.read_text()
    assert any(e.kind == "compile-debug" and (said.folder / str(e.artifact)).is_file() for e in said.readings.evidence)


@pytest.mark.trials
@pytest.mark.compiles
@pytest.mark.parametrize("probe", ["compile.transformer", "compile.train"])
def test_a_whole_model_and_a_training_step_are_compiled_and_right(tmp_path: Path, probe: str) -> None:
    said = run_payload(tmp_path / "run", probe, limit_s=600)
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert number(said, "compiled_calls_per_step", model="reference") == 1


@pytest.mark.trials
@pytest.mark.compiles
@pytest.mark.parametrize("probe", ["compile.cache", "compile.debug", "compile.train"])
def test_without_a_compiler_the_cause_is_named_in_the_words_of_compile_default(tmp_path: Path, probe: str) -> None:
    said = run_payload(tmp_path / "run", probe, environ={"CXX": "/nowhere/g++"}, limit_s=500)
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ["TD-CMP-001"]), said.judgement


def test_a_break_is_completed_from_the_wheels_registry_and_from_our_table(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch, "graph_breaks")
    registry = module.Registry(torch)
    branch = registry.complete(module.Break("generic_jump TensorVariable()", "a.py", 3))
    assert (branch.id, branch.place) == ("GB0170", "a.py:3")
    assert branch.why
    assert branch.hint
    none = SimpleNamespace(kinds={}, _by_name={})
    old = module.Registry.complete(
        none, module.Break("call_function BuiltinVariable(print) [ConstantVariable(str)] {}")
    )
    assert (old.id, old.place) == ("", "place unknown")
    assert "is_compiling" in old.hint


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1, 2]", b'{"GB1": 3, "GB2": []}', b"\xff\x00" * 99])
def test_a_registry_that_is_broken_is_no_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    module = load(monkeypatch, "graph_breaks")
    (tmp_path / "_dynamo").mkdir()
    if content is not None:
        (tmp_path / module.REGISTRY).write_bytes(content)
    assert module.Registry(SimpleNamespace(__file__=str(tmp_path / "__init__.py"))).kinds == {}


def test_every_break_of_a_call_is_found_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch, "graph_breaks")

    def two(x: object) -> object:
        y = x + 1  # type: ignore[operator]
        print("", end="")
        z = y * 2
        torch._dynamo.graph_break()
        return z - 1

    first = two.__code__.co_firstlineno
    found = module.all_of(torch, two, (torch.ones(4),))
    assert [(b.file, b.line - first) for b in found] == [(__file__, 2), (__file__, 4)]
    assert all(b.hint for b in found)
    assert module.first(torch, two, (torch.ones(4),)).line - first == 2
    assert module.first(torch, lambda x: x + 1, (torch.ones(4),)) is None


def test_an_orphan_is_left_behind_and_a_child_of_ours_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector of what outlives its process can say both yes and no."""
    needs = ("measure", "coverage", "regions", "witness", "callables", "detector", "control")
    workers = load(monkeypatch, "workers", *needs)
    monkeypatch.setenv("TORCHDOCTOR_EVENTS", "/nowhere/events-of-this-test")
    sleep = "import time; time.sleep(120)"
    own = subprocess.Popen([sys.executable, "-S", "-c", sleep, "compile_worker"])
    shell = [f"{sys.executable} -S -c '{sleep}' compile_worker >/dev/null 2>&1 & echo $!"]
    orphan = int(subprocess.run(["sh", "-c", *shell], capture_output=True, check=True).stdout)
    try:
        deadline = time.monotonic() + 30  # until exec has put the orphan's own command line in place
        while not (found := workers._compile_workers()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [int(line.split()[0]) for line in found] == [orphan]
    finally:
        os.kill(orphan, signal.SIGKILL)
        own.kill()
        own.wait()
