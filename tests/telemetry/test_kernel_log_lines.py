"""Recorded lines of kernels and drivers, and hostile ones, as a table: what event each makes."""

from __future__ import annotations

import time

import pytest

from torchprobes.samples import KernelEvent
from torchprobes.telemetry.kernel.lines import MAX_TEXT, Lines, clean

POD = "poda8697f49_441d_4d4f_90d2_6d8e1fa3bbe7"
CRI = "cri-containerd-3fc28fa1c647ceede9f6b340d0b16c9f1f663698972d22a52e296f291638e014.scope"


def event(*lines: str | bytes) -> KernelEvent | None:
    """The last event that these lines make."""
    reader, last = Lines("kmsg"), None
    for line in lines:
        last = reader.event(line if isinstance(line, bytes) else line.encode(), 5, 7) or last
    return last


def xid(code: int, bus: str, pid: int | None = None, process: str = "") -> tuple[object, ...]:
    return ("xid", code, bus, pid, process)


TOLD: list[tuple[str, tuple[object, ...]]] = [
    (
        "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        xid(79, "0000:3b:00"),
    ),
    ("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.", xid(79, "0000:01:00")),
    ("NVRM: Xid (0000:03:00): 14, Channel 00000001", xid(14, "0000:03:00")),
    ("NVRM: Xid (PCI:0000:00:06): 43, pid=433, name=python3, Ch 00000008", xid(43, "0000:00:06", 433, "python3")),
    (
        "NVRM: Xid (PCI:0000:00:06): 13, pid='2924', name=pt main, x, Graphics SM",
        xid(13, "0000:00:06", 2924, "pt main"),
    ),
    ("NVRM: Xid (PCI:0000:4E:00 GPU-I:02): 31, pid=7, name=a", xid(31, "0000:4e:00", 7, "a")),
    (
        "NVRM: Xid (PCI:0018:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x00086226 0x1 0x0)",
        xid(149, "0018:01:00"),
    ),
    (
        "NVRM: Xid (PCI:0018:01:00): 145, pid=876767, name=ray::WorkerDict, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0)",
        xid(145, "0018:01:00", 876767, "ray::WorkerDict"),
    ),
    (
        "NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
        xid(154, "0000:01:00"),
    ),
    ("[  123.456789] NVRM: Xid (PCI:0000:01:00): 999, Something new", xid(999, "0000:01:00")),
    ("NVRM: GPU at PCI:0000:3b:00 has fallen off the bus.", ("off-bus", None, "0000:3b:00", None, "")),
    ("NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.", ("off-bus", None, "0000:3b:00", None, "")),
    (
        "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
        ("sxid", 12028, "0000:05:00", None, ""),
    ),
    (
        "nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): 00409, Fatal, x",
        ("sxid", 409, "0000:c3:00", None, ""),
    ),
    (
        "nvidia 0000:17:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)",
        ("aer", None, "0000:17:00", None, ""),
    ),
    (
        "pcieport 0000:16:01.0: AER: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction Layer",
        ("aer", None, "0000:16:01", None, ""),
    ),
    (
        "Out of memory: Killed process 123 (python3) total-vm:2676kB, anon-rss:84kB",
        ("oom", None, "", 123, "python3"),
    ),
    (
        "Out of memory: Killed process 123 (a) (b), x) total-vm:2676kB",
        ("oom", None, "", 123, "a) (b), x"),
    ),
    ("Killed process 456 (python), UID 1000, total-vm:1kB", ("oom", None, "", 456, "python")),
    ("Out of memory: Killed process 123, UID 48, (httpd).", ("oom", None, "", 123, "httpd")),
    (
        "INFO: task nvidia-smi:4711 blocked for more than 120 seconds.",
        ("hung-task", None, "", 4711, "nvidia-smi"),
    ),
    (
        "INFO: task a:b 1:4711 blocked in I/O wait for more than 120 seconds.",
        ("hung-task", None, "", 4711, "a:b 1"),
    ),
    (
        "watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [python3:1234]",
        ("lockup", None, "", 1234, "python3"),
    ),
    ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", ("lockup", None, "", None, "")),
    (
        "pt_main_thread[2536443]: segfault at 7f797fe00000 ip 7f7c7ac sp 7f7c12f error 4 in libnccl.so.2[7f7c7ac+d3d]",
        ("segfault", None, "", 2536443, "pt_main_thread"),
    ),
    ("mlx5_core 0000:d8:00.0 ens1f0np0: Link down", ("link", None, "0000:d8:00", None, "")),
    ("mlx5_core 0000:d8:00.0: Port module event: module 0, Cable unplugged", ("link", None, "0000:d8:00", None, "")),
    ("ib0: Lost carrier", ("link", None, "", None, "")),
    ("igb 0000:01:00.0 eth0: igb: eth0 NIC Link is Down", ("link", None, "0000:01:00", None, "")),
    ("bond0: (slave eth0): link status definitely down, disabling slave", ("link", None, "", None, "")),
]

SILENT = [
    "EXT4-fs (vda): mounted filesystem r/w without journal",
    "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.159.04",
    "NVRM: GPU at PCI:0000:3b:00: GPU-6f1c0f9e-0000-0000-0000-000000000000",
    "NVRM: Xid (PCI:0000:3b:00): unknown",
    "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Data {0x50610002, 0x10100030}",
    "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Severity 1 Engine instance 30",
    "Out of memory: Kill process 456 (python) score 50 or sacrifice child",
    "python3[12]: segfault at 0 ip 00007f sp 00007f error 4 in libtorch_cpu.so[7f7c7ac00000+d3d3000]",
    "ata1: SATA link down (SStatus 0 SControl 300)",
    "pcieport 0000:16:01.0: pciehp: Slot(12): Link Down",
    # what users may name: their programs and their cgroups
    "INFO: task NVRM: Xid (PCI:1 blocked",
    "oom-kill:constraint=X,task_memcg=/a/NVRM: Xid (PCI:0000:3b:00): 79, pid=1,task=x,pid=9,uid=0",
]


@pytest.mark.parametrize(("line", "told"), TOLD, ids=[line[:60] for line, _ in TOLD])
def test_a_line_makes_its_event(line: str, told: tuple[object, ...]) -> None:
    found = event(line)
    assert found is not None
    assert (found.kind, found.code, found.bus_id, found.pid, found.process) == told
    assert (found.t_ns, found.boot_us, found.source) == (5, 7, "kmsg")
    assert found.text == line.removeprefix("[  123.456789] ")


@pytest.mark.parametrize("line", SILENT, ids=[line[:60] for line in SILENT])
def test_other_lines_make_none(line: str) -> None:
    assert event(line) is None


@pytest.mark.parametrize(
    ("group", "job"),
    [
        ("/slurm/uid_1000/job_1234/step_0/task_0", "slurm 1234.0"),
        (f"/kubepods.slice/kubepods-burstable-{POD}.slice/{CRI}", "pod a8697f49-441d-4d4f-90d2-6d8e1fa3bbe7"),
        ("/user.slice/a,task=b,pid=3,uid=0", ""),
    ],
)
def test_an_oom_kill_names_the_cgroup_and_its_job(group: str, job: str) -> None:
    found = event(
        "python3 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        f"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=x,mems_allowed=0-1,oom_memcg=/slurm,"
        f"task_memcg={group},task=python3,pid=863987,uid=0",
        "Memory cgroup out of memory: Killed process 863987 (python3) total-vm:59726088kB, anon-rss:8225208kB",
    )
    assert found is not None
    assert (found.kind, found.pid, found.job) == ("oom", 863987, job)
    assert found.text.endswith(f"· cgroup {group}")


def test_an_oom_kill_of_an_older_kernel_names_its_cgroup() -> None:
    found = event(
        "Task in /slurm/uid_0/job_5/step_batch killed as a result of limit of /slurm/uid_0/job_5",
        "Memory cgroup out of memory: Kill process 12 (python) score 990 or sacrifice child",
        "Killed process 12 (python), UID 0, total-vm:1kB",
    )
    assert found is not None
    assert found.job == "slurm 5.batch"


def test_the_cgroup_of_one_victim_is_not_given_to_the_next() -> None:
    lines = ("oom-kill:constraint=X,task_memcg=/slurm/uid_0/job_5/step_0,task=a,pid=1,uid=0",)
    found = event(*lines, "Out of memory: Killed process 2 (b) total-vm:1kB")
    assert found is not None
    assert (found.pid, found.job) == (2, "")


def test_a_gpu_that_fell_off_the_bus_in_three_lines_is_named() -> None:
    found = event(
        "NVRM: The NVIDIA GPU 0000:86:00.0",
        "NVRM: (PCI ID: 10de:2330) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    )
    assert found is not None
    assert (found.kind, found.bus_id) == ("off-bus", "0000:86:00")


@pytest.mark.parametrize(
    "raw",
    [
        rb"NVRM: Xid (PCI:0000:3b:00): 43, pid=9, name=a\x1b[31m\x00\x0a, Ch 8",
        b"NVRM: Xid (PCI:0000:3b:00): 43, pid=9, name=a\x1b[31m\x00\xff, Ch 8",
        b"NVRM: Xid (PCI:0000:3b:00): 43, pid=9, name=" + b"x" * 100_000,
        b"NVRM: Xid (PCI:0000:3b:00): 43, pid=99999999999999999999999999, name=x, ",
        b"NVRM: Xid (PCI:0000:3b:00): 43, pid=\\xd9\\xa3, name=\\xe2\\x80\\xae, x",
    ],
)
def test_hostile_text_is_bounded_and_printable(raw: bytes) -> None:
    found = event(raw)
    assert found is not None
    assert (found.kind, found.code) == ("xid", 43)
    assert len(found.text) <= MAX_TEXT
    assert all(character.isprintable() for character in found.text + found.process)


def test_the_kernel_s_escapes_are_undone() -> None:
    assert clean(rb"name=\xc3\xa9t\x5c\xc3\xa9") == "name=ét\\é"


@pytest.mark.parametrize("word", ["a", " ", ":", "PCI:0000:3b:00 ", "link ", "in libnccl", "/pod", "segfault at "])
def test_no_line_takes_longer_than_its_length(word: str) -> None:
    heads = ("NVRM: Xid (", "x[1]: segfault at ", "INFO: task ", "Link ", "Killed process 1 (", "oom-kill:")
    began = time.process_time()
    for head in heads:
        event(head.encode() + word.encode() * 4000)
    assert time.process_time() - began < 1.0  # a pattern that backtracks without bound takes minutes
