"""Rules that go by more than one sample, each with a sequence that it is about and one beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sample_material import GIB, gpu, host, sample, xid

from torchprobes.samples import GpuSample, KernelEvent, PortSample, ProcessSample, Sample
from torchprobes.telemetry.health import Health, Judge

S = 1_000_000_000
NOW_S = 1_000_000.0
"""The wall clock at the first sample."""

Row = tuple[Sample, Sample, str]
Sequences = tuple[Sequence[Sample], Sequence[Sample], str]


def at(second: float, *gpus: GpuSample, **changes: Any) -> Sample:
    """A sample some seconds after the first."""
    return sample(*gpus, t_ns=int((NOW_S + second) * S), m_ns=int(second * S) + S, **changes)


def judged(samples: Sequence[Sample]) -> Health:
    """What the rules say of the last of them."""
    one = Judge()
    past = one.new_past()
    health = Health()
    for each in samples:
        past.add(each)
        health = one.judge(each, past)
    return health


def lasting(seconds: float, step_s: float = 1.0, **changes: Any) -> list[Sample]:
    """Something that holds of GPU 1 for so long after a healthy first sample."""
    begun = [at(0, gpu(0), gpu(1))]
    count = int(seconds / step_s)
    return [*begun, *(at(1 + i * step_s, gpu(0), gpu(1, **changes)) for i in range(count + 1))]


def counted(cell: str, *values: float, step_s: float = 40.0, **changes: Any) -> list[Sample]:
    """A counter of GPU 1 at intervals."""
    return [at(i * step_s, gpu(0), gpu(1, **{**changes, cell: value})) for i, value in enumerate(values)]


def rank(pid: int, index: int, **cells: Any) -> ProcessSample:
    return ProcessSample(pid=pid, gpu_uuid=f"GPU-{index}", **{"user": "ann", "command": "python train.py", **cells})


BUSY: dict[str, Any] = {"utilization_percent": 100, "power_w": 120.0, "memory_used_bytes": 40 * GIB}


def collective(seconds: int, waiting: Sequence[int], others: Sequence[int], **cells: Any) -> list[Sample]:
    """A job on some GPUs: those that wait, and those that do not."""
    ranks = tuple(rank(100 + i, i, **cells) for i in (*waiting, *others))
    gpus = [gpu(i, **BUSY) if i in waiting else gpu(i, memory_used_bytes=40 * GIB) for i in (*waiting, *others)]
    ordered = sorted(gpus, key=lambda one: one.index)
    return [at(second, *ordered, processes=ranks) for second in range(seconds + 1)]


def slowing(onsets: int) -> list[Sample]:
    """Hardware slowdown comes and goes for ten minutes and a little."""
    step = 620 / (2 * onsets)
    return [
        *(at(i * step, gpu(0), gpu(1, throttle_reasons=0x8 if i % 2 else 1)) for i in range(2 * onsets)),
        at(625, gpu(0), gpu(1)),
    ]


def told(*events: KernelEvent, after_s: float = 0.0, **changes: Any) -> list[Sample]:
    """Events that the first sample brings, judged at a later time."""
    first = at(0, gpu(0), gpu(1, **changes), events=events)
    return [first] if not after_s else [first, at(after_s, gpu(0), gpu(1, **changes))]


def ago(seconds: float, code: int, **changes: Any) -> KernelEvent:
    """An XID of GPU 1, so long before the first sample."""
    return xid(code, NOW_S - seconds, index=1, **changes)


def line(kind: str, seconds: float = 60.0, text: str = "the line", **changes: Any) -> KernelEvent:
    """Another event, so long before the first sample."""
    return KernelEvent(t_ns=int((NOW_S - seconds) * S), kind=kind, source="kmsg", text=text, **changes)


def flaps(count: int) -> list[Sample]:
    return told(*(line("link", 3600.0 * i, "ib0: lost carrier") for i in range(count)))


def port_down(*counts: int) -> list[Sample]:
    ports = [PortSample(device="mlx5_0", port=1, state="active", rate_gbits_per_s=400, link_downed=n) for n in counts]
    return [at(i, gpu(0), host=host(ports=(port,))) for i, port in enumerate(ports)]


def hosts(*cells: dict[str, Any], step_s: float = 100.0) -> list[Sample]:
    return [at(i * step_s, gpu(0), host=host(**one)) for i, one in enumerate(cells)]


def stuck(seconds: int, state: str) -> list[Sample]:
    return [at(second, gpu(0), processes=(rank(77, 0, state=state),)) for second in range(seconds + 1)]


def slow_driver(seconds: int, cost_ms: float, **changes: Any) -> list[Sample]:
    """Ticks that cost so much, for so long."""
    return [at(second, gpu(0), cost_ms=cost_ms, **changes) for second in range(seconds + 1)]


LOWERED: dict[str, Any] = {"throttle_reasons": 4, "power_limit_w": 500.0}
GHOST: dict[str, Any] = {"utilization_percent": 100, "power_w": 90.0}
SLOW_LINK: dict[str, Any] = {"utilization_percent": 90, "pcie_generation": 1, "power_w": 400.0}

AROUND: dict[str, Sequences] = {
    "TD-DRV-008": (slow_driver(5, 20.1), slow_driver(4, 500.0), "takes 20 ms, for 5 s (limit 20 ms)"),
    "TD-GPU-023": (lasting(60, throttle_reasons=0x20), lasting(59, throttle_reasons=0x20), "on for 60 s (limit 60 s)"),
    "TD-CLK-001": (slowing(8), slowing(5), "0.8 a minute over the last ten (gpud's limit 0.6)"),
    "TD-CLK-002": (lasting(60, **LOWERED), lasting(60, throttle_reasons=4), "held at 500 W for 60 s"),
    "TD-GPU-031": (
        collective(60, (0, 1, 2), ()),
        collective(59, (0, 1, 2), ()),
        "100 % busy at 120 W of 700 W for 60 s",
    ),
    "TD-GPU-032": (
        collective(60, (0, 1), (2,)),
        collective(60, (0,), (1, 2)),
        "0 % busy at 70 W, while GPU 0, 1 of its job probably waits in a collective for 60 s",
    ),
    "TD-GPU-033": (lasting(60, **GHOST), lasting(60, **GHOST, memory_used_bytes=2 * GIB), "no memory in use, for 60 s"),
    "TD-GPU-034": (lasting(60, memory_used_bytes=8 * GIB), lasting(60, memory_used_bytes=4 * GIB), "8.0 GiB in use"),
    "TD-MEM-006": (
        counted("ecc_corrected_volatile", 5, 16),
        counted("ecc_corrected_volatile", 5, 15),
        "11 ecc corrected volatile in the last minute (DCGM's limit: 10)",
    ),
    "TD-MEM-013": (
        counted("remapped_correctable_rows", 3, 4),
        counted("remapped_correctable_rows", 4, 4),
        "1 remapped correctable rows since start",
    ),
    "TD-PCI-002": (lasting(45, **SLOW_LINK), lasting(44, **SLOW_LINK), "generation 1 of 5 under load for 45 s"),
    "TD-PCI-003": (counted("pcie_replays", 9, 41), counted("pcie_replays", 9, 40), "32 replays in the last minute"),
    "TD-PCI-004": (
        counted("pcie_nonfatal_errors", 0, 1, step_s=1),
        counted("pcie_nonfatal_errors", 0, 0),
        "1 nonfatal errors since start",
    ),
    "TD-PCI-005": (counted("pcie_bad_tlps", 15, 47), counted("pcie_bad_tlps", 15, 46), "32 bad tlps in the last"),
    "TD-PCI-007": (counted("aer_fatal", 0, 1, step_s=1), counted("aer_fatal", 1, 1), "1 aer fatal since start"),
    "TD-PCI-008": (counted("aer_correctable", 0, 32), counted("aer_correctable", 0, 31), "32 aer correctable"),
    "TD-PCI-009": (
        told(line("aer", bus_id="0000:17:00", text="PCIe Bus Error: severity=Corrected")),
        told(line("aer", 7300.0)),
        "1 lines in the last 2 h, last at 0000:17:00: PCIe Bus Error",
    ),
    "TD-NVL-003": (
        counted("nvlink_recovery_errors", 2, 3),
        counted("nvlink_recovery_errors", 3, 3),
        "1 recovery errors in the last minute",
    ),
    "TD-NVL-004": (counted("nvlink_crc_errors", 0, 6000), counted("nvlink_crc_errors", 0, 5999), "6000 in the last"),
    "TD-NVL-005": (counted("nvlink_crc_errors", 0, 1), counted("nvlink_crc_errors", 6, 6), "1 in the last minute"),
    "TD-NVL-006": (
        counted("nvlink_failed_recoveries", 0, 1, step_s=1, nvlink_receive_errors=0),
        counted("nvlink_failed_recoveries", 1, 1, nvlink_receive_errors=0),
        "1 failed recoveries since start",
    ),
    "TD-NVL-007": (
        counted("nvlink_receive_errors", 0, 1, step_s=1, nvlink_failed_recoveries=0),
        counted("nvlink_receive_errors", 7, 7, nvlink_failed_recoveries=0),
        "1 receive errors since start",
    ),
    "TD-NET-004": (flaps(5), flaps(4), "5 times in 24 h (AzNHC's limit 5); last: ib0: lost carrier"),
    "TD-NET-005": (port_down(3, 4), port_down(3, 3), "mlx5_0/1 1 times since start"),
    "TD-HST-011": (
        hosts(*[{"uninterruptible": 2}] * 4),
        hosts(*[{"uninterruptible": 2}] * 2, {"uninterruptible": 0}, {"uninterruptible": 2}),
        "2 processes, for 5 min or more",
    ),
    "TD-HST-019": (hosts({"oom_kills": 4}, {"oom_kills": 5}), hosts(*[{"oom_kills": 5}] * 2), "1 since start"),
    "TD-HST-020": (stuck(30, "uninterruptible"), stuck(30, "sleeping"), "pid 77 for 30 s"),
    "TD-XID-001": (told(ago(120, 79, pid=433, process="python3", job="12.0")), told(ago(120, 43)),
                   "XID 79 GPU has fallen off the bus, 2 min ago, pid 433 python3 of job 12.0"),
    "TD-XID-002": (told(ago(5, 119)), told(ago(5, 31)), "XID 119 GSP RPC timeout, 5 s ago"),
    "TD-XID-003": (told(ago(5, 48)), told(ago(5, 45)), "XID 48 double-bit ECC error"),
    "TD-XID-004": (told(ago(5, 54)), told(ago(5, 162)), "XID 54 auxiliary power"),
    "TD-XID-005": (told(ago(5, 63)), told(ago(5, 31)), "AzNHC: fail: take the node out"),
    "TD-XID-006": (told(ago(5, 31)), told(ago(5, 43)), "DCGM's memory watch: warning"),
    "TD-XID-007": (told(ago(5, 43, pid=433)), told(ago(5, 13)), "XID 43 GPU stopped processing for one program"),
    "TD-XID-008": (told(ago(5, 162)), told(ago(5, 54)), "XID 162"),
    "TD-XID-009": (told(ago(5, 999)), told(ago(5, 43)), "XID 999 not known to this torchdoctor"),
    "TD-XID-010": (told(ago(7300, 119)), told(ago(7300, 119), recovery_action=1), "XID 119 GSP RPC timeout, 2 h ago"),
    "TD-XID-011": (
        told(ago(600, 79), ago(300, 79)),
        told(ago(310, 79), ago(300, 79)),
        "a reboot does not mend it, have the hardware inspected (gpud)",
    ),
    "TD-XID-012": (
        told(line("off-bus", bus_id="0000:18:00", text="NVRM: GPU at PCI:0000:18:00: has fallen off the bus")),
        told(line("off-bus", 9000.0, bus_id="0000:18:00")),
        "GPU 1 00000000:18:00.0",
    ),
    "TD-XID-020": (
        told(line("sxid", code=20009, text="SXid (PCI:0000:05:00.0): 20009, Fatal, Link 30 RX Short Error Rate")),
        told(line("sxid", code=12028, text="SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32")),
        "SXID 20009, 60 s ago",
    ),
    "TD-XID-021": (
        told(line("sxid", code=12028, text="SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32")),
        told(line("sxid", 7300.0, code=12028, text="12028, Non-fatal")),
        "SXID 12028",
    ),
    "TD-LOG-001": (
        told(line("segfault", pid=9, process="python3", text="segfault at 0 in libnccl.so.2")),
        told(line("segfault", 7300.0)),
        "60 s ago, pid 9 python3: segfault at 0 in libnccl",
    ),
    "TD-LOG-002": (told(line("oom", pid=9, job="12.0")), told(line("oom", 7300.0)), "pid 9 of job 12.0"),
    "TD-LOG-003": (told(line("hung-task", pid=9)), told(line("hung-task", 7300.0)), "60 s ago"),
    "TD-LOG-004": (told(line("lockup")), told(line("lockup", 7300.0)), "60 s ago"),
}  # fmt: skip
"""Check -> samples that it is about, some just beside, and words that its finding must hold."""

WITH: dict[str, set[str]] = {
    "TD-CLK-002": {"TD-GPU-024"},
    "TD-GPU-032": {"TD-GPU-031"},
    "TD-XID-011": {"TD-XID-001"},
}
"""What else rightly speaks of such a sequence."""
