"""The user's own model judged: wrong answers told from random and unsteady ones, and what is not compiled."""

from __future__ import annotations

from typing import Any

import pytest

from torchprobes.catalogue import PROBES
from torchprobes.judge.verdict import judge
from torchprobes.model import Fact, Figure, Judgement, Outcome, Readings, Verdict

EPS = 1.2e-7

SOUND: dict[str, dict[str, Any]] = {
    "compile.entry": {
        "entry.random": False,
        "entry.compiled.answer": "compared",
        "config.suppress_errors": False,
        "stance": "default",
        "entry.spread": 0.0,
        "entry.eps": EPS,
        "entry.distance case=compiled": 1.4e-7,
        "compiled_calls_per_step model=reference": 1.0,
        "generated_kernels model=reference": 4.0,
        "graph_breaks model=reference": 0.0,
        "coverage": 0.97,
        "eager_share": 0.01,
        "eager_us model=reference": 900.0,
        "compiled_us model=reference": 300.0,
        "speedup model=reference": 3.0,
        "speedup_low model=reference": 2.9,
        "speedup_high model=reference": 3.1,
    },
    "export.entry": {
        "entry.random": False,
        "entry.non-strict.answer": "compared",
        "entry.spread": 0.0,
        "entry.eps": EPS,
        "entry.distance case=non-strict": 0.0,
        "entry.distance case=strict": 0.0,
    },
    "cudagraph.entry": {
        "entry.random": False,
        "entry.replay.answer": "compared",
        "entry.spread": 0.0,
        "entry.eps": EPS,
        "entry.distance case=replay": 0.0,
        "graph_launches side=replay": 1.0,
        "eager_us model=reference": 900.0,
        "replay_us model=reference": 300.0,
        "speedup model=reference": 3.0,
        "speedup_low model=reference": 2.9,
        "speedup_high model=reference": 3.1,
    },
}


def judged(name: str, change: dict[str, Any] | None = None, device: str = "") -> Judgement:
    """A sound run with something changed: a value, or None for what was not read."""
    read = {k: v for k, v in {**SOUND[name], **(change or {})}.items() if v is not None}
    figures, facts = [], []
    for key, value in read.items():
        what, *labels = key.split(" ")
        if isinstance(value, float):
            figures.append(Figure(name=what, value=value, unit="x", labels=dict(w.split("=") for w in labels)))
        else:
            facts.append(Fact(name=what, value=value))
    probe = next(p for p in PROBES if p.name == name)
    device = device or ("cuda:0" if name == "cudagraph.entry" else "cpu")
    outcome = Outcome(ending="ended")
    return judge(
        probe, Readings(probe=name, device=device, figures=tuple(figures), facts=tuple(facts), outcome=outcome)
    )


def ids(judgement: Judgement) -> list[str]:
    return [finding.id for finding in judgement.findings]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_without_a_finding(name: str) -> None:
    found = judged(name)
    assert (found.verdict, ids(found)) == (Verdict.PASS, []), found


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("lost", ["entry.spread", "entry.eps"])
def test_an_answer_that_was_not_compared_is_no_pass(name: str, lost: str) -> None:
    assert judged(name, {lost: None}).verdict is Verdict.UNSURE


WRONG = (
    ("compile.entry", {"entry.distance case=compiled": 1e-3}, "compiled: 0.001 from eager"),
    ("compile.entry", {"entry.compiled.answer": "other shapes"}, "other shapes"),
    ("export.entry", {"entry.distance case=strict": 0.5}, "strict: 0.5 from eager"),
    ("cudagraph.entry", {"entry.replay.answer": "not finite"}, "not finite"),
)


@pytest.mark.parametrize(("name", "change", "words"), WRONG)
def test_a_wrong_answer_fails_with_number_and_limit(name: str, change: dict[str, Any], words: str) -> None:
    found = judged(name, change)
    assert found.verdict is Verdict.FAIL
    assert ids(found)[0] == "TD-ENT-001"
    assert words in found.reason


def test_an_unsteady_model_may_differ_as_much_as_it_does_from_itself() -> None:
    found = judged("compile.entry", {"entry.distance case=compiled": 1e-3, "entry.spread": 5e-4})
    assert (found.verdict, ids(found)) == (Verdict.PASS, ["TD-ENT-003"])


def test_random_numbers_excuse_a_replay_and_not_compiled_code_that_drew_the_same() -> None:
    random = {"entry.random": True, "entry.seed_distance": 0.3}
    replay = judged("cudagraph.entry", {**random, "entry.distance case=replay": 0.3})
    assert (replay.verdict, ids(replay)) == (Verdict.PASS, ["TD-ENT-002"])
    compiled = judged("compile.entry", {**random, "entry.distance case=compiled": 0.3})
    assert (compiled.verdict, ids(compiled)) == (Verdict.FAIL, ["TD-ENT-001", "TD-ENT-002"])


def test_what_is_not_compiled_is_told_with_its_share() -> None:
    found = judged("compile.entry", {"eager_share": 0.31, "coverage": 0.62})
    assert (found.verdict, ids(found)) == (Verdict.DEGRADED, ["TD-ENT-010"])
    assert "31 % of the step's time is in eager operators (limit 10 %); compiled code covers 62 %" in found.reason


@pytest.mark.parametrize(("busy", "card"), [(0.2, "TD-CMP-042"), (0.9, "TD-CMP-043"), (None, "TD-CMP-045")])
def test_a_model_that_gains_nothing_on_a_gpu_passes_and_says_why(busy: float | None, card: str) -> None:
    slow = {f"{name} model=reference": value for name, value in
            (("speedup", 0.99), ("speedup_low", 0.97), ("speedup_high", 1.01), ("graph_launches", 1.0))}  # fmt: skip
    slow["graph_launches side=compiled model=reference"] = 1.0
    change = {**slow, "device_busy_share side=eager model=reference": busy}
    found = judged("compile.entry", change, "cuda:0")
    assert (found.verdict, ids(found)) == (Verdict.PASS, [card])


def test_a_model_that_exports_one_way_alone_passes_and_says_so() -> None:
    raised = {"export.strict": "torch._dynamo.exc.Unsupported", "export.strict.message": "a generator"}
    one = judged("export.entry", {**raised, "entry.distance case=strict": None})
    assert (one.verdict, ids(one)) == (Verdict.PASS, ["TD-ENT-021"])
    both = judged("export.entry", {**raised, "export.non-strict": "builtins.RuntimeError"})
    assert (both.verdict, ids(both)[0]) == (Verdict.FAIL, "TD-ENT-020")


def test_a_capture_that_is_refused_fails_with_its_words() -> None:
    lost = dict.fromkeys(SOUND["cudagraph.entry"])
    found = judged("cudagraph.entry", {**lost, "cudagraph": "torch.AcceleratorError", "cudagraph.message": "CUDA error:"
                   " operation not permitted when stream is capturing"})  # fmt: skip
    assert (found.verdict, ids(found)) == (Verdict.FAIL, ["TD-ENT-030"])
    assert "not permitted when stream is capturing" in found.reason
