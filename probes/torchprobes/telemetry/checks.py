"""Rules of health as rows: what is read, when it means something, and what to do. No code but the conditions.

Thresholds and severities are those of the source that a row names; where sources disagree, the row says whose it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..model import Fix, Scope, Severity
from ..samples import Absent, Cell, GpuSample, Sample

GpuRule = Callable[[GpuSample], str | None]
NodeRule = Callable[[Sample], str | None]

MIB, GIB = 1 << 20, 1 << 30
SHM = "/dev/shm"  # noqa: S108 - its size is what is judged


@dataclass(frozen=True, slots=True)
class Check:
    """One rule over a sample. `reads` are the cells that it needs; the condition returns what was seen.

    One with a `gpu` condition is asked of every GPU, one with a `node` condition once.
    """

    id: str
    title: str
    severity: Severity
    reads: tuple[str, ...]
    why: str
    fix: Fix | None
    source: str
    gpu: GpuRule | None = None
    node: NodeRule | None = None


def number(cell: Cell) -> float | None:
    """A cell as a number, None if it holds none."""
    return float(cell) if isinstance(cell, (int, float)) else None


def _has(reason: int) -> GpuRule:
    """A rule on one bit of the clocks event reasons."""

    def when(gpu: GpuSample) -> str | None:
        bits = gpu.throttle_reasons
        return f"clocks event reasons {bits:#x}" if isinstance(bits, int) and bits & reason else None

    return when


def _over(cell: str, limit: float, words: str) -> GpuRule:
    """A rule on one cell that is over its limit."""

    def when(gpu: GpuSample) -> str | None:
        value = number(getattr(gpu, cell))
        return words.format(value=value, limit=limit) if value is not None and value > limit else None

    return when


def _busy_without_power(gpu: GpuSample) -> str | None:
    busy, power, limit = number(gpu.utilization_percent), number(gpu.power_w), number(gpu.power_limit_w)
    if busy is None or power is None or not limit or busy < 95 or power >= limit / 4:
        return None
    return f"{busy:.0f} % busy at {power:.0f} of {limit:.0f} W (limits 95 %, a quarter)"


def _recovery(*actions: int) -> GpuRule:
    names = {1: "reset the GPU", 2: "reboot the node", 3: "drain P2P", 4: "drain and reset"}
    names |= {5: "recover the IMEX domain", 6: "reset the bus", 7: "reboot the system"}

    def when(gpu: GpuSample) -> str | None:
        action = gpu.recovery_action
        if not isinstance(action, int) or (action not in actions if actions else action in (0, *names)):
            return None
        return f"recovery action {action}: {names.get(action, 'not known to this torchdoctor')}"

    return when


def _state(state: str) -> GpuRule:
    def when(gpu: GpuSample) -> str | None:
        if gpu.state != state:
            return None
        cell = gpu.utilization_percent
        return cell.why if isinstance(cell, Absent) else f"state {gpu.state}"

    return when


def _driver(sample: Sample) -> str | None:
    bad = sample.driver_state not in ("ok", "opening the driver") and sample.hardware > 0
    return sample.driver_state if bad else None


def _missing(sample: Sample) -> str | None:
    known = len(sample.gpus)
    lacks = sample.driver_state == "ok" and 0 < known < sample.hardware
    return f"the driver shows {known} of {sample.hardware} NVIDIA GPUs on the bus" if lacks else None


def _small_shm(sample: Sample) -> str | None:
    total = number(sample.host.shm_total_bytes)
    return f"{SHM} holds {total / MIB:.0f} MiB (limit 1024 MiB)" if total is not None and total < GIB else None


def _full_shm(sample: Sample) -> str | None:
    used, total = number(sample.host.shm_used_bytes), number(sample.host.shm_total_bytes)
    full = used is not None and total and used > 0.9 * total
    return f"{SHM} is {used / total:.0%} full (limit 90 %)" if full and used and total else None


def _little_memory(sample: Sample) -> str | None:
    used, total = number(sample.host.memory_used_bytes), number(sample.host.memory_total_bytes)
    if used is None or not total or used <= 0.95 * total:
        return None
    return f"{used / GIB:.1f} of {total / GIB:.1f} GiB of host memory are used (limit 95 %)"


_RESET = Fix(command="nvidia-smi -r -i INDEX", scope=Scope.GPU, needs=("drained", "root"))
_REBOOT = Fix(command="reboot", scope=Scope.NODE, needs=("drained", "root"))
_COOLING = Fix(command="nvidia-smi -q -d TEMPERATURE,PERFORMANCE", scope=Scope.GPU)

CHECKS: tuple[Check, ...] = (
    Check(
        "TD-GPU-001",
        "NVIDIA hardware is there and its driver does not answer",
        Severity.CRITICAL,
        (),
        "No program on this node can use a GPU until the driver answers.",
        Fix(command="dmesg | grep -i nvrm", scope=Scope.NODE, needs=("root",)),
        "nvml.h return codes; AzNHC csc_nvidia_smi.nhc",
        node=_driver,
    ),
    Check(
        "TD-GPU-002",
        "a GPU on the bus is missed by the driver",
        Severity.CRITICAL,
        (),
        "It fell off the bus, or the driver could not bind it; XID 79 in the kernel log tells which.",
        Fix(command="dmesg | grep -iE 'xid|nvrm'", scope=Scope.NODE, needs=("root",)),
        "AzNHC azure_gpu_count.nhc; gpud gpu-counts",
        node=_missing,
    ),
    Check(
        "TD-GPU-003",
        "the GPU is lost",
        Severity.CRITICAL,
        (),
        "The driver cannot reach it any more; whatever ran there is gone.",
        _REBOOT,
        "gcm pynvml_errors.py; NVIDIA XID 79",
        gpu=_state("lost"),
    ),
    Check(
        "TD-GPU-004",
        "the GPU must be reset",
        Severity.CRITICAL,
        (),
        "The driver refuses work on it until it is reset.",
        _RESET,
        "gcm pynvml_errors.py",
        gpu=_state("reset"),
    ),
    Check(
        "TD-GPU-005",
        "the driver hangs on this GPU",
        Severity.CRITICAL,
        (),
        "A driver call does not come back; programs on this GPU are probably stuck as well.",
        Fix(command="ps -eo pid,stat,wchan:32,cmd | awk '$2 ~ /D/'", scope=Scope.NODE),
        "torchdoctor's own rule: no answer within 2 s",
        gpu=_state("hung"),
    ),
    Check(
        "TD-GPU-006",
        "the driver asks for a recovery action",
        Severity.CRITICAL,
        ("recovery_action",),
        "This is the driver's own verdict on the GPU.",
        Fix(command="nvidia-smi -q | grep -A1 'Recovery Action'", scope=Scope.GPU, needs=("drained",)),
        "NVML field 230; DCGM DcgmHealthWatch (1, 2, 4), torchdoctor's own rule (5, 6, 7)",
        gpu=_recovery(1, 2, 4, 5, 6, 7),
    ),
    Check(
        "TD-GPU-007",
        "the driver asks to drain peer-to-peer traffic",
        Severity.WARNING,
        ("recovery_action",),
        "An NVLink of this GPU is impaired; collectives may fail or be slow.",
        Fix(command="nvidia-smi nvlink --status", scope=Scope.GPU, needs=("drained",)),
        "NVML field 230; DCGM DcgmHealthWatch",
        gpu=_recovery(3),
    ),
    Check(
        "TD-GPU-008",
        "the driver asks for an unknown recovery action",
        Severity.WARNING,
        ("recovery_action",),
        "A later driver has values that this torchdoctor does not know; none of them but 0 means none.",
        Fix(command="nvidia-smi -q | grep -A1 'Recovery Action'", scope=Scope.GPU),
        "torchdoctor's own rule",
        gpu=_recovery(),
    ),
    Check(
        "TD-GPU-010",
        "uncorrected memory errors since the driver was loaded",
        Severity.CRITICAL,
        ("ecc_uncorrected_volatile",),
        "Data was lost in this GPU's memory; the program that touched it was ended or computed on.",
        _RESET,
        "DCGM MonitorMemVolatileDbes; gcm; imbue",
        gpu=_over("ecc_uncorrected_volatile", 0, "{value:.0f} uncorrected errors (limit {limit:.0f})"),
    ),
    Check(
        "TD-GPU-020",
        "hardware slowdown",
        Severity.WARNING,
        ("throttle_reasons",),
        "The GPU runs at a fraction of its clocks because its hardware asks for it: heat, power supply, or brake.",
        _COOLING,
        "nvml.h nvmlClocksEventReasonHwSlowdown; gpud hw-slowdown",
        gpu=_has(0x8),
    ),
    Check(
        "TD-GPU-021",
        "hardware thermal slowdown",
        Severity.WARNING,
        ("throttle_reasons",),
        "The GPU is too hot and halves its clocks, or worse.",
        _COOLING,
        "nvml.h nvmlClocksThrottleReasonHwThermalSlowdown; gpud hw-slowdown",
        gpu=_has(0x40),
    ),
    Check(
        "TD-GPU-022",
        "power brake",
        Severity.WARNING,
        ("throttle_reasons",),
        "The system's power supply asks the GPU to slow down.",
        Fix(command="ipmitool sel list", scope=Scope.NODE, needs=("root",)),
        "nvml.h nvmlClocksThrottleReasonHwPowerBrakeSlowdown; gpud hw-slowdown",
        gpu=_has(0x80),
    ),
    Check(
        "TD-GPU-023",
        "software thermal slowdown",
        Severity.WARNING,
        ("throttle_reasons",),
        "The driver lowers the clocks to keep the GPU or its memory below its highest operating temperature.",
        _COOLING,
        "nvml.h nvmlClocksEventReasonSwThermalSlowdown",
        gpu=_has(0x20),
    ),
    Check(
        "TD-GPU-024",
        "at its power limit",
        Severity.INFO,
        ("throttle_reasons",),
        "The clocks follow the power limit: usual under full load, and a reason when two nodes differ.",
        Fix(command="nvidia-smi -q -d POWER", scope=Scope.GPU),
        "nvml.h nvmlClocksEventReasonSwPowerCap",
        gpu=_has(0x4),
    ),
    Check(
        "TD-GPU-030",
        "hot",
        Severity.WARNING,
        ("temperature_c",),
        "Above this the clocks will soon be lowered.",
        _COOLING,
        "all-smi's alert, 90 C; the part's own threshold may differ",
        gpu=_over("temperature_c", 90, "{value:.0f} C (limit {limit:.0f} C)"),
    ),
    Check(
        "TD-GPU-031",
        "busy with hardly any power",
        Severity.INFO,
        ("utilization_percent", "power_w", "power_limit_w"),
        "Kernels run and do little: so looks a collective that waits for another rank, and so do very small kernels.",
        Fix(command="nvidia-smi pmon -c 5", scope=Scope.PROCESS),
        "torchdoctor's own rule",
        gpu=_busy_without_power,
    ),
    Check(
        "TD-HST-001",
        "shared memory is small",
        Severity.WARNING,
        ("shm_total_bytes",),
        "DataLoader workers and NCCL pass data through it; a container without an option gets 64 MiB.",
        Fix(command="docker run --shm-size=16g …, or --ipc=host", scope=Scope.PROCESS),
        "torch DataLoader's own advice; nccl issues 290, 342",
        node=_small_shm,
    ),
    Check(
        "TD-HST-002",
        "shared memory is nearly full",
        Severity.WARNING,
        ("shm_used_bytes", "shm_total_bytes"),
        "The next worker or communicator that wants room there ends with SIGBUS.",
        Fix(command="ls -laS /dev/shm | head", scope=Scope.NODE),
        "torchdoctor's own rule",
        node=_full_shm,
    ),
    Check(
        "TD-HST-003",
        "host memory is nearly used up",
        Severity.WARNING,
        ("memory_used_bytes", "memory_total_bytes"),
        "The kernel will soon end a process: usually the largest, which is a rank.",
        Fix(command="ps -eo pid,user,rss,cmd --sort=-rss | head", scope=Scope.NODE),
        "torchdoctor's own rule",
        node=_little_memory,
    ),
)
