"""What holds for every rule and every probe: no verdict without evidence, no card without a rule, no crash."""

from __future__ import annotations

import random

import pytest

from torchprobes.catalogue import PROBES, Probe
from torchprobes.jobs.preflight import RULES as LAUNCH_RULES
from torchprobes.judge.cards import CARDS, UnknownCard, card
from torchprobes.judge.cards.messages import SIGNS
from torchprobes.judge.cards.tracebacks import recognise
from torchprobes.judge.registry import POSITIVE, RULES
from torchprobes.judge.rules import EVERY
from torchprobes.judge.verdict import judge, rule_hits
from torchprobes.model import Evidence, Fact, Figure, Outcome, Readings, Verdict
from torchprobes.reports.baseline import FEWER, LOST, WORSE
from torchprobes.telemetry.rules import CHECKS, Check

ENDED = Outcome(ending="ended")
IDS = [probe.name for probe in PROBES]
COMPILE = next(probe for probe in PROBES if probe.name == "compile.default")


def empty(probe: Probe, outcome: Outcome = ENDED, device: str = "cpu") -> Readings:
    return Readings(probe=probe.name, device=device, outcome=outcome)


def test_every_rule_has_a_card_and_every_card_is_reachable() -> None:
    assert {rule.card for rule in RULES} <= {c.id for c in CARDS}
    reachable = {rule.card for rule in RULES} | {sign.card for sign in SIGNS}
    reachable |= {check.id for check in CHECKS} | {rule.card for rule in LAUNCH_RULES} | {FEWER, LOST, WORSE}
    assert {c.id for c in CARDS} - reachable == set()


def test_ids_are_unique_and_of_one_shape() -> None:
    ids = [c.id for c in CARDS]
    assert len(ids) == len(set(ids))
    for c in CARDS:
        kind = c.id.split("-")
        assert (kind[0], len(kind[1]), len(kind[2]), kind[2].isdigit()) == ("TD", 3, 3, True), c.id
        assert all((c.title, c.why, c.source, c.versions))
        assert not c.title.endswith(".")


def test_what_a_rule_hides_exists_and_is_not_itself() -> None:
    known = {rule.card for rule in RULES}
    for rule in RULES:
        assert set(rule.hides) <= known
        assert rule.card not in rule.hides


def test_rules_name_probes_that_exist() -> None:
    names = {p.name for p in PROBES} | {f"{p.group}.*" for p in PROBES} | set(EVERY)
    assert {name for rule in RULES for name in rule.probes} <= names
    assert set(POSITIVE) <= names


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("probe", PROBES, ids=IDS)
def test_nothing_read_is_no_finding_and_no_pass(probe: Probe, device: str) -> None:
    judgement = judge(probe, empty(probe, device=device))
    assert judgement.findings == ()
    assert judgement.verdict is Verdict.UNSURE


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("probe", PROBES, ids=IDS)
def test_no_rule_breaks_on_readings_that_make_no_sense(probe: Probe, seed: int) -> None:
    draw = random.Random(seed)
    words: list[str | int | float | bool | None] = ["", "x", -1, 0, 0.0, 1e300, True, False, None]
    facts = ["compile", "compile.message", "stance", "config.disable", "warm.cache_hits", "reference.fail_reason"]
    facts += ["reference.identity", "env.TORCHDYNAMO_DISABLE", "toolchain.cxx", "gpu.big", "replay.finite"]
    names = ["speedup", "speedup_low", "speedup_high", "compiled_calls_per_step", "error_eager_64", "graph_launches"]
    names += ["error_compiled_64", "graph_breaks", "first_call_s", "device_busy_share", "eager_us"]
    readings = Readings(
        probe=probe.name,
        device=draw.choice(["cpu", "cuda:0", "xpu", ""]),
        facts=tuple(Fact(name=name, value=draw.choice(words)) for name in facts),
        figures=tuple(
            Figure(name=name, value=draw.choice([-1.0, 0.0, 1.0, 1e300]), unit="?", labels={"model": "reference"})
            for name in names
        ),
        outcome=ENDED,
    )
    assert isinstance(judge(probe, readings).verdict, Verdict)


@pytest.mark.parametrize("ending", ["raised", "exited", "signal", "timeout", "cancelled", "interrupted", "left-behind"])
@pytest.mark.parametrize("probe", PROBES, ids=IDS)
def test_a_probe_that_did_not_say_its_end_is_an_error(probe: Probe, ending: str) -> None:
    outcome = Outcome(ending=ending, cause="the limit of 60 s was reached")  # type: ignore[arg-type]
    judgement = judge(probe, empty(probe, outcome))
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "the limit of 60 s was reached")
    by_a_person = ending in ("cancelled", "interrupted")
    assert [f.id[:6] for f in judgement.findings] == ([] if by_a_person else ["TD-RUN"])


def test_a_skip_keeps_its_reason() -> None:
    judgement = judge(PROBES[0], empty(PROBES[0], Outcome(ending="ended", skip="needs torch 2.6")))
    assert (judgement.verdict, judgement.reason) == (Verdict.SKIP, "needs torch 2.6")


def test_the_payloads_own_evidence_is_kept() -> None:
    own = Evidence(kind="trace", text="profile", artifact="artifacts/trace.json")
    readings = Readings(probe="compile.default", device="cpu", evidence=(own,), outcome=ENDED)
    assert own in judge(COMPILE, readings).evidence


def test_judging_again_gives_the_same() -> None:
    probe = COMPILE
    readings = Readings(probe=probe.name, device="cpu", outcome=ENDED, facts=(Fact(name="compile", value="E"),))
    assert judge(probe, readings) == judge(probe, readings)
    assert rule_hits(probe.name, readings)


def test_a_card_is_found_in_any_case_and_a_wrong_id_says_what_is_near() -> None:
    assert card(" td-cmp-001 ").title == "No working C++ compiler"
    with pytest.raises(UnknownCard, match=r"did you mean TD-CMP-\d"):
        card("TD-CMP-01")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_check_of_health_has_its_card(check: Check) -> None:
    found = card(check.id)
    assert (found.title.lower(), found.why, found.fix, found.source) == (
        check.title.lower(),
        check.why,
        check.fix,
        check.source,
    )


def test_a_pasted_traceback_leads_to_its_card_once() -> None:
    pasted = "Traceback (most recent call last):\n  File x\nInvalidCxxCompiler: No working C++ compiler found\n" * 2
    (hit,) = recognise(pasted)
    assert (hit.line, hit.card.id) == (3, "TD-CMP-001")
    assert recognise("all is well\n\x1b[31m\x00") == ()
