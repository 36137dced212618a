"""The GPUs pane's telemetry beside real work and real faults. Run by hand with `pytest -m gpu`."""

from __future__ import annotations

import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from torchprobes.cells import Absent, CellState
from torchprobes.model import Finding, Severity
from torchprobes.samples import LANES, KernelEvent, Sample
from torchprobes.telemetry import Sampler

pytestmark = pytest.mark.gpu

DEADLINE_S = 90.0
PYTHON = os.environ.get("TORCHDOCTOR_PYTHON") or sys.executable
"""The Python whose torch does the work."""
T = TypeVar("T")

LOAD = """
import torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
a @ a
torch.cuda.synchronize()
print("runs", flush=True)
while True:
    for _ in range(50):
        a @ a
    torch.cuda.synchronize()
"""

ASSERT = """
import torch
x = torch.zeros(10, device="cuda")
print(x[torch.tensor([100], device="cuda")])
"""

ASLEEP = """
import time, torch, torch.distributed as dist
dist.init_process_group("nccl")
rank = dist.get_rank()
torch.cuda.set_device(rank)
x = torch.ones(1 << 20, device="cuda")
dist.all_reduce(x)
torch.cuda.synchronize()
if rank == 1:
    time.sleep(600)
dist.all_reduce(x)
torch.cuda.synchronize()
"""

STEPS = """
import statistics, sys, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
def block(steps):
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    marks[0].record()
    for mark in marks[1:]:
        a @ a
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(one.elapsed_time(two) for one, two in zip(marks, marks[1:]))
block(3000)
print("ready", flush=True)
for line in sys.stdin:
    print(block(int(line)), flush=True)
"""


def until(look: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    end = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {deadline_s} s"
        time.sleep(0.02)
    return found


@contextmanager
def running(program: str, *words: str, wait: str = "") -> Iterator[subprocess.Popen[str]]:
    """A program of torch's; killed at the end, with all that it started. What it said on stderr is printed."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [PYTHON, *words, "-c", program] if program else [PYTHON, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True,
        )  # fmt: skip
        assert child.stdout is not None
        try:
            if wait:
                assert child.stdout.readline().strip() == wait
            yield child
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            said.seek(0)
            print(said.read().decode(errors="replace")[-2000:])


@contextmanager
def sampling(rate_hz: float = 2.0) -> Iterator[Sampler]:
    sampler = Sampler(rate_hz)
    sampler.start()
    try:
        until(lambda: sampler.latest()[0] >= 3)
        yield sampler
    finally:
        sampler.stop()


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    with sampling() as one:
        yield one


def newest(sampler: Sampler) -> Sample:
    sample = sampler.latest()[1]
    assert sample is not None
    return sample


def found(sampler: Sampler, words: str) -> Finding | None:
    return next((f for f in sampler.judged()[2].findings if words in f"{f.id} {f.seen} {f.why}"), None)


def test_every_cell_of_a_real_gpu_is_read_or_says_why_not(sampler: Sampler) -> None:
    until(lambda: sampler.past.seconds > 35)
    gpu = newest(sampler).gpus[0]
    absent = {cell: getattr(gpu, cell) for cell in LANES if isinstance(getattr(gpu, cell), Absent)}
    read = len(LANES) - len(absent)
    print(f"\n{read} of {len(LANES)} cells hold a reading")
    for cell, why in absent.items():
        print(f"  {cell}: {why.state.value}: {why.why}")
    later = {cell for cell, why in absent.items() if why.state is not CellState.NOT_SUPPORTED}
    assert later <= {"nvlink_crc_errors", "nvlink_replay_errors", "nvlink_recovery_errors", "inforom_valid"}, (
        "only what goes round the links one by one, or is read late on purpose, is not there yet"
    )
    assert read > 70


def test_a_healthy_node_has_no_fault_and_the_own_cost_is_small(sampler: Sampler) -> None:
    until(lambda: sampler.past.seconds > 20)
    sample, health = newest(sampler), sampler.judged()[2]
    print(f"\n{health.line}\nself {sample.self_percent} % of a core, {sample.cost_ms} ms a tick")
    assert [f for f in health.findings if f.severity is Severity.CRITICAL] == []


def test_load_shows_in_power_clocks_throttle_time_and_process(sampler: Sampler) -> None:
    with running(LOAD, wait="runs") as child:
        until(lambda: newest(sampler).gpus[0].utilization_percent == 100)
        until(lambda: isinstance(newest(sampler).gpus[0].power_capped_percent_1m, (int, float)))
        until(lambda: any(p.pid == child.pid and isinstance(p.sm_percent, (int, float)) and p.sm_percent > 50
                          for p in newest(sampler).processes))  # fmt: skip
        sample = newest(sampler)
    gpu = sample.gpus[0]
    row = next(p for p in sample.processes if p.pid == child.pid)
    print(f"\n{gpu.power_w} W, {gpu.sm_clock_mhz} MHz, capped {gpu.power_capped_percent_1m} %, {row}")
    assert isinstance(gpu.power_w, (int, float))
    assert gpu.power_w > 300
    assert isinstance(gpu.power_capped_percent_1m, (int, float))
    assert isinstance(row.sm_percent, (int, float))
    assert row.sm_percent > 50


def test_a_device_side_assert_is_a_live_xid_43_with_its_process(sampler: Sampler) -> None:
    def event() -> KernelEvent | None:
        return next((e for e in sampler.past.events if e.kind == "xid" and e.code == 43 and "nvml" in e.source), None)

    with running(ASSERT) as child:
        xid = until(event)
    until(lambda: sampler.past.events_of(newest(sampler).gpus[0]))
    print(f"\n{xid}\n{found(sampler, 'XID 43')}")
    whole = until(lambda: next((e for e in sampler.past.events if e.code == 43 and e.pid == child.pid), None))
    assert sum(e.code == 43 and e.pid == child.pid for e in sampler.past.events) == 1, "two sources, one event"
    assert whole.process.startswith("python")
    finding = until(lambda: found(sampler, "XID 43"))
    assert finding.severity is not Severity.CRITICAL, "a program's own fault is no fault of the node"


def test_a_program_that_is_killed_is_no_fault(sampler: Sampler) -> None:
    before = {f.id for f in sampler.judged()[2].findings if f.severity is not Severity.INFO}
    with running(LOAD, wait="runs") as child:
        until(lambda: any(p.pid == child.pid for p in newest(sampler).processes))
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not any(p.pid == child.pid for p in newest(sampler).processes))
    begun = sampler.past.seconds
    until(lambda: sampler.past.seconds > begun + 5)
    after = {f.id for f in sampler.judged()[2].findings if f.severity is not Severity.INFO}
    assert after <= before
    assert any(e.kind == "exit" and e.pid == child.pid for e in sampler.past.events)


def test_a_rank_asleep_in_a_collective_is_told_with_the_odd_one(sampler: Sampler, tmp_path: Path) -> None:
    if len(newest(sampler).gpus) < 2:
        pytest.skip("LOUD: one GPU, and a collective needs two")
    script = tmp_path / "asleep.py"
    script.write_text(ASLEEP)
    with running("", "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)) as job:
        finding = until(lambda: found(sampler, "collective") or (job.poll() is not None and "it ended"), 180)
    assert isinstance(finding, Finding), "the job ended by itself"
    print(f"\n{finding.id} {finding.seen}\n{finding.why}")
    assert "GPU 0" in finding.seen
    assert "GPU 1" in finding.seen, "the odd one is named"


def test_a_sampler_at_2_hz_does_not_slow_a_matmul() -> None:
    """Short blocks in turns under one unbroken load, the child stopped for every other one: both find the GPU as warm.

    The interval of the paired ratios must lie below 0.5 %.
    """
    steps, pairs = 600, 60
    changes = []
    with running(STEPS, wait="ready") as child, sampling() as sampler:
        assert child.stdin is not None
        assert child.stdout is not None
        process = sampler._process
        assert process is not None

        def block(sampled: bool) -> float:
            os.kill(process.pid, signal.SIGCONT if sampled else signal.SIGSTOP)
            child.stdin.write(f"{steps}\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
            return float(child.stdout.readline())  # type: ignore[union-attr]

        for turn in range(pairs):
            times = {sampled: block(sampled) for sampled in ((False, True) if turn % 2 else (True, False))}
            changes.append(100 * (times[True] / times[False] - 1))
        os.kill(process.pid, signal.SIGCONT)
    mean, half = statistics.mean(changes), 2.0 * statistics.stdev(changes) / math.sqrt(len(changes))
    print(f"\nsampled against not: {mean:+.3f} % ± {half:.3f} % (95 %, {pairs} pairs, {steps} steps a block)")
    assert mean + half < 0.5
