"""Rules on the driver, its library, and which GPUs it shows (reference: telemetry 2a)."""

from __future__ import annotations

import re
from typing import Final

from ...cells import Absent, Cell, number
from ...model import Scope, Severity
from ...samples import Sample
from ..past import HOST
from .base import OWN, Check, Limits, Look, NodeRule, On, Timed, duration, listed, text
from .fixes import DMESG, drained, look_at

SPOKEN: Final = frozenset({4, 9, 12, 18, 999})
"""Return codes of nvmlInit that have a row of their own."""


def _opening(sample: Sample) -> bool:
    return sample.driver_state in ("ok", "opening the driver")


def _code(sample: Sample) -> int | None:
    return sample.driver.code if isinstance(sample.driver, Absent) else None


def _mute(sample: Sample, _: Look) -> str | None:
    bad = not _opening(sample) and sample.hardware > 0 and _code(sample) not in SPOKEN
    return sample.driver_state if bad else None


def _init(code: int) -> NodeRule:
    def when(sample: Sample, _: Look) -> str | None:
        bad = not _opening(sample) and sample.hardware > 0 and _code(sample) == code
        return f"nvmlInit gives {code}: {sample.driver_state}" if bad else None

    return when


def _mismatch(sample: Sample, look: Look) -> str | None:
    library, module = text(sample.driver), text(sample.kernel_module)
    if library and module and library != module:
        return f"the library is {library}, the kernel module {module}"
    return _init(18)(sample, look)


def _missing(sample: Sample, _: Look) -> str | None:
    known = sum(gpu.vendor == "nvidia" for gpu in sample.gpus)
    lacks = sample.driver_state == "ok" and 0 < known < sample.hardware
    return f"the driver shows {known} of {sample.hardware} NVIDIA GPUs on the bus" if lacks else None


def _few_nodes(sample: Sample, _: Look) -> str | None:
    known, nodes = sum(gpu.vendor == "nvidia" for gpu in sample.gpus), number(sample.device_nodes)
    lacks = nodes is not None and sample.driver_state == "ok" and nodes < known
    return f"{nodes:.0f} device files /dev/nvidia0 … for {known} GPUs" if lacks else None


def _denied(sample: Sample, _: Look) -> str | None:
    return f"loaded: {sample.host.denied_modules}" if text(sample.host.denied_modules) else None


def _slow_driver(sample: Sample, look: Look) -> str | None:
    """By several ticks: the first reads everything once, and any may have a slow reading in it."""
    most, held = look.limits["most"], look.past.held_s(HOST, SLOW_DRIVER)
    if not sample.backed_off and (held == 0 or held < look.limits["seconds"]):
        return None
    return f"a tick of the driver's calls takes {sample.cost_ms:.0f} ms, for {duration(held)} (limit {most:g} ms)"


def _is_slow_driver(sample: Sample, limits: Limits) -> bool:
    return sample.cost_ms > limits["most"]


def _differ(cell: str, what: str) -> NodeRule:
    """GPUs of one name differ in a reading; the odd ones are named."""

    def when(sample: Sample, _: Look) -> str | None:
        by_name: dict[Cell, dict[Cell, list[int]]] = {}
        for gpu in sample.gpus:
            value = getattr(gpu, cell)
            if not isinstance(value, Absent) and not isinstance(gpu.name, Absent):
                by_name.setdefault(gpu.name, {}).setdefault(value, []).append(gpu.index)
        told = [_odd(values, what) for values in by_name.values() if len(values) > 1]
        return "; ".join(told) or None

    return when


def _odd(values: dict[Cell, list[int]], what: str) -> str:
    usual, *others = sorted(values.items(), key=lambda item: -len(item[1]))
    odd = listed([f"{value} on GPU {listed([str(i) for i in where])}" for value, where in others])
    return f"{what} {usual[0]} on {len(usual[1])} GPUs, {odd}"


def _bad_visible(sample: Sample, _: Look) -> str | None:
    """Each entry must name a GPU or a MIG device; the first that does not hides all behind it (CUDA's own rule)."""
    wanted = text(sample.host.visible_devices)
    if wanted in ("", "not set") or not sample.gpus:
        return None
    uuids = [gpu.uuid for gpu in sample.gpus] + [mig.uuid for gpu in sample.gpus for mig in gpu.migs]
    for entry in wanted.split(","):
        if not _resolves(entry.strip(), len(sample.gpus), uuids):
            return f"CUDA_VISIBLE_DEVICES={wanted[:80]}: {entry.strip()[:40]!r} names no GPU here"
    return None


def _resolves(entry: str, gpus: int, uuids: list[str]) -> bool:
    if re.fullmatch(r"\d{1,4}", entry):
        return int(entry) < gpus
    return bool(entry) and any(uuid.startswith(entry) for uuid in uuids)


SLOW_DRIVER: Final = "slow_driver"

TIMED: Final = (Timed(name=SLOW_DRIVER, of="TD-DRV-008", node=_is_slow_driver),)

CHECKS: Final = (
    Check(
        id="TD-GPU-001",
        title="NVIDIA hardware is there and its driver does not answer",
        severity=Severity.CRITICAL,
        why="No program on this node can use a GPU until the driver answers.",
        fix=look_at("dmesg | grep -i nvrm", Scope.NODE, "root"),
        source="nvml.h return codes; AzNHC csc_nvidia_smi.nhc",
        node=_mute,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-001",
        title="the driver's library is not there",
        severity=Severity.CRITICAL,
        why="NVIDIA GPUs are there and libnvidia-ml.so.1 is not: no driver, or a container without --gpus.",
        fix=look_at("docker run --gpus all …; on the host: install the driver", Scope.NODE, "root"),
        source="NVML_ERROR_LIBRARY_NOT_FOUND; gpud components/library; all-smi nvidia.nvml.loadable",
        node=_init(12),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-002",
        title="the kernel module is not loaded",
        severity=Severity.CRITICAL,
        why="The library is there and has no module to talk to: often an unsigned module under secure boot.",
        fix=look_at("modprobe nvidia; dmesg | tail", Scope.NODE, "root"),
        source="NVML_ERROR_DRIVER_NOT_LOADED; AzNHC csc_nvidia_smi.nhc",
        node=_init(9),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-003",
        title="library and kernel module are of different versions",
        severity=Severity.CRITICAL,
        why="The driver was upgraded while its module stayed loaded; a container carries the old library until it is "
        "created anew.",
        fix=drained("reboot, or reload the nvidia modules; a container: create it again", Scope.NODE),
        source="NVML_ERROR_LIB_RM_VERSION_MISMATCH; nvtop issues 95, 118, 125",
        node=_mismatch,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-004",
        title="the driver answers 'unknown error'",
        severity=Severity.CRITICAL,
        why="In a container that worked before, its device rules were lost after systemctl daemon-reload.",
        fix=look_at("create the container again; on the host: dmesg | grep -i nvrm", Scope.NODE, "root"),
        source="NVML_ERROR_UNKNOWN; nvidia-container-toolkit issue 48",
        node=_init(999),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-005",
        title="the driver is denied to this user",
        severity=Severity.CRITICAL,
        why="The mode of /dev/nvidia* or a cgroup rule keeps this user's programs from the GPUs.",
        fix=look_at("ls -l /dev/nvidia*", Scope.NODE),
        source="NVML_ERROR_NO_PERMISSION; AzNHC csc_nvidia_smi.nhc; DCGM nvvs Software.cpp",
        node=_init(4),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-006",
        title="a kernel module that must not be loaded beside the driver",
        severity=Severity.CRITICAL,
        reads=("host.denied_modules",),
        why="nouveau and its kind claim the GPU before NVIDIA's driver can.",
        fix=drained("echo 'blacklist nouveau' > /etc/modprobe.d/nouveau.conf; update-initramfs -u; reboot", Scope.NODE),
        source="DCGM nvvs Software.cpp denylist",
        node=_denied,
    ),
    Check(
        id="TD-DRV-007",
        title="a GPU has no device file",
        severity=Severity.WARNING,
        reads=("device_nodes",),
        why="A program that opens that GPU fails although the driver lists it.",
        fix=look_at("nvidia-modprobe -c 0 -u", Scope.NODE, "root"),
        source="DCGM nvvs Software.cpp",
        node=_few_nodes,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-DRV-008",
        title="the driver answers slowly",
        severity=Severity.INFO,
        why="torchdoctor samples less often, so as not to stand in the way; a driver this slow is often about to hang.",
        fix=look_at("ps -eo pid,stat,wchan:32,cmd | awk '$2 ~ /D/'", Scope.NODE),
        source=f"{OWN}, after NVSentinel issues 1574, 1576, 1748",
        node=_slow_driver,
        limits={"most": 20.0, "seconds": 5.0},
        on=On.TIMED,
    ),
    Check(
        id="TD-DRV-009",
        title="CUDA_VISIBLE_DEVICES names a GPU that is not there",
        severity=Severity.CRITICAL,
        reads=("host.visible_devices",),
        why="CUDA stops at the first entry that it cannot resolve: all GPUs behind it are invisible to what is started "
        "from here.",
        fix=look_at("unset CUDA_VISIBLE_DEVICES", Scope.PROCESS),
        source="all-smi nvidia.env.visible_devices; CUDA programming guide",
        node=_bad_visible,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-002",
        title="a GPU on the bus is missed by the driver",
        severity=Severity.CRITICAL,
        why="It fell off the bus, or the driver could not bind it; XID 79 in the kernel log tells which.",
        fix=DMESG,
        source="AzNHC azure_gpu_count.nhc; gpud gpu-counts",
        node=_missing,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-014",
        title="GPUs of one kind have different VBIOS versions",
        severity=Severity.WARNING,
        why="One of them was replaced or not updated; clocks and error handling may differ between ranks.",
        fix=drained("flash the odd one", Scope.NODE),
        source="AzNHC azure_gpu_vbios.nhc; imbue cluster-health",
        node=_differ("vbios", "VBIOS"),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-015",
        title="GPUs of one kind differ in their GSP firmware",
        severity=Severity.INFO,
        why="With and without the GSP, a GPU's driver calls cost differently and fail differently.",
        fix=look_at("nvidia-smi -q | grep -i gsp", Scope.NODE),
        source="gpud docs; imbue cluster-health pins the version",
        node=_differ("gsp_firmware", "GSP firmware"),
        on=On.SAMPLE,
    ),
)
