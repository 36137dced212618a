"""Rules on the state of one GPU and how it is set (reference: telemetry 2a, 2g)."""

from __future__ import annotations

from typing import Final

from ...cells import Absent, CellState, number
from ...model import Scope, Severity
from ...samples import GpuSample
from .base import OWN, Check, GpuRule, Look, On, bits, duration
from .fixes import INDEX, REBOOT, RESET, drained, look_at

ACTIONS: Final = {
    1: "reset the GPU", 2: "reboot the node", 3: "drain P2P", 4: "drain and reset", 5: "recover the IMEX domain",
    6: "reset the bus", 7: "reboot the system",
}  # fmt: skip
"""What the driver's recovery action asks for (nvml.h, nvmlDeviceGpuRecoveryAction)."""


def _state(state: str) -> GpuRule:
    def when(gpu: GpuSample, _: Look) -> str | None:
        if gpu.state != state:
            return None
        cell = gpu.utilization_percent
        return cell.why if isinstance(cell, Absent) else f"state {gpu.state}"

    return when


def _recovery(*actions: int) -> GpuRule:
    def when(gpu: GpuSample, _: Look) -> str | None:
        action = gpu.recovery_action
        if not isinstance(action, int) or (action not in actions if actions else action in (0, *ACTIONS)):
            return None
        return f"recovery action {action}: {ACTIONS.get(action, 'not known to this torchdoctor')}"

    return when


def _legacy(gpu: GpuSample, _: Look) -> str | None:
    flags = {"reset": number(gpu.reset_status), "drain and reset": number(gpu.drain_and_reset_status)}
    told = ", ".join(name for name, value in flags.items() if value)
    return f"set: {told}" if told else None


def _bad_inforom(gpu: GpuSample, _: Look) -> str | None:
    return "nvmlDeviceValidateInforom finds it corrupted" if number(gpu.inforom_valid) == 0 else None


def _not_persistent(gpu: GpuSample, look: Look) -> str | None:
    """Off soon after boot is normal: the daemon that switches it on starts late (gpud issue 431)."""
    up = number(look.sample.host.uptime_s)
    if number(gpu.persistence_mode) != 0 or (up is not None and up < look.limits["uptime_s"]):
        return None
    return f"off {duration(up)} after boot" if up is not None else "off"


def _mute_power(gpu: GpuSample, _: Look) -> str | None:
    cell = gpu.power_w
    odd = gpu.state == "ok" and isinstance(cell, Absent) and cell.state is CellState.ERROR
    return f"{cell.why} (code {cell.code})" if odd and isinstance(cell, Absent) else None


def _mode(mode: str) -> GpuRule:
    return lambda gpu, _: f"compute mode {mode}" if gpu.compute_mode == mode else None


def _mig(gpu: GpuSample, _: Look) -> str | None:
    return f"MIG is on, with {len(gpu.migs)} instances" if bits(gpu.mig_mode) == 1 else None


CHECKS: Final = (
    Check(
        id="TD-GPU-003",
        title="the GPU is lost",
        severity=Severity.CRITICAL,
        why="The driver cannot reach it any more; whatever ran there is gone.",
        fix=REBOOT,
        source="gcm pynvml_errors.py; NVIDIA XID 79",
        gpu=_state("lost"),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-004",
        title="the GPU must be reset",
        severity=Severity.CRITICAL,
        why="The driver refuses work on it until it is reset.",
        fix=RESET,
        source="gcm pynvml_errors.py",
        gpu=_state("reset"),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-005",
        title="the driver hangs on this GPU",
        severity=Severity.CRITICAL,
        why="A driver call does not come back; programs on this GPU are probably stuck as well. XID 45 or 119 in the "
        "kernel log tells more.",
        fix=look_at("ps -eo pid,stat,wchan:32,cmd | awk '$2 ~ /D/'", Scope.NODE),
        source=f"{OWN}: no answer within 2 s, after NVSentinel issues 1574, 1576, 1748 and gpud issue 117",
        gpu=_state("hung"),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-006",
        title="the driver asks for a recovery action",
        severity=Severity.CRITICAL,
        reads=("recovery_action",),
        why="This is the driver's own verdict on the GPU, and names what is to be done.",
        fix=drained(f"what it names: nvidia-smi -r -i {INDEX}, or reboot"),
        source="NVML field 230; DCGM DcgmHealthWatch (1, 2, 4), which takes 5, 6, 7 for invalid; 5, 6, 7 are "
        "torchdoctor's own rule",
        gpu=_recovery(1, 2, 4, 5, 6, 7),
    ),
    Check(
        id="TD-GPU-007",
        title="the driver asks to drain peer-to-peer traffic",
        severity=Severity.WARNING,
        reads=("recovery_action",),
        why="An NVLink of this GPU is impaired; collectives may fail or be slow.",
        fix=look_at("nvidia-smi nvlink --status", Scope.GPU, "drained"),
        source="NVML field 230; DCGM DcgmHealthWatch",
        gpu=_recovery(3),
    ),
    Check(
        id="TD-GPU-008",
        title="the driver asks for an unknown recovery action",
        severity=Severity.WARNING,
        reads=("recovery_action",),
        why="A later driver has values that this torchdoctor does not know; none of them but 0 means none.",
        fix=look_at("nvidia-smi -q | grep -A1 'Recovery Action'"),
        source=OWN,
        gpu=_recovery(),
    ),
    Check(
        id="TD-GPU-011",
        title="a reset is due by the driver's older flags",
        severity=Severity.CRITICAL,
        reads=("reset_status", "drain_and_reset_status"),
        why="Drivers before the recovery action tell in these two fields that work is to leave the GPU.",
        fix=RESET,
        source="NVML fields 226 and 227",
        gpu=_legacy,
    ),
    Check(
        id="TD-GPU-012",
        title="the InfoROM is corrupted",
        severity=Severity.WARNING,
        reads=("inforom_valid",),
        why="The part's own record of itself, its error counts among it, cannot be trusted.",
        fix=drained("flash the InfoROM with NVIDIA's tool; RMA if it comes back"),
        source="DCGM MonitorInforom, a warning; its diagnostic fails on it",
        gpu=_bad_inforom,
    ),
    Check(
        id="TD-GPU-013",
        title="persistence mode is off",
        severity=Severity.WARNING,
        reads=("persistence_mode",),
        why="The driver closes the GPU when its last program ends: the next starts seconds later, and counters and "
        "clocks settings are lost in between.",
        fix=look_at("systemctl enable --now nvidia-persistenced, or nvidia-smi -pm 1", Scope.NODE, "root"),
        source="DCGM, a warning; gpud, unhealthy; AzNHC switches it on by itself",
        gpu=_not_persistent,
        limits={"uptime_s": 600.0},
        on=On.SAMPLE,
    ),
    Check(
        id="TD-GPU-016",
        title="the driver cannot read the power",
        severity=Severity.WARNING,
        why="A part that supports it and does not tell its power has a fault in its sensors or its power supply.",
        fix=look_at(f"nvidia-smi -q -d POWER -i {INDEX}"),
        source="DCGM MonitorPower",
        also=("state", "power_w"),
        gpu=_mute_power,
    ),
    Check(
        id="TD-GPU-017",
        title="compute mode prohibits CUDA",
        severity=Severity.CRITICAL,
        reads=("compute_mode",),
        why="No program can make a context on this GPU.",
        fix=look_at(f"nvidia-smi -c 0 -i {INDEX}", Scope.GPU, "drained", "root"),
        source=f"nvml.h nvmlComputeMode; {OWN}",
        gpu=_mode("prohibited"),
    ),
    Check(
        id="TD-GPU-018",
        title="one process a GPU only",
        severity=Severity.INFO,
        reads=("compute_mode",),
        why="A second rank, a notebook or a probe on this GPU fails with 'all CUDA-capable devices are busy'.",
        fix=look_at(f"nvidia-smi -c 0 -i {INDEX}", Scope.GPU, "drained", "root"),
        source=f"nvml.h nvmlComputeMode; {OWN}",
        gpu=_mode("exclusive process"),
    ),
    Check(
        id="TD-GPU-019",
        title="the GPU is split by MIG",
        severity=Severity.INFO,
        reads=("mig_mode",),
        why="The driver tells no utilisation for a split GPU, and NCCL cannot join instances of one GPU: not for DDP.",
        fix=look_at(f"nvidia-smi mig -lgi -i {INDEX}", Scope.GPU),
        source=f"dcgm-exporter issue 216; dask/distributed issue 8739; {OWN}",
        also=("migs",),
        gpu=_mig,
    ),
)
