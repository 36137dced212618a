"""What is made of the readings of graph.run, on readings as real runs gave them."""

from __future__ import annotations

from typing import Any

import pytest

from torchprobes.catalogue import PROBES
from torchprobes.judge.verdict import judge
from torchprobes.model import Fact, Figure, Judgement, Outcome, Readings, Severity, Verdict

PROBE = next(probe for probe in PROBES if probe.name == "graph.run")

FIGURES: dict[str, float] = {
    "graph.ops": 14, "graph.finite_share": 1.0, "generated_kernels": 5, "compile_s": 20.5, "graph.distance": 6.2e-7,
    "graph.spread": 0.0, "graph.stirred": 6.6e-7, "graph.eps": 1.19e-7, "graph.off": 8.6e-7, "graph.eager_off": 6.2e-7,
    "eager_s": 2.15e-4, "compiled_s": 1.19e-4, "speedup": 2.02, "speedup_low": 1.98, "speedup_high": 2.17,
    "compiled_calls": 42,
}  # fmt: skip
FACTS: dict[str, str | bool] = {"graph.kind": "graph", "graph.random": False, "graph.answer": "compared"}
OF_MODEL = ("generated_kernels", "eager_s", "compiled_s", "speedup", "cudagraph_skips", "device_busy_share")


def said(
    device: str = "cpu", drop: tuple[str, ...] = (), skip: str | None = None, **more: float | str | bool
) -> Judgement:
    """The judgement of a sound run with `more` over it; names have `__` for a dot."""
    over = {name.replace("__", "."): value for name, value in more.items()}
    figures = {**FIGURES, **{k: v for k, v in over.items() if isinstance(v, float)}}
    facts = {**FACTS, **{k: v for k, v in over.items() if not isinstance(v, float)}}
    readings = Readings(
        probe=PROBE.name,
        device=device,
        figures=tuple(
            Figure(name=name, value=value, unit="", n=40, labels=_labels(name))
            for name, value in figures.items()
            if name not in drop
        ),
        facts=tuple(Fact(name=name, value=value, evidence="seen") for name, value in facts.items() if name not in drop),
        outcome=Outcome(ending="ended", skip=skip),
    )
    return judge(PROBE, readings)


def _labels(name: str) -> dict[str, str]:
    if name == "graph.off":
        return {"reference": "float64"}
    labels = {"model": "graph"} if name.startswith(OF_MODEL) else {}
    return {**labels, "side": "eager"} if name == "device_busy_share" else labels


def ids(judgement: Judgement) -> list[str]:
    return [finding.id for finding in judgement.findings]


def test_a_sound_graph_passes_with_what_it_rests_on() -> None:
    found = said()
    assert found.verdict is Verdict.PASS
    assert found.findings == ()
    assert found.reason.startswith("14 ops compiled into 5 kernels in 20.5 s, 9e-07 from float64, 2.02×")
    assert "eager 215 µs, compiled 119 µs" in found.reason


@pytest.mark.parametrize("missing", ["graph.off", "compiled_calls", "speedup", "compile_s", "graph.spread"])
def test_without_a_piece_of_its_evidence_there_is_no_pass(missing: str) -> None:
    assert said(drop=(missing,)).verdict is Verdict.UNSURE


def test_another_answer_fails_and_rounding_does_not() -> None:
    wrong = said(graph__off=0.3)
    assert wrong.verdict is Verdict.FAIL
    assert ids(wrong) == ["TD-GRF-003"]
    assert "0.3 from float64" in wrong.reason
    assert said(graph__off=3e-5, graph__stirred=1e-6).verdict is Verdict.PASS  # a graph that cancels
    assert said(graph__off=0.3, graph__spread=0.1).verdict is Verdict.PASS  # eager itself is not steady
    assert said(graph__off=1e-4).verdict is Verdict.FAIL


@pytest.mark.parametrize("answer", ["other shapes", "not finite"])
def test_an_answer_of_another_shape_or_without_numbers_fails(answer: str) -> None:
    assert ids(said(graph__answer=answer, drop=("graph.off",))) == ["TD-GRF-003"]


def test_what_the_compiler_raises_is_a_failure_with_the_line_of_the_graph() -> None:
    found = said(
        drop=("graph.off", "speedup", "compiled_calls"),
        compile="torch._inductor.exc.InductorError", compile__message="LoweringException: no such thing",
        compile__line="/g.py:42",
    )  # fmt: skip
    assert found.verdict is Verdict.FAIL
    assert ids(found) == ["TD-GRF-001"]
    assert "LoweringException" in found.reason
    assert "at /g.py:42" in found.reason


def test_a_missing_compiler_is_told_as_everywhere() -> None:
    found = said(
        drop=("graph.off", "speedup"),
        compile="torch._inductor.exc.InvalidCxxCompiler", compile__message="No working C++ compiler found in ...",
    )  # fmt: skip
    assert found.verdict is Verdict.FAIL
    assert ids(found)[0].startswith("TD-CMP-0")


def test_a_compiled_graph_that_raises_fails() -> None:
    found = said(drop=("graph.off",), graph__compiled="RuntimeError", graph__compiled__message="CUDA error: illegal")
    assert ids(found) == ["TD-GRF-002"]


def test_a_minifiers_repro_says_whether_it_still_fails() -> None:
    fixed = said(graph__kind="minifier launcher")
    assert fixed.verdict is Verdict.PASS
    assert fixed.reason.startswith("the minifier launcher does not fail here: ")
    failing = said(
        graph__kind="minifier repro", graph__expected="no such thing", drop=("graph.off",),
        compile="torch._inductor.exc.InductorError", compile__message="LoweringException: no such thing",
    )  # fmt: skip
    assert failing.verdict is Verdict.FAIL
    assert "the minifier repro still fails, as it did" in failing.reason


@pytest.mark.parametrize(
    ("more", "card"),
    [
        ({"graph__eager": "IndexError", "graph__eager__message": "index 9"}, "TD-GRF-011"),
        ({"graph__load": "NameError", "graph__load__message": "s0"}, "TD-GRF-010"),
        ({"graph__random": True, "graph__off": 1.2}, "TD-GRF-012"),
        ({"graph__finite_share": 0.1}, "TD-GRF-013"),
    ],
)
def test_what_cannot_be_judged_is_unsure(more: dict[str, Any], card: str) -> None:
    found = said(**more)
    assert found.verdict is Verdict.UNSURE
    assert ids(found) == [card]


SLOW: dict[str, Any] = {"speedup": 0.8, "speedup_low": 0.78, "speedup_high": 0.82}


@pytest.mark.parametrize(
    ("device", "share", "card"),
    [("cpu", None, "TD-CMP-041"), ("cuda:0", 0.1, "TD-CMP-042"), ("cuda:0", 0.95, "TD-CMP-043")],
)
def test_no_gain_without_a_cause_of_the_compilers_is_only_told(device: str, share: float | None, card: str) -> None:
    busy: dict[str, Any] = {} if share is None else {"device_busy_share": share}
    found = said(device, **SLOW, **busy)
    assert found.verdict is Verdict.PASS
    assert [(f.id, f.severity) for f in found.findings] == [(card, Severity.INFO)]


def test_no_gain_on_a_gpu_with_a_fallback_is_degraded_and_names_it() -> None:
    found = said("cuda:0", **SLOW, device_busy_share=0.95, graph__fallback__0="aten.nonzero.default")
    assert found.verdict is Verdict.DEGRADED
    assert ids(found) == ["TD-GRF-020"]
    assert "aten.nonzero.default run in eager kernels" in found.reason
    sdpa = said("cuda:0", **SLOW, device_busy_share=0.95, graph__fallback__0="aten._scaled_dot_product_flash.default")
    assert sdpa.verdict is Verdict.PASS


def test_what_was_left_out_is_told_and_a_skip_is_one() -> None:
    found = said(graph__left_out__1="import torch.no_such")
    assert found.verdict is Verdict.PASS
    assert ids(found) == ["TD-GRF-030"]
    assert said(skip="the graph needs cuda:0").verdict is Verdict.SKIP
