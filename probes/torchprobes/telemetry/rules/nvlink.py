"""Rules on NVLink and its fabric (reference: telemetry 2e)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ...cells import number
from ...model import Scope, Severity
from ...samples import GpuSample, Sample
from .base import OWN, Check, GpuRule, Look, On, a_minute, came_since_start, text
from .fixes import LINKS, RESET, drained, look_at

CARD: Final = re.compile(r"\bPCIE?\b|\bNVL\b|-PCIE", re.IGNORECASE)
"""Parts in a slot: linked only where somebody put bridges, and often to one neighbour (NVSentinel issue 1481)."""

COMPLETED: Final = "completed"
"""The one of the states of nvml.h, NVML_GPU_FABRIC_STATE, that is well; a part without a fabric has none."""


class Model(NamedTuple):
    """What NVIDIA's health validation expects of a part: links, and MB/s of each."""

    name: re.Pattern[str]
    links: int
    mbytes_per_s: int


MODELS: Final = (
    Model(re.compile(r"\bH100 80GB HBM3\b|\bH200$"), 18, 26562),
    Model(re.compile(r"\bGB[23]00\b"), 18, 53125),
)


class Part(NamedTuple):
    """One part of the fabric's health mask: its place, and what its values mean; 0 is not supported."""

    shift: int
    width: int
    words: dict[int, str]


MASK: Final = (
    Part(0, 0x3, {1: "bandwidth is degraded"}),
    Part(2, 0x3, {1: "a route recovers"}),
    Part(4, 0x3, {1: "a route is unhealthy"}),
    Part(6, 0x3, {1: "an access timeout recovers"}),
    Part(8, 0xF, {
        2: "wrong system GUID", 3: "wrong chassis serial number", 4: "no partition", 5: "too few NVLinks",
        6: "incompatible firmware", 7: "wrong location", 8: "invalid GPU state",
    }),
)  # fmt: skip
"""nvml.h, NVML_GPU_FABRIC_HEALTH_MASK_*."""


def _inactive(gpu: GpuSample, look: Look) -> str | None:
    links, active = number(gpu.nvlinks), number(gpu.nvlinks_active)
    if not links or active is None or active >= links or CARD.search(text(gpu.name)):
        return None
    if not active and not _linked_here(gpu, look.sample):
        return None  # a board without bridges or a switch: there is nothing to be linked to
    return f"{active:.0f} of {links:.0f} links are active"


def _linked_here(gpu: GpuSample, sample: Sample) -> bool:
    """Whether a part with no active link should have some: its peers have, or the node has NVSwitches."""
    peers = any(number(peer.nvlinks_active) for peer in sample.gpus if peer.name == gpu.name)
    return peers or bool(number(sample.host.nvswitches))


def _unlike_model(gpu: GpuSample, _: Look) -> str | None:
    links, speed = number(gpu.nvlinks), number(gpu.nvlink_speed_mbytes_per_s)
    for model in MODELS:
        if links and speed and model.name.search(text(gpu.name)):
            fits = links >= model.links and speed >= model.mbytes_per_s
            expected = f"{model.links} of {model.mbytes_per_s} MB/s"
            return None if fits else f"{links:.0f} links of {speed:.0f} MB/s, where {expected} belong"
    return None


def _crc(serious: bool) -> GpuRule:
    def when(gpu: GpuSample, look: Look) -> str | None:
        count, least = look.past.last_minute(gpu.uuid, "nvlink_crc_errors"), look.limits["per_second"]
        if not count or (count / 60 >= least) is not serious:
            return None
        return f"{count:.0f} in the last minute (DCGM fails at {least:g} a second, and warns of any)"

    return when


def _fabric(gpu: GpuSample, _: Look) -> str | None:
    state, status = text(gpu.fabric_state), number(gpu.fabric_status)
    if not state or status is None or (state == COMPLETED and not status):
        return None
    return f"{state[:40]}, status {status:.0f}"


def _mask(gpu: GpuSample, _: Look) -> str | None:
    mask = gpu.fabric_health_mask
    if not isinstance(mask, int):
        return None
    told = [words for part in MASK if (words := part.words.get(mask >> part.shift & part.width))]
    return f"{', '.join(told)} (mask {mask:#x})" if told else None


def _no_clique(gpu: GpuSample, _: Look) -> str | None:
    lacks = number(gpu.fabric_clique) == 0 and re.search(r"\bGB[23]00\b", text(gpu.name))
    return "clique 0: it is in no NVLink domain" if lacks else None


def _no_manager(sample: Sample, _: Look) -> str | None:
    switches = number(sample.host.nvswitches)
    missed = switches and number(sample.host.fabric_manager) == 0
    return f"nvidia-fabricmanager does not run, with {switches:.0f} NVSwitches here" if missed else None


CHECKS: Final = (
    Check(
        id="TD-NVL-001",
        title="NVLinks are down",
        severity=Severity.CRITICAL,
        reads=("nvlinks", "nvlinks_active", "name"),
        why="Collectives take another way, or do not start. Parts in a PCIe slot are not judged: their bridges are "
        "somebody's choice.",
        fix=RESET,
        source="AzNHC azure_gpu_nvlink.nhc; imbue; NVIDIA health-validation max_inactive_nvlinks = 0",
        gpu=_inactive,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-NVL-002",
        title="fewer or slower NVLinks than the part has",
        severity=Severity.WARNING,
        reads=("nvlinks", "nvlink_speed_mbytes_per_s", "name"),
        why="A link trained down, or was not given to this machine: collectives are slower than on other nodes.",
        fix=LINKS,
        source="NVIDIA health-validation, nvlink page",
        gpu=_unlike_model,
    ),
    Check(
        id="TD-NVL-003",
        title="NVLink errors in the last minute",
        severity=Severity.WARNING,
        reads=("nvlink_replay_errors", "nvlink_recovery_errors"),
        why="Links replay or recover. Sources disagree: DCGM fails at the first, gcm allows none, imbue warns at five: "
        "'empirically probably not an issue'.",
        fix=LINKS,
        source=f"{OWN}, a warning; DCGM and gcm fail",
        gpu=a_minute(("nvlink_replay_errors", "nvlink_recovery_errors"), "DCGM's limit"),
        limits={"per_minute": 0},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-NVL-004",
        title="a storm of NVLink CRC errors",
        severity=Severity.CRITICAL,
        reads=("nvlink_crc_errors",),
        why="A link is so bad that it hardly carries data.",
        fix=RESET,
        source="DCGM: 100 a second",
        gpu=_crc(serious=True),
        limits={"per_second": 100},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-NVL-005",
        title="NVLink CRC errors",
        severity=Severity.WARNING,
        reads=("nvlink_crc_errors",),
        why="Packets are damaged on a link and sent again; watch whether it grows.",
        fix=LINKS,
        source="DCGM: any",
        gpu=_crc(serious=False),
        limits={"per_second": 100},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-NVL-006",
        title="an NVLink could not be recovered",
        severity=Severity.CRITICAL,
        reads=("nvlink_failed_recoveries",),
        why="A link of this GPU is out; jobs that use it end with NCCL errors.",
        fix=RESET,
        source="NVML field 214; DCGM MonitorNVLink5Fields: any",
        gpu=came_since_start(("nvlink_failed_recoveries",), "since start"),
        on=On.COUNTERS,
    ),
    Check(
        id="TD-NVL-007",
        title="NVLink packets came in damaged",
        severity=Severity.CRITICAL,
        reads=("nvlink_receive_errors",),
        why="Packets arrived with errors that the link's own correction could not mend.",
        fix=RESET,
        source="NVML field 208; DCGM MonitorNVLink5Fields: any",
        gpu=came_since_start(("nvlink_receive_errors",), "since start"),
        on=On.COUNTERS,
    ),
    Check(
        id="TD-NVL-008",
        title="the GPU has not joined its fabric",
        severity=Severity.CRITICAL,
        reads=("fabric_state", "fabric_status"),
        why="Until it has, CUDA does not initialise on a node with NVSwitches.",
        fix=drained("systemctl restart nvidia-fabricmanager", Scope.NODE),
        source="gpud fabric-manager: completed and successful, else unhealthy",
        gpu=_fabric,
    ),
    Check(
        id="TD-NVL-009",
        title="the fabric finds this GPU unhealthy",
        severity=Severity.CRITICAL,
        reads=("fabric_health_mask",),
        why="The fabric manager's own judgement of the GPU's links and routes.",
        fix=drained("systemctl restart nvidia-fabricmanager; then look at its log", Scope.NODE),
        source="nvml.h NVML_GPU_FABRIC_HEALTH_MASK; gpud fabric-manager",
        gpu=_mask,
    ),
    Check(
        id="TD-NVL-010",
        title="the GPU belongs to no NVLink domain",
        severity=Severity.CRITICAL,
        reads=("fabric_clique", "name"),
        why="Ranks on other nodes of the rack cannot be reached over NVLink.",
        fix=look_at("nvidia-imex-ctl -N; nvidia-smi -q | grep -A8 Fabric", Scope.NODE, "root"),
        source="azhpc-images issue 506, on GB200",
        gpu=_no_clique,
    ),
    Check(
        id="TD-NVL-011",
        title="the fabric manager does not run",
        severity=Severity.CRITICAL,
        reads=("host.nvswitches", "host.fabric_manager"),
        why="On a node with NVSwitches CUDA does not initialise without it, or NVLink stays down.",
        fix=look_at("systemctl start nvidia-fabricmanager (of the driver's own version)", Scope.NODE, "root"),
        source="gpud; imbue; NVSentinel issue 891 (20 days undetected), gpud issue 1151",
        node=_no_manager,
    ),
)
