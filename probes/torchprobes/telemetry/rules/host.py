"""Rules on the host and on the limits of those who work here (reference: telemetry 2g)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from ...cells import number
from ...model import Scope, Severity
from ...samples import DiskSample, GpuSample, GroupSample, ProcessSample, Sample
from ..past import HOST
from .base import GIB, MIB, OWN, Check, Limits, Look, NodeRule, On, Timed, duration, listed, text
from .fixes import look_at

SHM = "/dev/shm"  # noqa: S108 - its size is what is judged
_STUCK = look_at("ps -eo pid,stat,wchan:32,cmd | awk '$2 ~ /D/'", Scope.NODE)
_MEMORY = look_at("ps -eo pid,user,rss,cmd --sort=-rss | head", Scope.NODE)

GOOD_CLOCKS: Final = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen")
"""gcm wants tsc; the others are what a virtual machine and an Arm have in its place, as fast."""


def _small_shm(sample: Sample, look: Look) -> str | None:
    total, least = number(sample.host.shm_total_bytes), look.limits["least_mib"]
    small = total is not None and total < least * MIB
    return f"{SHM} holds {total / MIB:.0f} MiB (limit {least:g} MiB)" if small and total is not None else None


def _share(used_cell: str, total_cell: str, words: str) -> NodeRule:
    """One cell of the host has passed `limits["percent"]` of another, and not `limits["below"]`, if there is one."""

    def when(sample: Sample, look: Look) -> str | None:
        used, total = number(getattr(sample.host, used_cell)), number(getattr(sample.host, total_cell))
        if used is None or not total or not _is_between(100 * used / total, look.limits):
            return None
        told = words.format(used=used, total=total, used_gib=used / GIB, total_gib=total / GIB, share=used / total)
        return f"{told} (limit {look.limits['percent']:g} %)"

    return when


def _is_between(percent: float, limits: Limits) -> bool:
    return limits["percent"] < percent <= limits.get("below", math.inf)


def _most(cell: str, words: str) -> NodeRule:
    """One cell of the host has reached `limits["least"]`."""

    def when(sample: Sample, look: Look) -> str | None:
        value, least = number(getattr(sample.host, cell)), look.limits["least"]
        return f"{value:.0f} {words} (limit {least:g})" if value is not None and value >= least else None

    return when


def _memlock(sample: Sample, _: Look) -> str | None:
    limit, ports = number(sample.host.memlock_limit_bytes), len(sample.host.ports)
    return f"{limit / MIB:.0f} MiB, with {ports} ports" if limit is not None and ports else None


def _disks(sample: Sample, look: Look) -> str | None:
    full = [words for disk in sample.host.disks if (words := _disk(disk, look.limits))]
    return listed(full) or None


def _disk(disk: DiskSample, limits: Limits) -> str:
    used, total = number(disk.used_bytes), number(disk.total_bytes)
    if used is None or not total or not _is_between(100 * used / total, limits):
        return ""
    what = f" ({disk.what[:60]})" if disk.what else ""
    return f"{disk.path[:80]}{what} is {used / total:.0%} full, {(total - used) / GIB:.1f} GiB left"


def _governor(sample: Sample, _: Look) -> str | None:
    other = text(sample.host.cpu_governor)
    return f"governor {other}" if other and other != "performance" else None


def _clock(sample: Sample, _: Look) -> str | None:
    clock = text(sample.host.clocksource)
    return f"clock source {clock}" if clock and clock not in GOOD_CLOCKS else None


def _faults(sample: Sample, _: Look) -> str | None:
    return f"set: {sample.host.environment_faults}" if text(sample.host.environment_faults) else None


def _pressure(cell: str, words: str) -> NodeRule:
    def when(sample: Sample, look: Look) -> str | None:
        value, most = number(getattr(sample.host, cell)), look.limits["percent"]
        return f"{words} for {value:.0f} % of the last 10 s (limit {most:g} %)" if value and value >= most else None

    return when


def _groups(words: str, found: Sequence[GroupSample]) -> str | None:
    return f"{words} {listed([group.job or group.path for group in found])}" if found else None


def _throttled(sample: Sample, look: Look) -> str | None:
    most = look.limits["percent"]
    found = [g for g in sample.host.groups if (number(g.cpu_throttled_percent) or 0) >= most]
    return _groups(f"its CPU quota ran out in {most:g} % or more of the periods:", found)


def _group_full(sample: Sample, look: Look) -> str | None:
    found = [group for group in sample.host.groups if _is_full(group, look.limits["percent"])]
    return _groups(f"over {look.limits['percent']:g} % of its memory limit:", found)


def _is_full(group: GroupSample, percent: float) -> bool:
    used, limit = number(group.memory_used_bytes), number(group.memory_limit_bytes)
    return bool(used and limit and 100 * used / limit > percent)


def _oom(sample: Sample, look: Look) -> str | None:
    count = look.past.since_start(HOST, "oom_kills")
    return f"{count:.0f} since start" if count else None


def _uninterruptible(sample: Sample, look: Look) -> str | None:
    held = look.past.held_s(HOST, "uninterruptible")
    if held < look.limits["seconds"]:
        return None
    return f"{number(sample.host.uninterruptible) or 0:.0f} processes, for {duration(held)} or more"


def _stuck(gpu: GpuSample, look: Look) -> str | None:
    held = look.past.held_s(gpu.uuid, "stuck_process")
    if held < look.limits["seconds"]:
        return None
    pids = [f"pid {p.pid}" for p in look.sample.processes if p.gpu_uuid == gpu.uuid and _is_stuck(p)]
    return f"{listed(pids)} for {duration(held)}" if pids else None


def _is_stuck(process: ProcessSample) -> bool:
    return process.state == "uninterruptible"


def _has_stuck(_: GpuSample, processes: Sequence[ProcessSample], __: Limits) -> bool:
    return any(map(_is_stuck, processes))


def _has_uninterruptible(sample: Sample, _: Limits) -> bool:
    return bool(number(sample.host.uninterruptible))


TIMED: Final = (
    Timed(name="stuck_process", of="TD-HST-020", gpu=_has_stuck),
    Timed(name="uninterruptible", of="TD-HST-011", node=_has_uninterruptible),
)

CHECKS: Final = (
    Check(
        id="TD-HST-001",
        title="shared memory is small",
        severity=Severity.WARNING,
        reads=("host.shm_total_bytes",),
        why="DataLoader workers and NCCL pass data through it; a container without an option gets 64 MiB, at which "
        "both fail.",
        fix=look_at("docker run --shm-size=16g …, or --ipc=host", Scope.PROCESS),
        source="torch DataLoader's own advice; torchx issue 429, pytorch issue 5040, nccl issues 290, 342",
        node=_small_shm,
        limits={"least_mib": 1024},
    ),
    Check(
        id="TD-HST-002",
        title="shared memory is nearly full",
        severity=Severity.WARNING,
        reads=("host.shm_used_bytes", "host.shm_total_bytes"),
        why="The next worker or communicator that wants room there ends with SIGBUS.",
        fix=look_at("ls -laS /dev/shm | head", Scope.NODE),
        source=OWN,
        node=_share("shm_used_bytes", "shm_total_bytes", f"{SHM} is {{share:.0%}} full"),
        limits={"percent": 90},
    ),
    Check(
        id="TD-HST-003",
        title="host memory is nearly used up",
        severity=Severity.WARNING,
        reads=("host.memory_used_bytes", "host.memory_total_bytes"),
        why="The kernel will soon end a process: usually the largest, which is a rank.",
        fix=_MEMORY,
        source=OWN,
        node=_share("memory_used_bytes", "memory_total_bytes", "{used_gib:.1f} of {total_gib:.1f} GiB are used"),
        limits={"percent": 95},
    ),
    Check(
        id="TD-HST-004",
        title="little memory may be locked",
        severity=Severity.WARNING,
        reads=("host.memlock_limit_bytes",),
        why="InfiniBand pins its buffers: NCCL fails with 'Cannot allocate memory' in ibv_reg_mr.",
        fix=look_at("ulimit -l unlimited; /etc/security/limits.conf, or docker run --ulimit memlock=-1", Scope.PROCESS),
        source=f"NCCL docs, troubleshooting; {OWN}",
        node=_memlock,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-HST-005",
        title="many of the machine's file handles are open",
        severity=Severity.WARNING,
        reads=("host.files_open", "host.files_max"),
        why="When they run out, programs cannot open files or sockets.",
        fix=look_at("lsof | awk '{print $1}' | sort | uniq -c | sort -n | tail", Scope.NODE, "root"),
        source="gpud components/os: degraded at 80 %",
        node=_share("files_open", "files_max", "{used:,.0f} of {total:,.0f} are open"),
        limits={"percent": 80, "below": 95},
    ),
    Check(
        id="TD-HST-006",
        title="hardly any file handle is left",
        severity=Severity.CRITICAL,
        reads=("host.files_open", "host.files_max"),
        why="Programs cannot open files or sockets now or soon.",
        fix=look_at("lsof | awk '{print $1}' | sort | uniq -c | sort -n | tail", Scope.NODE, "root"),
        source="gpud components/os: unhealthy at 95 %",
        node=_share("files_open", "files_max", "{used:,.0f} of {total:,.0f} are open"),
        limits={"percent": 95},
    ),
    Check(
        id="TD-HST-007",
        title="many of the machine's tasks are in use",
        severity=Severity.WARNING,
        reads=("host.tasks", "host.tasks_max"),
        why="When they run out, nothing can start a process or a thread; data loaders and OpenMP make many.",
        fix=look_at("ps -eo user= -L | sort | uniq -c | sort -n | tail", Scope.NODE),
        source="gpud components/os: degraded at 80 %",
        node=_share("tasks", "tasks_max", "{used:,.0f} of {total:,.0f} are in use"),
        limits={"percent": 80, "below": 95},
    ),
    Check(
        id="TD-HST-008",
        title="hardly any task is left",
        severity=Severity.CRITICAL,
        reads=("host.tasks", "host.tasks_max"),
        why="Nothing can start a process or a thread now or soon.",
        fix=look_at("ps -eo user= -L | sort | uniq -c | sort -n | tail", Scope.NODE),
        source="gpud components/os: unhealthy at 95 %",
        node=_share("tasks", "tasks_max", "{used:,.0f} of {total:,.0f} are in use"),
        limits={"percent": 95},
    ),
    Check(
        id="TD-HST-010",
        title="very many zombies",
        severity=Severity.WARNING,
        reads=("host.zombies",),
        why="A launcher or a container's first process does not reap its children; their pids are lost.",
        fix=look_at("ps -eo ppid=,stat= | awk '$2 ~ /Z/ {print $1}' | sort | uniq -c | sort -n | tail", Scope.NODE),
        source="gpud components/os: degraded at 1000",
        node=_most("zombies", "zombies"),
        limits={"least": 1000},
    ),
    Check(
        id="TD-HST-011",
        title="processes sit in the kernel",
        severity=Severity.WARNING,
        reads=("host.uninterruptible",),
        why="They wait for a disk, a network file system or a driver, and cannot be killed.",
        fix=_STUCK,
        source="gcm: over 300 s; gpud: five looks in a row",
        node=_uninterruptible,
        limits={"seconds": 300},
        needs_s=300.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-HST-020",
        title="a process of this GPU sits in the kernel",
        severity=Severity.WARNING,
        why="It waits in a driver or on a file system and cannot be killed: its GPU is held until that comes back.",
        fix=_STUCK,
        source=f"{OWN}, after gcm and gpud on any process",
        gpu=_stuck,
        limits={"seconds": 30},
        needs_s=30.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-HST-012",
        title="a disk is nearly full",
        severity=Severity.WARNING,
        why="Compile caches, checkpoints and logs go there; a write that fails ends the job.",
        fix=look_at("du -xh --max-depth=2 PATH | sort -h | tail", Scope.NODE),
        source="gpud disk: under 10 % free (gcm 80 and 85 %, imbue 95 %)",
        node=_disks,
        limits={"percent": 90, "below": 95},
        on=On.SAMPLE,
    ),
    Check(
        id="TD-HST-013",
        title="a disk is full but for a little",
        severity=Severity.CRITICAL,
        why="Compile caches, checkpoints and logs go there; a write that fails ends the job.",
        fix=look_at("du -xh --max-depth=2 PATH | sort -h | tail", Scope.NODE),
        source="imbue: 95 %",
        node=_disks,
        limits={"percent": 95},
        on=On.SAMPLE,
    ),
    Check(
        id="TD-HST-014",
        title="the CPU saves power",
        severity=Severity.WARNING,
        reads=("host.cpu_governor",),
        why="Cores that clock up late make launches and data loading slow and uneven.",
        fix=look_at("cpupower frequency-set -g performance", Scope.NODE, "root"),
        source="gcm: performance",
        node=_governor,
    ),
    Check(
        id="TD-HST-015",
        title="a slow clock source",
        severity=Severity.WARNING,
        reads=("host.clocksource",),
        why="Reading the time takes a system call: every profile and every timed wait costs more.",
        fix=look_at("cat /sys/devices/system/clocksource/clocksource0/available_clocksource", Scope.NODE),
        source=f"gcm: tsc; {OWN} for virtual machines and Arm",
        node=_clock,
    ),
    Check(
        id="TD-HST-016",
        title="variables that slow every CUDA program down",
        severity=Severity.WARNING,
        reads=("host.environment_faults",),
        why="A profiler, a debugger or a dump on errors is switched on for all that is started from here.",
        fix=look_at("unset NAME", Scope.PROCESS),
        source="DCGM nvvs Software.cpp",
        node=_faults,
    ),
    Check(
        id="TD-HST-017",
        title="tasks wait for memory",
        severity=Severity.WARNING,
        reads=("host.memory_full_pressure_percent",),
        why="All of them at once, while the kernel frees pages: the machine swaps, or a limit is too tight.",
        fix=_MEMORY,
        source=f"kernel pressure stall information; {OWN}",
        node=_pressure("memory_full_pressure_percent", "all tasks waited"),
        limits={"percent": 10},
    ),
    Check(
        id="TD-HST-018",
        title="tasks wait for disks",
        severity=Severity.INFO,
        reads=("host.io_full_pressure_percent",),
        why="Data loading or a checkpoint is bound by a file system.",
        fix=look_at("iostat -x 1 3", Scope.NODE),
        source=f"kernel pressure stall information; {OWN}",
        node=_pressure("io_full_pressure_percent", "all tasks waited"),
        limits={"percent": 40},
    ),
    Check(
        id="TD-HST-019",
        title="processes were killed for want of memory",
        severity=Severity.WARNING,
        reads=("host.oom_kills",),
        why="Usually the largest, which is a rank or its data loader; its peers then wait in a collective.",
        fix=_MEMORY,
        source="gpud components/memory: memory.events, oom_kill",
        node=_oom,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-HST-021",
        title="a job's CPU quota holds it back",
        severity=Severity.WARNING,
        why="Data loaders and launches stop until the next period: the GPU idles in between.",
        fix=look_at("cat /sys/fs/cgroup/…/cpu.max; ask for more cores", Scope.PROCESS),
        source=f"cgroup cpu.stat nr_throttled; {OWN}",
        node=_throttled,
        limits={"percent": 25},
        on=On.SAMPLE,
    ),
    Check(
        id="TD-HST-022",
        title="a job is close to its memory limit",
        severity=Severity.WARNING,
        why="Past it the kernel ends a process of the job.",
        fix=look_at("cat /sys/fs/cgroup/…/memory.max; ask for more memory, or fewer workers", Scope.PROCESS),
        source=OWN,
        node=_group_full,
        limits={"percent": 95},
        on=On.SAMPLE,
    ),
)
