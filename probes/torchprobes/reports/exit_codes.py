"""Exit codes, the same for every command; README, "Exit codes"."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from typing import Literal

from torchprobes.model import Finding, Report, Severity, Verdict

OK = 0
FAIL = 1
USAGE = 2
DEGRADED = 3
INCOMPLETE = 4

FailOn = Literal["degraded", "fail", "never"]
FAIL_ON: tuple[FailOn, ...] = ("degraded", "fail", "never")

_PRECEDENCE = (USAGE, FAIL, INCOMPLETE, DEGRADED, OK)

_OF_VERDICT = {
    Verdict.FAIL: FAIL,
    Verdict.ERROR: INCOMPLETE,
    Verdict.UNSURE: INCOMPLETE,
    Verdict.DEGRADED: DEGRADED,
    Verdict.PASS: OK,
    Verdict.SKIP: OK,
}
_OF_SEVERITY = {Severity.CRITICAL: FAIL, Severity.WARNING: DEGRADED, Severity.INFO: OK}
_FORGIVEN: dict[FailOn, frozenset[int]] = {
    "degraded": frozenset(),
    "fail": frozenset({DEGRADED}),
    "never": frozenset({FAIL, DEGRADED, INCOMPLETE}),
}


def of_signal(number: int) -> int:
    """The exit code of a program that `number` ended: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + signal.Signals(number)


def first(codes: Iterable[int], fail_on: FailOn = "degraded") -> int:
    """The code that counts: 2 before 1 before 4 before 3 before 0, after `fail_on` has forgiven some."""
    present = {OK if code in _FORGIVEN[fail_on] else code for code in codes}
    return next((code for code in _PRECEDENCE if code in present), OK)


def of_findings(findings: Iterable[Finding]) -> list[int]:
    """A code for each finding: critical 1, warning 3, info 0."""
    return [_OF_SEVERITY[finding.severity] for finding in findings]


def of_report(report: Report, fail_on: FailOn = "degraded") -> int:
    """The exit code of a report: its verdicts and every finding in it, the machine's and the probes'."""
    return first(_codes(report), fail_on)


def _codes(report: Report) -> Iterator[int]:
    yield _OF_VERDICT[report.verdict]
    for result in report.results:
        yield _OF_VERDICT[result.verdict]
        yield from of_findings(result.findings)
    yield from of_findings(report.findings)
