"""This node as it is now: its identity, one sample, and the findings of the health rules. Nothing is run on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torchprobes.environment import describe_machine
from torchprobes.model import Finding, Machine, Severity, Verdict
from torchprobes.samples import Absent, CellState, GpuSample, Sample
from torchprobes.telemetry import health, take_sample

SAMPLE_DEADLINE_S = 8.0
MACHINE_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Node:
    """One look at a node. `line` says in words what was found and how much could be read."""

    machine: Machine
    sample: Sample
    findings: tuple[Finding, ...]
    line: str

    @property
    def verdict(self) -> Verdict:
        """What the findings come to."""
        return verdict_of(self.sample, self.findings)


def verdict_of(sample: Sample, findings: Sequence[Finding]) -> Verdict:
    """`fail` with a critical finding, `degraded` with a warning, `unsure` where a GPU did not answer.

    Without a GPU there is nothing to judge: `skip`.
    """
    severities = {finding.severity for finding in findings}
    if Severity.CRITICAL in severities:
        return Verdict.FAIL
    if any(_silent(gpu) for gpu in sample.gpus):
        return Verdict.UNSURE
    if Severity.WARNING in severities:
        return Verdict.DEGRADED
    return Verdict.PASS if sample.gpus else Verdict.SKIP


def _silent(gpu: GpuSample) -> bool:
    """Whether even utilisation and memory of a GPU could not be read for another reason than "not supported"."""
    cells = (gpu.utilization_percent, gpu.memory_used_bytes)
    return all(isinstance(cell, Absent) and cell.state is not CellState.NOT_SUPPORTED for cell in cells)


def look() -> Node:
    """Look once; what does not answer within its deadline is in the sample as hung."""
    sample = take_sample(SAMPLE_DEADLINE_S)
    judged = health.judge(sample)
    return Node(
        machine=describe_machine(MACHINE_DEADLINE_S),
        sample=sample,
        findings=judged.findings,
        line=judged.line,
    )
