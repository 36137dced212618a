"""Readings in, judgement out. Pure: a stored run is judged again with the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ..catalogue import Probe
from ..model import Evidence, Expectation, Finding, Judgement, Outcome, Readings, Severity, Verdict
from .cards import card
from .registry import EXPECTED, POSITIVE, RULES
from .rules import Rule

_WORST_FIRST = (Verdict.FAIL, Verdict.UNSURE, Verdict.DEGRADED)
_SEVEREST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)

_T = TypeVar("_T")

Hit = tuple[Rule, str]
"""A rule that holds, and what it saw."""


def judge(probe: Probe, readings: Readings) -> Judgement:
    """What the rules make of one probe's readings.

    A probe that did not say its own end is an `error`, whatever it measured until then; one that said `skip` is a
    skip. Else the worst verdict of the rules that hold; without any, `pass` needs the probe's positive evidence
    and is `unsure` if that is missing.
    """
    hits = rule_hits(probe.name, readings)
    findings = tuple(_finding(rule, seen) for rule, seen in hits)
    ended = _by_outcome(readings.outcome)
    if ended is not None:
        verdict, reason = ended
        return Judgement(verdict=verdict, reason=reason, findings=findings, evidence=readings.evidence)
    verdict, reason, proof = _by_evidence(probe.name, readings, hits)
    return Judgement(
        verdict=verdict,
        reason=reason,
        findings=findings,
        evidence=proof + readings.evidence,
        expectations=_expected(probe.name, readings),
    )


def rule_hits(probe: str, readings: Readings) -> tuple[Hit, ...]:
    """The rules that hold, worst first, without those that are mere consequences of another that holds."""
    seen = ((rule, rule.when(readings)) for rule in RULES if rule.applies(probe))
    hits = [(rule, text) for rule, text in seen if text is not None]
    hidden = {consequence for rule, _ in hits for consequence in rule.hides}
    return tuple(sorted((hit for hit in hits if hit[0].card not in hidden), key=_rank))


def _rank(hit: Hit) -> tuple[int, int]:
    rule = hit[0]
    return (
        _WORST_FIRST.index(rule.verdict) if rule.verdict in _WORST_FIRST else len(_WORST_FIRST),
        _SEVEREST_FIRST.index(rule.severity),
    )


def _by_outcome(outcome: Outcome) -> tuple[Verdict, str] | None:
    if outcome.ending != "ended":
        return Verdict.ERROR, outcome.cause or outcome.ending
    if outcome.skip is not None:
        return Verdict.SKIP, outcome.skip
    return None


def _by_evidence(probe: str, readings: Readings, hits: tuple[Hit, ...]) -> tuple[Verdict, str, tuple[Evidence, ...]]:
    if hits and hits[0][0].verdict is not None:
        rule, seen = hits[0]
        return rule.verdict or Verdict.UNSURE, f"{card(rule.card).title}: {seen}", ()
    proof = _positive(probe, readings)
    if proof is None:
        return Verdict.UNSURE, "no evidence that it worked: what a pass rests on was not read", ()
    return Verdict.PASS, proof, (Evidence(kind="positive", text=proof),)


def _positive(probe: str, readings: Readings) -> str | None:
    rule = _of(POSITIVE, probe)
    return None if rule is None else rule(readings)


def _expected(probe: str, readings: Readings) -> tuple[Expectation, ...]:
    expected = _of(EXPECTED, probe)
    return () if expected is None else expected(readings)


def _of(table: Mapping[str, _T], probe: str) -> _T | None:
    """The entry of a probe, else that of its group."""
    return table.get(probe) or table.get(f"{probe.partition('.')[0]}.*")


def _finding(rule: Rule, seen: str) -> Finding:
    known = card(rule.card)
    return Finding(id=known.id, severity=rule.severity, seen=seen, why=known.why, fix=known.fix, source=known.source)
