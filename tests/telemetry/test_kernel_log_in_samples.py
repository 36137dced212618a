"""Events as the sampler child tells them: live XIDs, a kernel's log of our own, and ends of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_driver import FakeDriver, is_ready, sample_where, sampling, until
from proc_tree import ProcTree

from torchprobes.child import SAMPLER
from torchprobes.samples import KernelEvent
from torchprobes.telemetry.source import Sampler

GIB = 1 << 30


def told(sampler: Sampler, kind: str) -> list[KernelEvent]:
    return [event for event in list(sampler.past.events) if event.kind == kind]


def test_an_xid_that_happens_is_told_with_its_gpu(
    driver: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xids = tmp_path / "xids"
    monkeypatch.setenv("FAKE_NVML_XIDS", str(xids))
    with sampling() as sampler:
        sample_where(sampler, is_ready)
        until(lambda: driver.calls()["nvmlEventSetWait_v2 -1"] or None)
        xids.write_text("1 43\n")
        (event,) = until(lambda: [event for event in told(sampler, "xid") if "nvml" in event.source])
        assert (event.code, event.gpu_uuid, event.bus_id) == (43, "GPU-fake-1", "0000:18:00")


def test_the_log_of_the_kernel_names_the_job_of_a_process(driver: FakeDriver, tmp_path: Path) -> None:
    tree = ProcTree(tmp_path)
    tree.process(433, cgroup="0::/slurm/uid_0/job_7/step_0\n", started=1)
    driver.processes((0, 433, GIB))
    os.mkfifo(tree.dev / "kmsg")
    handle = os.open(tree.dev / "kmsg", os.O_RDWR)
    command = (sys.executable, "-I", "-B", str(SAMPLER), "--root", str(tmp_path), "0.05")
    with sampling(command=command) as sampler:
        sample = sample_where(sampler, lambda sample: any(p.job == "slurm 7.0" for p in sample.processes))
        assert sample.kernel_log == "kmsg"
        os.write(handle, b"4,1,1000,-;NVRM: Xid (PCI:0000:17:00): 43, pid=433, name=python3, Ch 00000008\n")
        (event,) = until(lambda: told(sampler, "xid"))
        assert (event.code, event.bus_id, event.pid, event.job) == (43, "0000:17:00", 433, "slurm 7.0")
        tree.end(433)
        (end,) = until(lambda: told(sampler, "exit"))
        assert (end.pid, end.job, end.gpu_uuid) == (433, "slurm 7.0", "GPU-fake-0")
    os.close(handle)


def test_the_end_of_a_real_process_is_told(driver: FakeDriver) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    driver.processes((1, process.pid, GIB))
    try:
        with sampling() as sampler:
            sample_where(sampler, lambda sample: any(p.state == "sleeping" for p in sample.processes))
            process.kill()
            process.wait()
            (end,) = until(lambda: told(sampler, "exit"))
            assert (end.pid, end.gpu_uuid) == (process.pid, "GPU-fake-1")
    finally:
        process.kill()
