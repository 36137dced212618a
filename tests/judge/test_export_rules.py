"""export.signature and export.roundtrip judged: sound runs pass with evidence, each fault has its card."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import EXPORT, SIGNATURE, ids, judged, readings

from torchprobes.model import Verdict

FORWARD, ROUNDTRIP = "export.signature", "export.roundtrip"
F, D, U, P = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE, Verdict.PASS


def test_sound_runs_pass_with_what_was_seen() -> None:
    forward, export = judged(readings(FORWARD, SIGNATURE)), judged(readings(ROUNDTRIP, EXPORT))
    assert (forward.verdict, forward.findings, export.verdict, export.findings) == (P, (), P, ())
    assert "104 of 117 modules" in forward.reason
    assert export.reason == "2 programs (dynamic, static) gave the same bits in another process, 3 answers"


@pytest.mark.parametrize(
    ("change", "card", "verdict"),
    [
        ({"forward.detector": False}, "TD-FWD-001", U),
        ({"forward.annotated": "partial"}, "TD-FWD-002", F),
        ({"forward.call": "wrong"}, "TD-FWD-002", F),
        ({"forward.call": ..., "forward.call.raised": "builtins.TypeError"}, "TD-FWD-002", F),
        ({"forward.script": ..., "forward.script.raised": "builtins.RuntimeError"}, "TD-FWD-003", D),
        ({"forward.fx": "wrong"}, "TD-FWD-004", D),
    ],
)
def test_each_fault_of_a_forward(change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = judged(readings(FORWARD, {**SIGNATURE, **change}, evidence=dict.fromkeys(change, "as seen")))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)


def test_a_pytorch_without_torchscript_is_no_fault() -> None:
    assert judged(readings(FORWARD, {**SIGNATURE, "forward.script": "absent"})).verdict is P


@pytest.mark.parametrize(
    ("change", "card", "verdict"),
    [
        ({"export.strict.raised": "torch._dynamo.exc.Unsupported"}, "TD-EXP-001", F),
        ({"export.static.here.32": 0.5}, "TD-EXP-002", F),
        ({"export.dynamic.fresh.48": "(1,) instead of (48, 1)"}, "TD-EXP-002", F),
        ({"export.dynamic.fresh.48": "not comparable"}, "TD-EXP-002", F),
        ({"export.dynamic.fresh.48": 1e-7}, "TD-EXP-003", D),
        ({"export.static.fresh.raised": "builtins.RuntimeError"}, "TD-EXP-004", F),
        ({"export.fresh.ending": -11}, "TD-EXP-004", F),
        ({"export.fresh.ending": "timeout"}, "TD-EXP-004", F),
        ({"export.comparison": False}, "TD-EXP-005", U),
        ({"export.dynamic": "not in this version"}, "TD-EXP-006", P),
    ],
)
def test_each_fault_of_an_export(change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = judged(readings(ROUNDTRIP, {**EXPORT, **change}, evidence=dict.fromkeys(change, "as seen")))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)


def test_why_export_refuses_is_given_in_its_own_words() -> None:
    told = {
        "export.static.raised": "torch.SomeError",
        "export.static.raised.message": "Data-dependent branching",
        "export.draft": "DATA_DEPENDENT_ERROR at model.py:3",
        "export.draft.raised": "builtins.ValueError",
    }
    (finding,) = judged(readings(ROUNDTRIP, told)).findings
    assert finding.seen == (
        "static: torch.SomeError: Data-dependent branching; draft_export says: DATA_DEPENDENT_ERROR at model.py:3"
    )


@pytest.mark.parametrize("missing", ["export.dynamic.fresh.32", "export.comparison"])
def test_what_was_not_compared_is_no_pass(missing: str) -> None:
    gone = {name: ... for name in EXPORT if name == missing or name.startswith(missing[:-2])}
    assert judged(readings(ROUNDTRIP, {**EXPORT, **gone})).verdict is U
