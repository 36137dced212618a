"""What the findings of one look at the telemetry come to."""

from __future__ import annotations

from collections.abc import Sequence

from ..cells import Absent, CellState
from ..model import Finding, Severity, Verdict
from ..samples import GpuSample, Sample

_NO_ANSWER = ("hung", "the sampler")
"""How a driver state begins when there was no answer, not even that there is no GPU."""


def verdict_of(sample: Sample, findings: Sequence[Finding]) -> Verdict:
    """`fail` with a critical finding, `degraded` with a warning, `unsure` where a GPU did not answer.

    Without a GPU there is nothing to judge: `skip`, unless nobody could say whether there is one.
    """
    severities = {finding.severity for finding in findings}
    if Severity.CRITICAL in severities:
        return Verdict.FAIL
    if silence(sample):
        return Verdict.UNSURE
    if Severity.WARNING in severities:
        return Verdict.DEGRADED
    return Verdict.PASS if sample.gpus else Verdict.SKIP


def silence(sample: Sample) -> str:
    """Who did not answer at all, and why: the sampler, the driver or a GPU; "" if everybody said something."""
    if sample.driver_state.startswith(_NO_ANSWER):
        return sample.driver_state
    silent = [f"GPU {gpu.index} ({gpu.state})" for gpu in sample.gpus if _is_silent(gpu)]
    return f"no answer of {', '.join(silent)}" if silent else ""


def _is_silent(gpu: GpuSample) -> bool:
    """Whether even utilisation and memory of a GPU could not be read for another reason than "not supported"."""
    cells = (gpu.utilization_percent, gpu.memory_used_bytes)
    return all(isinstance(cell, Absent) and cell.state is not CellState.NOT_SUPPORTED for cell in cells)
