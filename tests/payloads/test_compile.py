"""compile.default for real: a sound machine, and the ways to be told "no error" and yet run eager."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number
from torchprobes.model import Verdict

pytestmark = [
    pytest.mark.compiles,
    pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): torch.compile was not tried at all"),
]


EXPORT_WORKS = "TD-EXP-020"
"""Told beside a failure to compile: what can still be done."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """One healthy run: the one cold compile of this file."""
    return run_payload(tmp_path_factory.mktemp("sound") / "run", "compile.default")


@pytest.fixture
def no_compiler(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty PATH, as a runtime image has no compiler."""
    (tmp_path / "empty").mkdir()
    return {"PATH": str(tmp_path / "empty")}


def test_a_sound_cpu_passes_with_compiled_code_entered_and_compared(sound: Said) -> None:
    assert sound.judgement.verdict is Verdict.PASS, (sound.judgement, sound.stderr[-3000:])
    reference = {name: number(sound.readings, name, model="reference") for name in ("graphs", "graph_breaks", "ops")}
    assert reference == {"graphs": 1, "graph_breaks": 0, "ops": 13}
    assert number(sound.readings, "compiled_calls_per_step", model="reference") == 1
    assert number(sound.readings, "compiled_calls_per_step", model="toy") == 1
    error = number(sound.readings, "error_compiled_64", model="reference")
    assert error is not None
    assert 0 < error < 1e-6


def test_the_second_process_is_warm(sound: Said) -> None:
    hits = sound.readings.fact("warm.cache_hits")
    assert hits is not None
    assert isinstance(hits.value, int)
    assert hits.value >= 1
    cold, warm = (number(sound.readings, "first_call_s", model="reference", cache=c) for c in ("cold", "warm"))
    assert cold is not None
    assert warm is not None
    assert "TD-CMP-060" not in sound.ids


def test_a_speed_carries_its_number_and_interval(sound: Said) -> None:
    speedup = next(f for f in sound.readings.figures if f.name == "speedup" and f.labels["model"] == "reference")
    assert speedup.n >= 30
    assert speedup.spread is not None
    low, high = (number(sound.readings, name, model="reference") for name in ("speedup_low", "speedup_high"))
    assert low is not None
    assert high is not None
    assert low <= speedup.value <= high


def test_without_a_compiler_the_missing_compiler_is_named(tmp_path: Path, no_compiler: dict[str, str]) -> None:
    said = run_payload(tmp_path / "run", "compile.default", environ=no_compiler)
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ["TD-CMP-001", EXPORT_WORKS])
    assert "No working C++ compiler" in said.judgement.reason
    assert any(e.kind == "traceback" for e in said.readings.evidence)


def test_a_hidden_missing_compiler_is_no_pass_and_named_once(tmp_path: Path, no_compiler: dict[str, str]) -> None:
    environ = no_compiler | {"TORCHDYNAMO_SUPPRESS_ERRORS": "0"}
    said = run_payload(tmp_path / "run", "compile.default", environ=environ)
    assert (said.judgement.verdict, said.ids) == (Verdict.DEGRADED, ["TD-CMP-021", EXPORT_WORKS])
    assert "TORCHDYNAMO_SUPPRESS_ERRORS=0" in said.judgement.reason
    assert "No working C++ compiler" in said.judgement.reason


@pytest.mark.parametrize(
    ("variable", "card"), [("TORCHDYNAMO_DISABLE", "TD-CMP-022"), ("TORCH_COMPILE_DISABLE", "TD-CMP-023")]
)
def test_a_disabled_compiler_is_no_pass_and_named_once(tmp_path: Path, variable: str, card: str) -> None:
    said = run_payload(tmp_path / "run", "compile.default", environ={variable: "1"})
    assert (said.judgement.verdict, said.ids) == (Verdict.DEGRADED, [card, EXPORT_WORKS])
    assert f"{variable}=1" in said.judgement.reason
