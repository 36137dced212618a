"""Each rule of `compile.*` and `cudagraph.*`: what makes it hold, and that it is then told once and alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from compile_material import ROWS, Facts, Numbers, healthy, ran_eager, readings

from torchprobes.judge.compiler import cudagraph as cudagraph_rules
from torchprobes.judge.compiler import rules as compile_rules
from torchprobes.judge.verdict import judge, rule_hits
from torchprobes.model import Readings, Severity, Verdict

PASS, DEGRADED, FAIL, UNSURE = Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL, Verdict.UNSURE

NO_CXX = "InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')"
TOY_ON_CPU = "TD-CMP-044"
TOY_ON_GPU = "TD-CMP-042"


@dataclass(frozen=True)
class Case:
    """Readings, the findings that they must give beside those of a healthy machine, and the verdict."""

    card: str
    verdict: Verdict
    readings: Readings
    says: str
    also: frozenset[str] = frozenset()


def raised(card: str, message: str, device: str = "cpu") -> Case:
    facts = {"compile": ("torch._inductor.exc.InductorError", "exception"), "compile.message": message}
    before = {"toolchain.cxx": "/usr/bin/g++", "reference.identity": False}
    return Case(card, FAIL, readings("compile.default", device, before | facts, {}), message.splitlines()[0][:40])


def eager(card: str, verdict: Verdict, says: str, device: str = "cpu", **facts: object) -> Case:
    named = {name.replace("__", "."): value for name, value in facts.items()}
    return Case(card, verdict, ran_eager(device, named), says)


def cured(card: str, says: str, **facts: object) -> Case:
    """Ran eager until Dynamo forgot what it knew."""
    named = {name.replace("__", "."): value for name, value in facts.items()}
    return Case(card, DEGRADED, ran_eager("cpu", named, {"reference compiled_calls_after_reset": 1}), says)


def changed(
    card: str,
    verdict: Verdict,
    says: str,
    probe: str,
    device: str,
    facts: Facts | None = None,
    numbers: Numbers | None = None,
) -> Case:
    """A healthy machine but for these."""
    usual = (TOY_ON_CPU if device == "cpu" else TOY_ON_GPU) if probe.startswith("compile") else card
    also = {usual, *({"TD-CMP-032"} if device == "cpu" and probe != "compile.default" else ())} - {card}
    return Case(card, verdict, healthy(probe, device, facts, numbers), says, frozenset(also))


SUPPRESS = {"env__TORCHDYNAMO_SUPPRESS_ERRORS": "0", "config__suppress_errors": True}
MADE: dict[str, Any] = {"reference__made": (2, "torch.compile was given: Model")}
LIMIT = "Dynamo recompile limit exceeded"
SLOW: Numbers = {"reference speedup": 0.71, "reference speedup_low": 0.70, "reference speedup_high": 0.72}
NOISY: Numbers = {"reference speedup": 1.2, "reference speedup_low": 0.7, "reference speedup_high": 1.9}

CASES = (
    raised("TD-CMP-001", NO_CXX),
    raised("TD-CMP-001", "PermissionError: [Errno 13] Permission denied: ''"),
    raised("TD-CMP-001", "FileNotFoundError: [Errno 2] No such file or directory: 'g++'"),
    raised("TD-CMP-002", "RuntimeError: Failed to find C compiler. Please specify via CC.", "cuda:0"),
    raised("TD-CMP-003", "CppCompileError: C++ compile error\nfatal error: Python.h: No such file or directory"),
    raised("TD-CMP-004", "CalledProcessError: /usr/bin/ld: cannot find -lcuda: No such file", "cuda:0"),
    raised("TD-CMP-005", "ImportError: /tmp/x.so: failed to map segment from shared object: Operation not permitted"),
    raised("TD-CMP-006", "PTXASError: ptxas fatal : Value 'sm_121a' is not defined for option 'gpu-name'", "cuda:0"),
    raised("TD-CMP-007", "TritonMissing: Cannot find a working triton installation.", "cuda:0"),
    raised("TD-CMP-008", "GPUTooOldForTriton: Found P100 which is too old to be supported by the triton", "cuda:0"),
    raised("TD-CMP-009", "RuntimeError: Dynamo is not supported on Python 3.12+"),
    raised("TD-CMP-010", "PermissionError: [Errno 13] Permission denied: '/tmp/torchinductor_root'"),
    raised("TD-CMP-019", "PermissionError: [Errno 13] Permission denied: 'nvcc'"),
    raised("TD-CMP-019", "LoweringException: AssertionError: something nobody has seen"),
    eager("TD-CMP-020", DEGRADED, "SUPPRESS_ERRORS=0", **SUPPRESS, reference__fail_reason="LoweringException: boom"),
    eager("TD-CMP-020", DEGRADED, "not recorded", config__suppress_errors=True),
    eager("TD-CMP-021", DEGRADED, "No working C++ compiler", **SUPPRESS, reference__fail_reason=NO_CXX),
    eager("TD-CMP-021", DEGRADED, "no g++ on PATH", **SUPPRESS, toolchain__cxx=(None, "g++ on PATH")),
    eager("TD-CMP-022", DEGRADED, "=1", env__TORCHDYNAMO_DISABLE="1", reference__identity=True),
    eager("TD-CMP-022", DEGRADED, "=1", **SUPPRESS, env__TORCHDYNAMO_DISABLE="1", reference__identity=True),
    eager("TD-CMP-023", DEGRADED, "=1", env__TORCH_COMPILE_DISABLE="1", config__disable=True),
    eager("TD-CMP-023", DEGRADED, "config.disable", config__disable=True),
    eager("TD-CMP-024", DEGRADED, "force_eager", stance="force_eager"),
    eager("TD-CMP-025", DEGRADED, "limit", reference__unimplemented__0="Dynamo recompile limit exceeded"),
    eager("TD-CMP-026", DEGRADED, "generator", reference__unimplemented__0="generator"),
    eager("TD-CMP-024", DEGRADED, "sets the stance force_eager", reference__stances="default; force_eager"),
    Case(
        "TD-CMP-070", DEGRADED,
        ran_eager("cpu", {"reference.disabled": "forward (m.py:3)"}, {"reference graph_breaks": 1}), "forward (m.py:3)",
    ),
    eager("TD-CMP-071", DEGRADED, "Sequential", reference__builtin="torch.nn.Sequential", **MADE),
    eager("TD-CMP-072", DEGRADED, "called 2 times", **MADE),
    eager("TD-CMP-073", DEGRADED, "FlopCounterMode is active", reference__dispatch_modes="FlopCounterMode", **MADE),
    cured("TD-CMP-027", "RuntimeError: no", reference__before__hidden="RuntimeError: no", **SUPPRESS),
    cured("TD-CMP-028", "limit reached", reference__before__limit="limit reached", reference__unimplemented__0=LIMIT),
    cured("TD-CMP-074", "under: FlopCounterMode", reference__before__dispatch_modes="FlopCounterMode", **MADE),
    eager("TD-CMP-029", FAIL, "0 calls of compiled code"),
    raised("TD-CMP-011", "RuntimeError: you are using FX to torch.jit.trace a dynamo-optimized function."),
    changed(
        "TD-CMP-025", DEGRADED, "1 call of compiled code a step, and", "compile.default", "cpu",
        {"reference.unimplemented.0": LIMIT},
    ),
    changed(
        "TD-CMP-037", DEGRADED, "nothing was counted or logged", "compile.reduce-overhead", "cuda:0",
        None, {"reference graph_launches side=compiled": 0, **SLOW},
    ),
    changed(
        "TD-CMP-038", DEGRADED, "1 capture a steady step", "compile.reduce-overhead", "cuda:0",
        None, {"reference graph_captures side=compiled": 1, **SLOW},
    ),
    changed(
        "TD-CMP-038", DEGRADED, "(at least 1 expected): CUDAGraph supports dynamic shapes",
        "compile.reduce-overhead", "cuda:0",
        {"reference.warning": "CUDAGraph supports dynamic shapes by recording a new graph for each distinct size"},
        {"reference graph_launches side=compiled": 0, **SLOW},
    ),
    changed(
        "TD-CMP-039", PASS, "3 graphs of one model: GLOBAL_STATE changed: grad_mode", "compile.default", "cpu",
        {"reference.recompile.0": "GLOBAL_STATE changed: grad_mode"}, {"reference graphs": 3},
    ),
    changed("TD-CMP-063", PASS, "2 graphs", "compile.default", "cpu", None, {"reference fxgraph_cache_bypass": 2}),
    changed(
        "TD-CMP-070", DEGRADED, "1 break (0 expected) at inner (m.py:9)", "compile.default", "cpu",
        {"reference.graph_break.0": "call torch._dynamo.disable() wrapped", "reference.disabled": "inner (m.py:9)"},
        {"reference graph_breaks": 1},
    ),
    changed(
        "TD-CMP-073", DEGRADED, "1 graph compiled a steady step", "compile.default", "cpu",
        {"reference.dispatch_modes": "FlopCounterMode"}, {"reference compiles_per_step": 1},
    ),
    changed(
        "TD-CMP-075", DEGRADED, "backend aot_eager", "compile.default", "cuda:0",
        {"reference.backends": "aot_eager"}, SLOW,
    ),
    changed(
        "TD-CMP-076", DEGRADED, "name == '1'", "compile.default", "cuda:0",
        {"reference.recompile.0": "name == '1'"}, {"reference compiles_per_step": 1, **SLOW},
    ),
    changed(
        "TD-CMP-080", DEGRADED, "12 ops of attention, 0 fused", "compile.default", "cuda:0",
        None, {"reference attention_ops": 12, "reference attention_fused": 0},
    ),
    changed(
        "TD-CMP-081", DEGRADED, "bfloat16 on NVIDIA H200", "compile.entry", "cuda:0",
        {"reference.dtypes": "bfloat16, int64", "gpu.bf16": False},
    ),
    changed(
        "TD-CMP-083", DEGRADED, "2 convolutions without", "compile.entry", "cuda:0",
        {"gpu.cudnn": False}, {"reference convolutions": 2},
    ),
    changed(
        "TD-CMP-030", DEGRADED, "2 breaks (0 expected): print at a.py:7", "compile.default", "cpu",
        {"reference.graph_break.0": ("print", "a.py:7")}, {"reference graph_breaks": 2},
    ),
    changed(
        "TD-CMP-031", DEGRADED, "0 CUDA graphs", "compile.reduce-overhead", "cuda:0",
        {"reference.cudagraph_skip_reason": "mutated inputs"}, {"reference graph_launches side=compiled": 0, **SLOW},
    ),
    changed("TD-CMP-032", PASS, "without CUDA graphs", "compile.reduce-overhead", "cpu"),
    changed(
        "TD-CMP-033", UNSURE, "no driver call", "compile.max-autotune", "cuda:0",
        None, {"reference graph_launches side=compiled": None},
    ),
    changed(
        "TD-CMP-034", DEGRADED, "0 kernels generated", "compile.default", "cuda:0",
        None, {"reference generated_kernels": 0, "reference extern_calls": 3, **SLOW},
    ),
    changed("TD-CMP-035", PASS, "H200", "compile.max-autotune", "cuda:0", {"gpu.big": False}),
    changed(
        "TD-CMP-036", PASS, "any value", "compile.default", "cpu",
        {"env.TORCHDYNAMO_SUPPRESS_ERRORS": "0", "config.suppress_errors": True},
    ),
    changed("TD-CMP-040", DEGRADED, "0.71× (95 % 0.70 to 0.72)", "compile.default", "cuda:0", None, SLOW),
    changed("TD-CMP-041", PASS, "0.71×", "compile.default", "cpu", None, SLOW),
    changed("TD-CMP-042", PASS, "works 16 % of an eager step", "compile.default", "cuda:0"),
    changed("TD-CMP-044", PASS, "no gain on the toy: 0.37×", "compile.default", "cpu"),
    changed("TD-CMP-046", UNSURE, "100% wide (limit 30%)", "compile.default", "cpu", None, NOISY),
    changed("TD-CMP-046", UNSURE, "(limit 10%)", "compile.default", "cuda:0", None, NOISY),
    changed(
        "TD-CMP-050", FAIL, "0.003 against float64 (limit 2e-05)", "compile.default", "cpu",
        None, {"reference error_compiled_64": 3e-3},
    ),
    changed("TD-CMP-051", FAIL, "toy model: NaN", "compile.default", "cpu", {"toy.finite": False}),
    changed("TD-CMP-060", DEGRADED, "0 hits", "compile.default", "cpu", {"warm.cache_hits": 0, "warm.cache_misses": 1}),
    changed(
        "TD-CMP-061", PASS, "0 hits", "compile.default", "cpu",
        {"config.fx_graph_cache": False, "warm.cache_hits": 0},
    ),
    changed(
        "TD-CMP-061", PASS, "0 hits", "compile.default", "cpu",
        {"env.TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "warm.cache_hits": 0},
    ),
    changed("TD-CMP-062", UNSURE, "-9", "compile.default", "cpu", {"warm.failed": -9, "warm.cache_hits": ...}),
    changed(
        "TD-CGR-001", FAIL, "operation not permitted when stream is capturing", "cudagraph.replay", "cuda:0",
        {"cudagraph": "RuntimeError", "cudagraph.message": "operation not permitted when stream is capturing",
         "replay.finite": ...},
        {"reference graph_launches side=replay": None},
    ),
    changed("TD-CGR-002", FAIL, "poison", "cudagraph.replay", "cuda:0", {"replay.finite": False}),
    changed(
        "TD-CGR-002", FAIL, "limit 2e-05", "cudagraph.replay", "cuda:0", None, {"reference error_compiled_64": 1.0},
    ),
    changed("TD-CGR-002", FAIL, "gradient", "cudagraph.replay", "cuda:0", None, {"graphed_callable_difference": 0.5}),
    changed(
        "TD-CGR-003", UNSURE, "0 launches of graphs a replay", "cudagraph.replay", "cuda:0",
        None, {"reference graph_launches side=replay": 0},
    ),
    changed(
        "TD-CGR-004", UNSURE, "OSError", "cudagraph.replay", "cuda:0", {"profile.unreadable": ("OSError", "disk full")},
        {"reference graph_launches side=replay": None},
    ),
    changed("TD-CGR-005", DEGRADED, "0.71×", "cudagraph.replay", "cuda:0", None, SLOW),
    changed("TD-CGR-006", UNSURE, "wide", "cudagraph.replay", "cuda:0", None, NOISY),
    changed(
        "TD-CGR-007", DEGRADED, "no", "cudagraph.replay", "cuda:0",
        {"make_graphed_callables": "RuntimeError", "make_graphed_callables.message": "no"},
    ),
)  # fmt: skip

TOY_CASES = (
    ("TD-CMP-043", "cuda:0", {"toy device_busy_share side=eager": 0.9}),
    ("TD-CMP-045", "cuda:0", {"toy device_busy_share side=eager": None}),
)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.card)
def test_one_cause_is_told_once_with_its_number(case: Case) -> None:
    judgement = judge(ROWS[case.readings.probe], case.readings)
    ids = [finding.id for finding in judgement.findings]
    assert judgement.verdict is case.verdict, judgement
    assert sorted(ids) == sorted({case.card} | case.also)
    finding = next(f for f in judgement.findings if f.id == case.card)
    assert case.says in finding.seen
    if case.verdict is not PASS:
        assert case.says in judgement.reason


@pytest.mark.parametrize(("card", "device", "numbers"), TOY_CASES)
def test_the_toy_names_what_bounds_it(card: str, device: str, numbers: dict[str, float | None]) -> None:
    judgement = judge(ROWS["compile.default"], healthy("compile.default", device, None, numbers))
    assert [f.id for f in judgement.findings] == [card]
    assert judgement.findings[0].severity is Severity.INFO
    assert judgement.verdict is PASS


def test_full_precision_on_a_gpu_with_tf32_is_told_and_no_fault() -> None:
    facts = {"reference.dtypes": "float32", "gpu.tf32": True, "gpu.matmul_precision": "highest"}
    told = readings("compile.entry", "cuda:0", facts, {"reference matmul_ops": 2})
    ((rule, seen),) = rule_hits("compile.entry", told)
    assert (rule.card, rule.verdict, rule.severity) == ("TD-CMP-082", None, Severity.INFO)
    assert "'highest'" in seen


def test_every_rule_has_a_case_that_it_holds_for() -> None:
    tried = {case.card for case in CASES} | {card for card, _, _ in TOY_CASES} | {"TD-CMP-082"}
    assert tried == {rule.card for rule in (*compile_rules.RULES, *cudagraph_rules.RULES)}


@pytest.mark.parametrize("probe", ["compile.default", "compile.reduce-overhead", "compile.max-autotune"])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_a_sound_machine_passes_on_evidence(probe: str, device: str) -> None:
    judgement = judge(ROWS[probe], healthy(probe, device))
    assert judgement.verdict is PASS
    assert judgement.reason.startswith("1 call of compiled code a step, relative error 7e-08 against float64, 4.98×")
    assert {f.severity for f in judgement.findings} == {Severity.INFO}
    assert judgement.evidence[0].kind == "positive"


def test_a_replay_passes_on_a_launched_graph() -> None:
    judgement = judge(ROWS["cudagraph.replay"], healthy("cudagraph.replay", "cuda:0"))
    assert (judgement.verdict, judgement.findings) == (PASS, ())
    assert "1 graph launch a replay" in judgement.reason


@pytest.mark.parametrize(
    "missing",
    [
        "reference compiled_calls_per_step",
        "reference error_compiled_64",
        "reference error_eager_64",
        "reference speedup",
    ],
)
def test_without_any_one_piece_of_evidence_there_is_no_pass(missing: str) -> None:
    judgement = judge(ROWS["compile.default"], healthy("compile.default", "cpu", None, {missing: None}))
    assert judgement.verdict is UNSURE


@pytest.mark.parametrize("missing", ["reference error_compiled_64", "reference speedup_low"])
def test_without_any_one_piece_of_evidence_no_replay_passes(missing: str) -> None:
    assert (
        judge(ROWS["cudagraph.replay"], healthy("cudagraph.replay", "cuda:0", None, {missing: None})).verdict is UNSURE
    )


def test_a_second_cause_is_told_beside_the_first() -> None:
    both = healthy("compile.default", "cpu", {"warm.cache_hits": 0}, {"reference error_compiled_64": 1.0})
    judgement = judge(ROWS["compile.default"], both)
    assert [f.id for f in judgement.findings] == ["TD-CMP-050", "TD-CMP-060", TOY_ON_CPU]
    assert judgement.verdict is FAIL
