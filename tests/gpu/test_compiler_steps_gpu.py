"""Whole models, packages and child processes on a real GPU; run by hand with `-m gpu`. Figures: with `-s`."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number, text
from torchprobes.model import Verdict

pytestmark = [pytest.mark.gpu, pytest.mark.compiles]


def told(tmp_path: Path, probe: str) -> Said:
    """The probe run on the GPU, its figures and findings printed, and nothing raised."""
    said = run_payload(tmp_path / "run", probe, "cuda:0", limit_s=600)
    print(f"\n{probe}: {said.judgement.verdict.value}, {said.judgement.reason}")
    for figure in said.readings.figures:
        print(f"  {figure.name} {figure.value:.6g} {figure.unit} {figure.labels}")
    for fact in said.readings.facts:
        if fact.name.startswith(("workers.", "train.", "aoti")):
            print(f"  {fact.name} {fact.value} {fact.evidence}")
    assert said.readings.outcome.ending == "ended", (said.readings.outcome, said.stderr[-3000:])
    return said


def test_a_transformer_is_compiled_right_and_no_gain_is_no_fault(tmp_path: Path) -> None:
    said = told(tmp_path, "compile.transformer")
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
    assert set(said.ids) <= {"TD-CMP-163"}


def test_a_training_step_runs_its_backward_compiled_with_right_gradients(tmp_path: Path) -> None:
    said = told(tmp_path, "compile.train")
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])
    assert text(said.readings, "train.backward") == "True"
    first, last = (number(said.readings, name, model="train") for name in ("loss_first", "loss_last"))
    assert first is not None
    assert last is not None
    assert last < first


def test_a_package_is_loaded_by_another_process(tmp_path: Path) -> None:
    said = told(tmp_path, "export.aoti")
    if said.ids == ["TD-EXP-043"]:
        pytest.xfail(f"no CUDA toolkit on this machine, and that is named: {said.judgement.reason}")
    assert said.judgement.verdict is Verdict.PASS, (said.judgement, said.stderr[-3000:])


def test_compiling_in_threads_and_children(tmp_path: Path) -> None:
    said = told(tmp_path, "compile.workers")
    states = [text(said.readings, f"workers.in.{place}") for place in ("process", "thread", "daemonic process")]
    assert states == ["right"] * 3, said.stderr[-3000:]
    assert number(said.readings, "workers_left") == 0
    assert set(said.ids) <= {"TD-CMP-141"}, said.judgement
