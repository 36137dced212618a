"""Which critical findings one passive look proves: those alone may take a node out of service (`check --gate`).

A finding is sure when the driver itself says now that no job can use the GPU, or that the part is to be exchanged.
Everything else that is critical is a person's to judge: what was told in the past and may be mended since (XIDs,
counters), what may be the looker's own view (permissions, its environment, a container), a driver that is only slow to
answer, and what the last job left behind (full disks, no handles).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..cells import number
from ..model import Finding, Severity
from ..samples import GpuSample, Sample
from .health import Health

Holds = Callable[[Sample, "GpuSample | None"], bool]


class Sure(NamedTuple):
    """Why the finding of a rule is sure, and what besides the rule has to be so."""

    why: str
    when: Holds = lambda _sample, _gpu: True


def _named_by_nvml(_: Sample, gpu: GpuSample | None) -> bool:
    """1 reset, 2 reboot, 4 drain and reset; 5 to 7 DCGM takes for invalid."""
    return gpu is not None and number(gpu.recovery_action) in (1, 2, 4)


def _has_its_device_files(sample: Sample, _: GpuSample | None) -> bool:
    """Where a container or a cgroup hides GPUs, their device files are not there either."""
    nodes = number(sample.device_nodes)
    return nodes is not None and nodes >= sample.hardware


SURE: Final[dict[str, Sure]] = {
    "TD-DRV-002": Sure("nvmlInit says that there is no module, after it tried to load it"),
    "TD-DRV-003": Sure("no new process can open the driver until the module is of the library's version"),
    "TD-GPU-002": Sure("its device file is there, and the driver does not list it", _has_its_device_files),
    "TD-GPU-003": Sure("the driver answers that the GPU is lost"),
    "TD-GPU-004": Sure("the driver answers that the GPU requires a reset"),
    "TD-GPU-006": Sure("the driver names what is to be done with the GPU", _named_by_nvml),
    "TD-GPU-011": Sure("the driver says that work is to leave the GPU"),
    "TD-GPU-017": Sure("the driver gives nobody a context"),
    "TD-MEM-011": Sure("the driver could not remap a row: the part is to be exchanged"),
    "TD-MEM-016": Sure("the driver has memory that it cannot repair: the part is to be exchanged"),
    "TD-MEM-018": Sure("no page can be retired any more: the part is to be exchanged"),
}
"""By the id of the rule."""


def sure(health: Health, sample: Sample) -> tuple[Finding, ...]:
    """The critical findings of this sample that one look proves, in their order."""
    gpus = {gpu.uuid: gpu for gpu in sample.gpus}
    return tuple(
        finding
        for finding, subject in zip(health.findings, health.subjects, strict=True)
        if finding.severity is Severity.CRITICAL
        and (row := SURE.get(finding.id)) is not None
        and row.when(sample, gpus.get(subject))
    )
