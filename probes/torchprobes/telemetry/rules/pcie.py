"""Rules on PCIe (reference: telemetry 2d)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ...cells import number
from ...model import Scope, Severity
from ...samples import GpuSample, ProcessSample, Sample
from .base import OWN, Check, Limits, Look, On, Timed, a_minute, came_since_start, duration, text
from .fixes import INDEX, INSPECT, look_at

REPLAYS_PER_LANE: Final = {1: 0.15, 2: 0.3, 3: 0.48, 4: 0.96, 5: 1.92, 6: 3.84}
"""Expected replays of a lane a minute by generation (DCGM, GetExpectedPcieReplayRate)."""

FATAL: Final = ("pcie_fatal_errors", "pcie_nonfatal_errors")
NOISE: Final = (
    "pcie_correctable_errors", "pcie_naks_received", "pcie_naks_sent", "pcie_receiver_errors", "pcie_bad_tlps",
    "pcie_bad_dllps", "pcie_lcrc_errors", "pcie_lane_errors",
)  # fmt: skip
"""What a link corrects by itself; two healthy H200s count some 40 of them since boot."""

_LINK = look_at(f"nvidia-smi -q -i {INDEX} | grep -A12 'GPU Link Info'")
_AER = look_at("grep . /sys/bus/pci/devices/*/aer_dev_*; dmesg -T | grep -i 'pcie bus error'", Scope.NODE, "root")


def _narrow(gpu: GpuSample, _: Look) -> str | None:
    width, most = number(gpu.pcie_width), number(gpu.pcie_width_max)
    if not width or not most or width >= most:
        return None
    return f"x{width:.0f} of x{most:.0f} lanes"


def _old_generation(gpu: GpuSample, look: Look) -> str | None:
    """A link trains down while nothing runs; only under load that has lasted is a low generation a fault.

    The generation is read every 15 s, so that at first it is the one from before the load.
    """
    held = look.past.held_s(gpu.uuid, "slow_link")
    if held < look.limits["seconds"]:
        return None
    now, most = number(gpu.pcie_generation), number(gpu.pcie_generation_max)
    return f"generation {now:.0f} of {most:.0f} under load for {duration(held)}"


def _replays(gpu: GpuSample, look: Look) -> str | None:
    lanes, generation = number(gpu.pcie_width_max), number(gpu.pcie_generation_max)
    count, rate = look.past.last_minute(gpu.uuid, "pcie_replays"), REPLAYS_PER_LANE.get(int(generation or 0))
    if count is None or not lanes or rate is None:
        return None
    most = math.ceil(rate * lanes) * look.limits["times"]
    return f"{count:.0f} replays in the last minute (limit {most:.0f})" if count > most else None


def _before(gpu: GpuSample, look: Look) -> str | None:
    counts = {cell: number(getattr(gpu, cell)) or 0.0 for cell in FATAL}
    here = {cell: look.past.since_start(gpu.uuid, cell) or 0.0 for cell in FATAL}
    if not any(counts.values()) or any(here.values()):
        return None
    return f"{counts[FATAL[0]]:.0f} fatal and {counts[FATAL[1]]:.0f} non-fatal errors since boot, none since start"


def _logged(sample: Sample, look: Look) -> str | None:
    group = look.past.told.of_kind("aer")
    if group is None or not (recent := group.since(sample.t_ns - int(look.limits["seconds"] * 1e9))):
        return None
    where = f", last at {group.last.bus_id}" if group.last.bus_id else ""
    return f"{recent} lines in the last {duration(look.limits['seconds'])}{where}: {group.last.text[:120]}"


def _translating(sample: Sample, _: Look) -> str | None:
    on = text(sample.host.iommu) == "translating" and len(sample.gpus) > 1
    return "the IOMMU translates, so that peer-to-peer traffic goes through the root complex" if on else None


def _is_slow(gpu: GpuSample, _: Sequence[ProcessSample], limits: Limits) -> bool:
    now, most, busy = map(number, (gpu.pcie_generation, gpu.pcie_generation_max, gpu.utilization_percent))
    return bool(now and most and now < most and busy is not None and busy >= limits["utilization_percent"])


TIMED: Final = (Timed(name="slow_link", of="TD-PCI-002", gpu=_is_slow),)

CHECKS: Final = (
    Check(
        id="TD-PCI-001",
        title="the PCIe link is narrower than it could be",
        severity=Severity.WARNING,
        reads=("pcie_width", "pcie_width_max"),
        why="Copies between host and GPU, and collectives without NVLink, run at a fraction of their bandwidth: reseat "
        "the part or its riser.",
        fix=_LINK,
        source="gcm check_pci; imbue fails at x8 of x16",
        gpu=_narrow,
    ),
    Check(
        id="TD-PCI-002",
        title="the PCIe link stays slow under load",
        severity=Severity.WARNING,
        reads=("pcie_generation", "pcie_generation_max", "utilization_percent"),
        why="An idle link trains down to save power and up again within milliseconds; this one does not: firmware, "
        "riser or retimer.",
        fix=_LINK,
        source=f"NVML link generation; {OWN}",
        gpu=_old_generation,
        limits={"seconds": 45, "utilization_percent": 50},
        needs_s=45.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-PCI-003",
        title="more PCIe replays than the link should have",
        severity=Severity.WARNING,
        reads=("pcie_replays", "pcie_generation_max", "pcie_width_max"),
        why="Packets are damaged on the way and sent again: reseat the part, then run the field diagnostic.",
        fix=_LINK,
        source="DCGM GetExpectedPcieReplayRate, by generation and lanes",
        gpu=_replays,
        limits={"times": 1},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-PCI-004",
        title="PCIe errors that the link cannot correct",
        severity=Severity.CRITICAL,
        reads=FATAL,
        why="Packets were lost; the driver or a program on this GPU soon fails, if it has not.",
        fix=INSPECT,
        source=f"NVML fields 173 to 183; {OWN}: any since start",
        gpu=came_since_start(FATAL, "since start"),
        on=On.COUNTERS,
    ),
    Check(
        id="TD-PCI-005",
        title="many PCIe errors that the link corrects",
        severity=Severity.WARNING,
        reads=NOISE,
        why="The link works, at a price, and wears: cable, seating or retimer.",
        fix=_LINK,
        source=f"NVML fields 173 to 183; {OWN}: the rate that DCGM allows replays at generation 5 and 16 lanes",
        gpu=a_minute(NOISE, "limit"),
        limits={"per_minute": 31},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-PCI-006",
        title="PCIe errors before torchdoctor began to look",
        severity=Severity.INFO,
        reads=FATAL,
        why="They happened since boot or reset, and none has come since: a restart of the driver may have caused them.",
        fix=_LINK,
        source=OWN,
        gpu=_before,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-PCI-007",
        title="the kernel counts PCIe errors that were not corrected",
        severity=Severity.CRITICAL,
        reads=("aer_fatal", "aer_nonfatal"),
        why="Advanced error reporting of the kernel saw this GPU's link lose packets.",
        fix=INSPECT,
        source=f"kernel aer_dev_fatal, aer_dev_nonfatal; {OWN}: any since start",
        gpu=came_since_start(("aer_fatal", "aer_nonfatal"), "since start"),
        on=On.COUNTERS,
    ),
    Check(
        id="TD-PCI-008",
        title="the kernel counts many corrected PCIe errors",
        severity=Severity.WARNING,
        reads=("aer_correctable",),
        why="The link works, at a price, and wears: cable, seating or retimer.",
        fix=_AER,
        source=f"kernel aer_dev_correctable; {OWN}",
        gpu=a_minute(("aer_correctable",), "limit"),
        limits={"per_minute": 31},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-PCI-009",
        title="the kernel's log tells of PCIe bus errors",
        severity=Severity.WARNING,
        why="A link on this node, not always a GPU's, lost or damaged packets.",
        fix=_AER,
        source="kernel AER; gcm reads 'Bus Fatal' from the SEL",
        node=_logged,
        limits={"seconds": 7200},
        on=On.TOLD,
    ),
    Check(
        id="TD-PCI-010",
        title="the IOMMU stands between the GPUs",
        severity=Severity.INFO,
        reads=("host.iommu",),
        why="With translation, or with ACS on, peer-to-peer copies are slow, and may hang under NCCL; in a virtual "
        "machine it has to be so.",
        fix=look_at("cat /proc/cmdline; lspci -vvv | grep -i acsctl", Scope.NODE, "root"),
        source="gpud components/pci, a warning on bare metal; NCCL troubleshooting, nccl issue 199",
        node=_translating,
        on=On.SAMPLE,
    ),
)
