"""The arithmetic behind the figures: pairs, intervals, and what a trace counts. No torch, no clock."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import pytest
from payload_process import PAYLOADS


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a payload's helper as the bootstrap does."""

    def _load(stem: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location("torchdoctor_" + stem, PAYLOADS / f"{stem}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    _load("kit")
    return _load


def test_the_interval_holds_the_ratio_and_is_narrow_for_steady_pairs(load: Any) -> None:
    pairs = load("measure").Paired([2.0, 2.1, 1.9, 2.0] * 10, [1.0, 1.1, 0.9, 1.0] * 10, median)
    value, low, high = pairs.speedup()
    assert value == 2.0
    assert 1.8 < low <= 2.0 <= high < 2.3


def test_a_disturbed_neighbour_widens_the_interval_of_medians_but_not_of_minima(load: Any) -> None:
    measure = load("measure")
    eager = [2.0 if turn % 2 else 20.0 for turn in range(40)]
    compiled = [1.0 if turn % 3 else 15.0 for turn in range(40)]
    _, low, high = measure.Paired(eager, compiled, median).speedup()
    assert high - low > 1
    value, low, high = measure.Paired(eager, compiled, min).speedup()
    assert (value, low, high) == (2.0, 2.0, 2.0)


def test_pairs_are_taken_in_turns_and_stop_when_the_interval_is_narrow(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = load("measure")
    order: list[str] = []
    monkeypatch.setattr(measure, "_sample", lambda wait, step, calls: step() or 0.5)
    where = type("Device", (), {"type": "cpu"})()
    pairs = measure.paired(where, lambda: None, lambda: order.append("e"), lambda: order.append("c"), 1e9)
    assert len(pairs.eager) == len(pairs.compiled) == 40
    assert order[1:9] == ["c", "e", "e", "c"] * 2  # the first call of all only sizes the samples


def event(name: str, category: str, start: float, length: float) -> dict[str, object]:
    return {"ph": "X", "name": name, "cat": category, "ts": start, "dur": length}


def test_a_trace_counts_launches_a_step_and_the_devices_busy_time_once(load: Any) -> None:
    trace = load("witness").Trace(
        [
            event("cudaGraphLaunch", "cuda_runtime", 0, 5),
            event("cudaGraphLaunch", "cuda_runtime", 50, 5),
            event("cudaLaunchKernelExC", "cuda_runtime", 10, 5),
            event("cuLaunchKernel", "cuda_driver", 60, 5),
            event("gemm", "kernel", 10, 20),
            event("relu", "kernel", 20, 20),
            event("Memcpy DtoD", "gpu_memcpy", 100, 10),
            event("Torch-Compiled Region: 0/0", "cpu_op", 0, 40),
        ],
        2,
    )
    assert (trace.device_seen, trace.graph_launches, trace.kernel_launches, trace.kernels) == (True, 1, 1, 1)
    assert (trace.busy_us, trace.regions) == (20, 0.5)


def test_a_trace_without_driver_calls_says_so(load: Any) -> None:
    assert load("witness").Trace([event("aten::mm", "cpu_op", 0, 5)], 1).device_seen is False


def test_a_helper_process_says_neither_start_nor_end(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = load("kit")
    request = {"probe": "t.t", "artifacts": str(tmp_path), "helper": True, "params": {"role": "warm"}}
    (tmp_path / "request.json").write_text(json.dumps(request))
    (tmp_path / "events").mkdir()
    monkeypatch.setenv("TORCHDOCTOR_REQUEST", str(tmp_path / "request.json"))
    monkeypatch.setenv("TORCHDOCTOR_EVENTS", str(tmp_path / "events"))
    kit.open_events()
    kit.main(lambda request: kit.fact("role", request.params["role"]))
    (file,) = (tmp_path / "events").iterdir()
    assert [json.loads(line)["ev"] for line in file.read_text().splitlines()] == ["fact"]
