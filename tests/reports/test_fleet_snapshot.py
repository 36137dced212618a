"""A snapshot as a report: its numbers, and nothing that was not read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from report_material import MACHINE, TARGET, finding

from torchprobes.cells import Absent, CellState
from torchprobes.model import Severity, Verdict
from torchprobes.reports.fleet.snapshot_report import report_of
from torchprobes.rundir import RunError
from torchprobes.samples import DiskSample, GpuSample, HostSample, PortSample, Sample

LOST = Absent(state=CellState.LOST, why="GPU is lost", code=15)
HOST = HostSample(
    host="node7", cores=8, load_1m=0.5, uptime_s=9.0, zombies=0, memory_used_bytes=1 << 30,
    disks=(DiskSample(path="/", used_bytes=1, total_bytes=2),),
    ports=(PortSample(device="mlx5_0", port=1, rate_gbits_per_s=400, link_downed=3),),
)  # fmt: skip


def gpu(index: int = 0, **cells: Any) -> GpuSample:
    sound = {
        "name": "NVIDIA H100", "utilization_percent": 3, "memory_used_bytes": 1 << 20, "power_w": 80.0,
        "power_limit_w": 700.0, "temperature_c": 40, "throttle_reasons": 4, "sm_clock_max_mhz": 1980,
        "compute_capability": "9.0", "minor_number": 0, "energy_j": 1e9,
    }  # fmt: skip
    return GpuSample(index=index, uuid=f"GPU-{index}", bus_id=f"0000:0{index}:00.0", **{**sound, **cells})


def snapshot(*gpus: GpuSample, state: str = "ok", severities: tuple[Severity, ...] = (), **fields: Any) -> Any:
    sample = Sample(
        t_ns=1, m_ns=1, driver="550.54", cuda="12.4", driver_state=state, gpus=gpus, processes=(), host=HOST
    )
    document = {
        "schema": 1, "torchdoctor": "0.1.0", "taken": "2026-01-02T03:04:05Z", "machine": MACHINE, "sample": sample,
        "target": {"chosen": TARGET, "candidates": [], "why": "--python"}, "line": "looked",
        "findings": [finding(severity) for severity in severities], "verdict": "pass", "jobs": None, **fields,
    }  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(document))


def test_every_number_is_a_figure_with_its_unit_and_gpu_and_every_other_cell_is_none() -> None:
    report = report_of(snapshot(gpu(0), gpu(1, power_w=LOST)))
    (result,) = report.results
    told = {(each.name, each.labels.get("gpu")): (each.value, each.unit, each.n) for each in result.figures}
    assert told["power_w", "0"] == (80.0, "W", 1)
    assert ("power_w", "1") not in told
    assert told["memory_used_bytes", "1"] == (float(1 << 20), "B", 1)
    assert told["memory_used_bytes", None] == (float(1 << 30), "B", 1)
    assert told["sm_clock_max_mhz", "0"] == (1980.0, "MHz", 1)
    assert told["temperature_c", "0"] == (40.0, "°C", 1)
    assert told["zombies", None] == (0.0, "", 1)
    assert {name for name, _ in told}.isdisjoint(
        {"throttle_reasons", "minor_number", "energy_j", "name", "cpu_percent"}
    )
    port = next(each for each in result.figures if each.name == "port_link_downed")
    assert (port.value, port.labels) == (3.0, {"port": "mlx5_0/1"})
    assert any("GPU 1: lost: GPU is lost (power_w)" in each.text for each in result.evidence)
    assert [fact.value for fact in result.facts if fact.name == "gpu0_clocks_held_by"] == ["power limit"]


def test_what_the_report_is_and_whose() -> None:
    report = report_of(snapshot(gpu(0), gpu(1)))
    assert (report.tier, report.started, report.torchdoctor) == ("snapshot", "2026-01-02T03:04:05Z", "0.1.0")
    assert [(one.name, one.group) for one in report.results] == [("telemetry", "telemetry")]
    assert (report.machine.driver, [each["name"] for each in report.machine.gpus]) == ("550.54", ["NVIDIA H100"] * 2)
    assert report.target == TARGET
    assert report.findings == ()


@pytest.mark.parametrize(
    ("gpus", "state", "severities", "verdict"),
    [
        ((gpu(),), "ok", (), Verdict.PASS),
        ((gpu(),), "ok", (Severity.INFO,), Verdict.PASS),
        ((gpu(),), "ok", (Severity.INFO, Severity.WARNING), Verdict.DEGRADED),
        ((gpu(),), "ok", (Severity.WARNING, Severity.CRITICAL), Verdict.FAIL),
        ((gpu(utilization_percent=LOST, memory_used_bytes=LOST),), "ok", (), Verdict.UNSURE),
        ((), "hung: the driver gave no answer in 2.5 s", (), Verdict.UNSURE),
        ((), "no NVIDIA GPU on this machine", (), Verdict.PASS),
        ((), "no NVIDIA GPU on this machine", (Severity.WARNING,), Verdict.DEGRADED),
    ],
)
def test_the_verdict_comes_of_the_findings(
    gpus: tuple[GpuSample, ...], state: str, severities: tuple[Severity, ...], verdict: Verdict
) -> None:
    report = report_of(snapshot(*gpus, state=state, severities=severities))
    assert (report.verdict, report.results[0].verdict) == (verdict, verdict)
    assert [each.severity for each in report.results[0].findings] == list(severities)


def test_a_node_without_torch_is_a_report_that_says_so() -> None:
    report = report_of(snapshot(gpu(), target={"chosen": None, "candidates": [], "why": "no interpreter has torch"}))
    assert (report.target.torch, report.target.refusal) == (None, "no interpreter has torch")


def test_an_inventory_that_was_never_taken_is_unread_and_not_empty() -> None:
    document = snapshot(gpu())
    assert "" not in report_of(document).machine.inventory.unread
    del document["machine"]["inventory"]
    assert "took no inventory" in report_of(document).machine.inventory.unread[""]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"schema": 99}, "schema 99"), ({"sample": 7}, "no snapshot"), ({"machine": None}, "no snapshot"),
     ({"findings": [{"id": 3}]}, "no snapshot"), ({"schema": None}, "no snapshot")],
)  # fmt: skip
def test_what_is_no_snapshot_is_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words) as caught:
        report_of({**snapshot(gpu()), **change})
    assert "\n" not in str(caught.value)
