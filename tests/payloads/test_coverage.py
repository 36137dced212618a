"""Coverage read from traces: what is inside compiled code counts, on the host and on the device."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from payload_modules import load


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, "coverage")


def span(name: str, ts: float, dur: float, cat: str = "user_annotation", tid: int = 1, **args: Any) -> dict[str, Any]:
    return {"ph": "X", "name": name, "ts": ts, "dur": dur, "cat": cat, "pid": 7, "tid": tid, "args": args}


def step(ts: float = 0, dur: float = 100) -> dict[str, Any]:
    return span("torchdoctor.step", ts, dur)


def test_nested_and_doubled_spans_count_once(coverage: ModuleType) -> None:
    events = [
        step(),
        span("torchdoctor compiled region", 10, 40),
        span("Torch-Compiled Region: 0/0", 5, 50),
        span("## Call CompiledFxGraph abc ##", 12, 30),
        span("aten::mm", 60, 30, "cpu_op"),
    ]
    found = coverage.Coverage(events)
    assert (found.steps, found.device) == (1, None)
    assert found.share == found.host == pytest.approx(0.5)
    assert found.eager == pytest.approx(0.3)


def test_what_lies_outside_of_a_step_does_not_count(coverage: ModuleType) -> None:
    events = [step(100, 100), span("torchdoctor compiled region", 0, 150)]
    assert coverage.Coverage(events).host == pytest.approx(0.5)


def test_a_backward_in_autograds_thread_counts(coverage: ModuleType) -> None:
    events = [
        step(),
        span("torchdoctor compiled region", 0, 40),
        span("CompiledFunctionBackward", 50, 40, "cpu_op", tid=2),
    ]
    assert coverage.Coverage(events).host == pytest.approx(0.8)


def test_a_kernel_belongs_to_the_call_that_launched_it(coverage: ModuleType) -> None:
    events = [
        step(),
        span("torchdoctor compiled region", 10, 20),
        span("cudaLaunchKernel", 12, 2, "cuda_runtime", correlation=1),
        span("cudaLaunchKernel", 40, 2, "cuda_runtime", correlation=2),
        span("triton_poi_fused", 500, 30, "kernel", tid=99, correlation=1),
        span("elementwise", 530, 10, "kernel", tid=99, correlation=2),
        span("torchdoctor compiled region", 500, 30, "gpu_user_annotation", tid=99),
    ]
    found = coverage.Coverage(events)
    assert found.share == found.device == pytest.approx(0.75)
    assert found.eager == pytest.approx(0.25)


def test_all_kernels_of_a_replayed_graph_share_its_launch(coverage: ModuleType) -> None:
    kernels = [span("k", 200 + i, 1, "kernel", tid=99, correlation=5) for i in range(8)]
    events = [step(), span("Torch-Compiled Region: 0/0", 0, 20), span("cudaGraphLaunch", 5, 2, "cuda_runtime",
              correlation=5), *kernels]  # fmt: skip
    assert coverage.Coverage(events).device == 1.0


@pytest.mark.parametrize("events", [[], [{"ph": "M"}], [span("torchdoctor compiled region", 0, 5)]])
def test_nothing_read_is_no_share(coverage: ModuleType, events: list[dict[str, Any]]) -> None:
    found = coverage.Coverage(events)
    assert (found.share, found.host, found.device, found.steps) == (None, None, None, 0)
