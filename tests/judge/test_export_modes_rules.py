"""export.modes and export.aoti: sound readings pass, one broken thing is one finding; export beside compile."""

from __future__ import annotations

import pytest
from sound import Facts, figure, ids, judged, readings

from torchprobes.model import Figure, Verdict

MODES: Facts = {
    "modes.strict_default": False,
    "modes.default": "right",
    "modes.strict": "right",
    "modes.default.branch": "refused",
    "modes.default.branch.named": True,
    "modes.draft": "right",
    "modes.draft.branch.successful": False,
    "modes.draft.branch.failures": "DATA_DEPENDENT_ERROR",
}
AOTI: Facts = {"aoti.load.pid": 4711, "aoti.load.ending": 0}


def aoti_figures(error: float = 3e-7) -> tuple[Figure, ...]:
    values = {"aoti_compile_s": 27.0, "aoti_load_s": 0.01, "aoti_package_bytes": 1.6e6}
    told = tuple(figure(name, value) for name, value in values.items())
    return (*told, figure("aoti_error", error, batch="32"), figure("aoti_error", 0.0, batch="48"))


def test_sound_readings_pass() -> None:
    for probe, facts, figures in (("export.modes", MODES, ()), ("export.aoti", AOTI, aoti_figures())):
        judgement = judged(readings(probe, facts, figures))
        assert (judgement.verdict, ids(judgement)) == (Verdict.PASS, []), judgement


@pytest.mark.parametrize(
    ("change", "expected", "verdict"),
    [
        ({"modes.strict": "raised"}, ["TD-EXP-030"], Verdict.FAIL),
        ({"modes.default": "differs"}, ["TD-EXP-030"], Verdict.FAIL),
        ({"modes.default.branch.named": False}, ["TD-EXP-031"], Verdict.UNSURE),
        ({"modes.strict.branch.here": 3.0}, ["TD-EXP-032"], Verdict.FAIL),
        ({"modes.draft.branch.successful": True}, ["TD-EXP-033"], Verdict.DEGRADED),
    ],
)
def test_one_broken_mode_is_one_finding(change: Facts, expected: list[str], verdict: Verdict) -> None:
    judgement = judged(readings("export.modes", {**MODES, **change}))
    assert (ids(judgement), judgement.verdict) == (expected, verdict), judgement


@pytest.mark.parametrize(
    ("change", "figures", "expected"),
    [
        ({"compile": "InductorError", "compile.message": "InvalidCxxCompiler: No working"}, (), ["TD-CMP-001"]),
        ({"compile": "RuntimeError", "compile.message": "unknown to all"}, (), ["TD-EXP-040"]),
        (
            {"compile": "CppCompileError", "compile.message": "x.cpp: fatal error: cuda.h: No such file"},
            (),
            ["TD-EXP-043"],
        ),
        ({"aoti.load": "RuntimeError", "aoti.load.message": "no such file"}, (), ["TD-EXP-041"]),
        ({"aoti.load.ending": -11}, (), ["TD-EXP-041"]),
        ({}, aoti_figures(0.3), ["TD-EXP-042"]),
        ({"aoti.shape": "(1,)"}, aoti_figures(), ["TD-EXP-042"]),
    ],
)
def test_one_broken_package_is_one_finding(change: Facts, figures: tuple[Figure, ...], expected: list[str]) -> None:
    judgement = judged(readings("export.aoti", {**AOTI, **change}, figures))
    assert (ids(judgement), judgement.verdict) == (expected, Verdict.FAIL), judgement


def test_where_compile_fails_and_export_works_that_is_told_beside_the_cause() -> None:
    facts: Facts = {"compile": "InductorError", "compile.message": "InvalidCxxCompiler", "export.toy": "right"}
    judgement = judged(readings("compile.default", facts))
    assert (judgement.verdict, ids(judgement)) == (Verdict.FAIL, ["TD-CMP-001", "TD-EXP-020"])
    judgement = judged(readings("compile.default", {**facts, "export.toy": "raised"}))
    assert ids(judgement) == ["TD-CMP-001"]
