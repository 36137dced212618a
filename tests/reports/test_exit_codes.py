"""Exit codes: a table, and its order whatever the mixture."""

from __future__ import annotations

import itertools

import pytest
from report_material import finding, random_report, report, result

from torchprobes.model import Severity, Verdict
from torchprobes.reports import exit_codes
from torchprobes.reports.exit_codes import FAIL_ON, FailOn

WEIGHT = (2, 1, 4, 3, 0)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.FAIL, 1),
        (Verdict.ERROR, 4),
        (Verdict.UNSURE, 4),
        (Verdict.DEGRADED, 3),
        (Verdict.PASS, 0),
        (Verdict.SKIP, 0),
    ],
)
def test_each_verdict_alone(verdict: Verdict, code: int) -> None:
    assert exit_codes.of_report(report((result(verdict=verdict),))) == code


@pytest.mark.parametrize(("severity", "code"), [(Severity.CRITICAL, 1), (Severity.WARNING, 3), (Severity.INFO, 0)])
def test_a_finding_counts_wherever_it_stands(severity: Severity, code: int) -> None:
    assert exit_codes.of_report(report((result(),), (finding(severity),))) == code
    assert exit_codes.of_report(report((result(findings=(finding(severity),)),))) == code


def test_nothing_at_all_is_0() -> None:
    assert exit_codes.of_report(report()) == 0


def test_the_heaviest_code_counts_in_every_mixture() -> None:
    for length in range(1, 6):
        for codes in itertools.permutations(WEIGHT, length):
            assert exit_codes.first(codes) == next(code for code in WEIGHT if code in codes)


@pytest.mark.parametrize(("fail_on", "forgiven"), [("degraded", set()), ("fail", {3}), ("never", {1, 3, 4})])
def test_fail_on_forgives_what_it_says_and_never_a_wrong_command_line(fail_on: FailOn, forgiven: set[int]) -> None:
    for code in WEIGHT:
        assert exit_codes.first([code], fail_on) == (0 if code in forgiven else code)


def test_fail_on_never_makes_0_of_every_report_and_fail_never_adds_a_code() -> None:
    for seed in range(200):
        random = random_report(seed)
        assert exit_codes.of_report(random, "never") == 0
        strict, lenient = (exit_codes.of_report(random, fail_on) for fail_on in FAIL_ON[:2])
        assert lenient in (strict, 0)


@pytest.mark.parametrize(("number", "code"), [(1, 129), (2, 130), (15, 143)])
def test_signals(number: int, code: int) -> None:
    assert exit_codes.of_signal(number) == code
