"""A report judged against that of a known good node: what is lost and what is slower becomes a finding.

The rules of a comparison decide what differs: the same tolerances, the same ways, the same shares of a device's peak.
What could not be held against the baseline is told, so that silence about it is no approval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from torchprobes.judge.cards import card
from torchprobes.model import Baseline, Finding, Report, Result, Severity, Verdict, worst
from torchprobes.quantity import quantity
from torchprobes.rundir import RunError, decode, write_atomically
from torchprobes.runner.results import gave_way

from .comparison import figures, ways
from .comparison.model import Platform, Said
from .comparison.platforms import device_of, platforms

FILE: Final = "baseline.json"
LOST, WORSE, FEWER = "TD-BAS-001", "TD-BAS-002", "TD-BAS-003"

MOST_SEEN: Final = 8
"""Figures or ways that one finding names."""

_HAS: Final = {Verdict.PASS: 2, Verdict.DEGRADED: 1, Verdict.SKIP: 0, Verdict.FAIL: 0}
"""How much of a feature there is; `unsure` and `error` say nothing about it."""

_MEASURED: Final = (Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL, Verdict.UNSURE)
"""Verdicts of probes that came to their figures."""


def keep(run: Path, good: Report) -> None:
    """Keep the baseline in the run, so that it is judged against it again wherever it is read.

    Raises:
        OSError: if it cannot be written.
    """
    write_atomically(run / FILE, msgspec.json.encode(good))


def applied(report: Report, run: Path, where: str) -> Report:
    """The report of a run judged against the baseline that is kept in it."""
    path = run / FILE
    try:
        good = decode(path.read_bytes(), Report, str(path))
    except (OSError, RunError) as error:
        return msgspec.structs.replace(report, baseline=Baseline(where=where, unread=str(error)))
    return judged(report, good, where)


def judged(report: Report, good: Report, where: str = "") -> Report:
    """The report with what is lost or worse than in `good` as findings; a pass that has one is degraded by it."""
    base, here = platforms((("baseline", good), ("here", report)))
    known = {result.name: result for result in good.results}
    held = [_held(result, known.get(result.name), here, base) for result in report.results]
    results = tuple(each.result for each in held)
    return msgspec.structs.replace(
        report,
        results=results,
        verdict=worst([result.verdict for result in results]),
        findings=(*report.findings, *_machine(here, base)),
        baseline=Baseline(
            where=where,
            host=good.machine.host,
            started=good.started,
            verdict=good.verdict,
            probes=sum(each.probe for each in held),
            figures=sum(each.figures for each in held),
            uncompared=tuple(each.why for each in held if each.why),
        ),
    )


# --- one probe ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    """One result held against the baseline's: with its findings, how much was compared, and why no more."""

    result: Result
    probe: bool = False
    figures: int = 0
    why: str = ""


def _held(result: Result, known: Result | None, here: Platform, base: Platform) -> _Held:
    if known is None:
        return _Held(result, why=f"{result.name}: the baseline did not ask it")
    if known.verdict in (Verdict.ERROR, Verdict.UNSURE):
        return _Held(result, why=f"{result.name}: {known.verdict.value} in the baseline")
    if result.verdict is Verdict.ERROR:
        return _Held(result, why=f"{result.name}: error here")
    if gave_way(result) or gave_way(known):
        return _Held(result, why=f"{result.name}: others used the device {'here' if gave_way(result) else 'there'}")
    lost = [*_less(result, known), *_other_ways(result, known)]
    device, other = device_of(here, result.device), device_of(base, known.device)
    pairs = _pairs(result, known, device, other)
    like = figures.likeness(other, device)
    worse = [words for one, now in pairs if (words := _worse(one, now, like))]
    findings = [_finding(LOST, Severity.WARNING, lost)] * bool(lost)
    findings += [_finding(WORSE, Severity.WARNING, worse)] * bool(worse)
    compared = sum(figures.ratio(one, now, like) is not None for one, now in pairs)
    unlike = compared < len(pairs)
    why = f"{result.name}: {compared} of {len(pairs)} figures, of {other} there and {device} here" if unlike else ""
    return _Held(_with(result, findings, [*lost, *worse]), True, compared, why)


def _with(result: Result, findings: list[Finding], seen: list[str]) -> Result:
    if not findings:
        return result
    passed = result.verdict is Verdict.PASS
    return msgspec.structs.replace(
        result,
        findings=(*result.findings, *findings),
        verdict=Verdict.DEGRADED if passed else result.verdict,
        reason=f"behind the baseline: {seen[0]}" if passed else result.reason,
    )


def _finding(card_id: str, severity: Severity, seen: list[str]) -> Finding:
    known, more = card(card_id), len(seen) - MOST_SEEN
    told = "; ".join(seen[:MOST_SEEN]) + (f"; and {more} more" if more > 0 else "")
    return Finding(id=known.id, severity=severity, seen=told, why=known.why, fix=known.fix, source=known.source)


def _less(result: Result, known: Result) -> Iterator[str]:
    now, before = _HAS.get(result.verdict), _HAS.get(known.verdict)
    if now is not None and before is not None and now < before:
        yield f"{result.verdict.value} here, {known.verdict.value} in the baseline"


def _other_ways(result: Result, known: Result) -> Iterator[str]:
    before = dict(ways.of(known))
    for what, how in ways.of(result):
        if what in before and ways.better(result.name, what, before[what], how) is False:
            yield f"{what}: {how} here, {before[what]} in the baseline"


# --- figures -----------------------------------------------------------------------------------------------------

_Pair = tuple[Said, Said]


def _pairs(result: Result, known: Result, device: str, other: str) -> list[_Pair]:
    """(baseline, here) of each figure that both measured and in which one is better than the other."""
    if result.verdict not in _MEASURED or known.verdict not in _MEASURED:
        return []
    before = {said.key: said for said in figures.said(known, other)}
    both = [(before[said.key], said) for said in figures.said(result, device) if said.key in before]
    return [pair for pair in both if not figures.quiet(pair[0].key) and _direction(pair[0]) != "neither"]


def _direction(said: Said) -> figures.Direction:
    return figures.direction(said.key, said.unit)


def _worse(one: Said, now: Said, like: figures.Likeness) -> str:
    """In words, how far a figure lies behind the baseline's; "" if it does not, or by no more than the noise."""
    ratio = figures.differs(one, now, like)
    if ratio is None or (ratio > 1) == (_direction(one) == "higher"):
        return ""
    within = figures.tolerance(one, now, like)
    by = f"{ratio - 1:+.0%}" if 0 < ratio < 10 else f"{ratio:.3g} times"
    return f"{one.key}: {_value(now)} here, {_value(one)} in the baseline ({by}, tolerance {within:.0%})"


def _value(said: Said) -> str:
    text = quantity(said.value, said.unit)
    return text if said.share is None else f"{text} ({said.share:.0%} of {said.of})"


# --- the machine -------------------------------------------------------------------------------------------------


def _machine(here: Platform, base: Platform) -> Iterator[Finding]:
    """GPUs of a kind that both have, of which there are fewer here."""
    mine, theirs = Counter(here.devices), Counter(base.devices)
    missing = [f"{mine[name]} of {count} {name}" for name, count in theirs.items() if 0 < mine[name] < count]
    if missing:
        yield _finding(FEWER, Severity.CRITICAL, missing)
