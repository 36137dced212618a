"""A report as text: every verdict with sign and word, findings with their fix, counts last."""

from __future__ import annotations

import random

import msgspec
import pytest

from torchdoctor.commands._table import report_text
from torchprobes.model import Finding, Fix, Machine, Report, Result, Scope, Severity, Target, Tier, Verdict, worst
from torchprobes.reports.redaction import Level, Redactor

MACHINE = Machine(host="node7", boot_id="", kernel="", arch="", os="", cpu="", cores=1, memory_bytes=1)
HOSTILE = (
    "",
    "plain words " * 30,
    "\x1b[2J\x1b]52;c;AAAA\x07",
    "a\nb\rc",
    "\u202eevil",
    "x" * 400,
    "PASSWORD=hunter2",
    "é漢🙂",
)


def finding(text: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(
        id="TD-CMP-001",
        severity=severity,
        seen=text,
        why=text,
        fix=Fix(command=f"do {text}", scope=Scope.GPU, needs=("idle",)),
    )


def report(*results: Result, findings: tuple[Finding, ...] = ()) -> Report:
    return Report(
        torchdoctor="0.1.0", machine=MACHINE, target=Target(python="/env/bin/python", torch="2.6.0"), tier="quick",
        started="", seconds=3.0, verdict=worst([r.verdict for r in results]), results=results, findings=findings,
    )  # fmt: skip


def result(verdict: Verdict, reason: str = "because", *findings: Finding) -> Result:
    return Result(
        name="env.identity", group="env", tier=Tier.QUICK, device="cpu", verdict=verdict, reason=reason, seconds=1.25,
        findings=findings,
    )  # fmt: skip


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_a_sign_and_a_word(verdict: Verdict) -> None:
    for signs in (True, False):
        text = report_text(report(result(verdict)), signs=signs)
        (row,) = [line for line in text.splitlines() if "env.identity" in line]
        assert row.split()[1] == verdict.value
        assert len(row.split()[0]) == 1
        assert row.isascii() is not signs or verdict in (Verdict.UNSURE, Verdict.ERROR)
        assert row.endswith("1.2 s  because")


def test_signs_differ_between_verdicts() -> None:
    for signs in (True, False):
        rows = {report_text(report(result(v)), signs=signs).splitlines()[1][0] for v in Verdict}
        assert len(rows) == len(Verdict)


def test_a_finding_says_what_was_seen_why_and_what_to_do() -> None:
    text = report_text(report(result(Verdict.FAIL, "broken", finding("3 of 4"))), signs=False)
    assert "^ TD-CMP-001 warning: 3 of 4" in text
    assert "why: 3 of 4" in text
    assert "fix (gpu, needs: idle): do 3 of 4" in text


def test_findings_of_the_machine_are_apart_and_counts_are_last() -> None:
    text = report_text(
        report(result(Verdict.PASS), findings=(finding("hot", Severity.CRITICAL),)), signs=False, where="/r"
    )
    lines = text.splitlines()
    assert lines[lines.index("this machine:") + 1] == "  x TD-CMP-001 critical: hot"
    assert lines[-2:] == ["run: /r", "pass: 1 pass in 3.0 s"]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_payload_said_no_line_styles_a_terminal_or_grows_too_long(seed: int) -> None:
    dice = random.Random(seed)

    def text() -> str:
        return dice.choice(HOSTILE)

    width = dice.choice([20, 60, 100])
    results = [result(dice.choice(list(Verdict)), text(), finding(text())) for _ in range(dice.randrange(4))]
    shown = Redactor(Level.INTERNAL).report(report(*results, findings=(finding(text()),)))
    said = report_text(shown, signs=dice.random() < 0.5, width=width)
    assert "hunter2" not in said
    for line in said.splitlines():
        assert line.isprintable()
        # A command is there to be copied: it alone is never cut.
        assert len(line) <= max(60, width) or "fix (" in line


@pytest.mark.parametrize(("torch", "words"), [(None, "no torch"), ("", "torch not read"), ("2.6.0", "torch 2.6.0")])
def test_the_first_line_names_host_torch_and_the_whole_way_to_the_interpreter(torch: str | None, words: str) -> None:
    launched = msgspec.structs.replace(report(), target=Target(python="python", prefix=("srun", "-n1"), torch=torch))
    assert report_text(launched, signs=False).splitlines()[0] == f"node7  {words}  srun -n1 python"
