"""The sampler beside a real driver. Run by hand with `pytest -m gpu`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

import pytest

from torchprobes.cells import Absent
from torchprobes.samples import GpuSample, Sample
from torchprobes.telemetry import Sampler, health, take_sample

CONTEXT_BYTES = 64 << 20

pytestmark = pytest.mark.gpu

DEADLINE_S = 60.0
NUMBERS = (
    "utilization_percent", "memory_used_bytes", "memory_total_bytes", "power_w", "power_limit_w", "temperature_c",
    "sm_clock_mhz", "memory_clock_mhz", "throttle_reasons", "performance_state",
)  # fmt: skip

HOLD = """
import sys, torch
held = torch.ones(64 << 20, device="cuda")
held.sum().item()
print("holds", flush=True)
sys.stdin.read()
"""

T = TypeVar("T")


def until(look: Callable[[], T | None]) -> T:
    end = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {DEADLINE_S} s"
        time.sleep(0.02)
    return found


@pytest.fixture
def sampler() -> Iterator[Sampler]:
    running = Sampler(rate_hz=5.0)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def program() -> Iterator[int]:
    """The pid of a program of torch's that holds 256 MiB on a GPU."""
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"holds\n"
        yield child.pid
    finally:
        child.stdin.close()
        child.wait(30)
        child.stdout.close()


def gpus_of(sample: Sample) -> tuple[GpuSample, ...]:
    assert sample.driver_state == "ok"
    assert sample.gpus
    return sample.gpus


def test_one_sample_has_numbers_identity_and_no_unknown_error() -> None:
    sample = take_sample(10.0)
    for gpu in gpus_of(sample):
        assert gpu.uuid.startswith("GPU-")
        assert gpu.bus_id.count(":") == 2
        assert {name: getattr(gpu, name) for name in NUMBERS if isinstance(getattr(gpu, name), Absent)} == {}
        assert gpu.memory_total_bytes > 1 << 30  # type: ignore[operator]
    assert str(sample.driver).count(".") >= 1
    assert isinstance(sample.cuda, str)
    print("\n", health.judge(sample).line, f"\n one sample costs {sample.cost_ms} ms")


def test_the_sampler_has_no_cuda_context_and_is_no_process_on_a_gpu(sampler: Sampler) -> None:
    until(lambda: sampler.latest()[0] >= 5)
    sample = sampler.latest()[1]
    assert sample is not None
    process = sampler._process
    assert process is not None
    assert process.pid not in {each.pid for each in sample.processes}
    # Driver 580's NVML maps libcuda.so and opens nvidia-uvm by itself: neither is a context. A context is a process
    # on the GPU and takes hundreds of MiB of its memory.
    used = [gpu.memory_used_bytes for gpu in sample.gpus]
    assert sample.processes or all(isinstance(cell, int) and cell < CONTEXT_BYTES for cell in used)


def test_a_program_is_seen_with_its_memory_user_and_command(sampler: Sampler, program: int) -> None:
    def seen() -> object:
        sample = sampler.latest()[1]
        rows = [p for p in sample.processes if p.pid == program and isinstance(p.user, str)] if sample else []
        return rows[0] if rows else None

    row = until(seen)
    memory = row.gpu_memory_bytes  # type: ignore[attr-defined]
    assert isinstance(memory, Absent) or memory >= 256 << 20
    assert "torch.ones" in row.command  # type: ignore[attr-defined]
    assert row.user  # type: ignore[attr-defined]


def test_ticks_are_cheap_and_come_at_the_rate_that_was_asked(sampler: Sampler) -> None:
    samples: dict[int, Sample] = {}

    def enough() -> bool:
        revision, sample = sampler.latest()
        if sample is not None:
            samples[revision] = sample
        return len(samples) >= 25

    until(enough)
    ordered = [samples[revision] for revision in sorted(samples)][1:]
    gaps = [(b.m_ns - a.m_ns) / 1e6 for a, b in pairwise(ordered)]
    costs = [sample.cost_ms for sample in ordered]
    print(f"\n gap {statistics.median(gaps):.1f} ms, cost {statistics.median(costs):.3f} ms, most {max(costs):.3f} ms")
    assert all(gap > 0 for gap in gaps)
    assert all(cost > 0 for cost in costs)
    assert all(gpu.state == "ok" for sample in ordered for gpu in sample.gpus)


def test_the_child_ends_when_it_is_no_longer_wanted() -> None:
    running = Sampler()
    running.start()
    until(lambda: running.latest()[0] >= 1)
    process = running._process
    assert process is not None
    running.stop()
    until(lambda: process.returncode is not None or not os.path.exists(f"/proc/{process.pid}"))
