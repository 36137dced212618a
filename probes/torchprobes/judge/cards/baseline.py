"""Cards of `check --baseline`: what a known good node does, and this one does not."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_COMPARE = "torchdoctor compare BASELINE RUN    # likely causes, ranked by what else differs"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-BAS-001",
        title="A feature of the baseline is lost here",
        why="The known good node has it, and this one does not, or does it in a slower way: another driver, wheel, "
        "library, device or setting. The probe's own rules may find nothing wrong with that, because both ways work.",
        fix=Fix(command=_COMPARE),
        source="torchdoctor's own rule: the recorded verdicts and ways of both reports",
    ),
    Card(
        id="TD-BAS-002",
        title="A figure is worse than the baseline's",
        why="It lies beyond max(3 %, twice the joint spread) of what the known good node measured, more where no "
        "spread was recorded or a CPU did the work; counts are compared exactly. Between unlike devices, shares of "
        "their own peaks are compared.",
        fix=Fix(command=_COMPARE),
        source="torchdoctor's own rule: reports/comparison/figures.py (tolerance)",
    ),
    Card(
        id="TD-BAS-003",
        title="GPUs of the baseline are missing here",
        why="The known good node shows more GPUs of this kind. One that fell off the bus, was taken out, or is hidden "
        "from this process by a container, a cgroup or CUDA_VISIBLE_DEVICES looks like this.",
        fix=Fix(command="lspci -d 10de: ; nvidia-smi -L ; dmesg | grep -i xid"),
        source="torchdoctor's own rule; as AzNHC azure_gpu_count.nhc with the count of a good node",
    ),
)
