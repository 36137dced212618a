"""One look at the GPUs: a sample, and what the rules of health say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torchdoctor import early
from torchprobes.model import Finding, Verdict
from torchprobes.reports import exit_codes
from torchprobes.samples import Sample
from torchprobes.telemetry import take_sample
from torchprobes.telemetry.health import Judge
from torchprobes.telemetry.past import Past
from torchprobes.telemetry.rules import unknown_thresholds
from torchprobes.telemetry.verdict import verdict_of

from ._output import note

DEADLINE_S = 8.0
"""For a sampler that does not even start; a driver that hangs is told by the sampler after 2.5 s."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. `line` says in words what was found and how much could be read."""

    sample: Sample
    past: Past
    findings: tuple[Finding, ...]
    line: str

    @property
    def verdict(self) -> Verdict:
        """What the findings come to."""
        return verdict_of(self.sample, self.findings)


def look(thresholds: Mapping[str, float]) -> Look:
    """Look once; what does not answer within its deadline is in the sample as hung."""
    judge = Judge(thresholds)
    sample, past = take_sample(DEADLINE_S, first_child=early.take(None)), judge.new_past()
    past.add(sample)
    judged = judge.judge(sample, past)
    for name in unknown_thresholds(thresholds):
        note(f"torchdoctor: thresholds: {name[:60]!r} is no limit of a check")
    return Look(sample, past, judged.findings, judged.line)


def exit_code(looked: Look) -> int:
    """By the findings; incomplete where a GPU, the driver or the sampler did not answer."""
    unsure = [exit_codes.INCOMPLETE] if looked.verdict is Verdict.UNSURE else []
    return exit_codes.first([*exit_codes.of_findings(looked.findings), *unsure])
