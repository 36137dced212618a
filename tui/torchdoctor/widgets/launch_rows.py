"""The lower half of the launch form: the command that will run, and what stands in its way."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from torchdoctor.paint import BLANK, Line, Page, heading, labelled, line
from torchdoctor.signs import RUNNING
from torchdoctor.text import safe
from torchdoctor.widgets.finding_rows import by_weight, finding_rows
from torchprobes.model import Finding, Severity


@dataclass(frozen=True, slots=True)
class Answers:
    """What the desk said of a form: of its command (`plan`, or `error`), and of what stands in its way."""

    plan: Mapping[str, Any] | None = None
    error: str = ""
    findings: tuple[Finding, ...] | None = None
    unlooked: str = ""
    """Why pre-flight said nothing."""

    @property
    def critical(self) -> bool:
        """Whether something found would make it fail."""
        return any(finding.severity is Severity.CRITICAL for finding in self.findings or ())


def findings_of(rows: Sequence[Any]) -> tuple[Finding, ...]:
    """The desk's answer as findings."""
    return tuple(msgspec.convert(rows, list[Finding]))


NOTHING: Final = line(("  name a script, or -m and a module, or take the DDP probe", "dim"))


def launch_page(answers: Answers, width: int) -> Page:
    """The command of ours, findings, then the whole command."""
    if answers.plan is None:
        rows = labelled("", f"✘ {safe(answers.error)}", width, at=2, role="fail") if answers.error else [NOTHING]
        return Page([BLANK, *rows])
    first = labelled("as", safe(str(answers.plan["line"])), width, at=8, role="key")
    return Page([BLANK, *first, BLANK, *_preflight(answers, width), BLANK, *_command(answers.plan, width)])


def _command(plan: Mapping[str, Any], width: int) -> list[Line]:
    rows = labelled("runs", safe(shlex.join(map(str, plan["argv"]))), width, at=8)
    env = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in plan["env"].items())
    rows += labelled("with", safe(env), width, at=8, role="dim") if env else []
    rows += labelled("puts into each rank", safe("; ".join(plan["injected"])) or "nothing", width, at=23)
    for note in plan["notes"]:
        rows += labelled("note", safe(str(note)), width, at=8)
    return rows


def _preflight(answers: Answers, width: int) -> list[Line]:
    if answers.unlooked:
        return [heading("pre-flight"), *labelled("", safe(answers.unlooked), width, at=4, role="warn")]
    if answers.findings is None:
        return [line(("  pre-flight", "title"), (f"   {RUNNING[0]} looking", RUNNING[1]))]
    if not answers.findings:
        return [heading("pre-flight", "nothing was found that stands in its way")]
    rows = [heading("pre-flight", f"{len(answers.findings)} to know before")]
    for finding in by_weight(answers.findings):
        rows += finding_rows(finding, width)
    return rows
