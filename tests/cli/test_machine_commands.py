"""`status`, `gpus` and `snapshot`: documents with all keys, and exit codes by what the rules find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_process import torchdoctor

from torchdoctor.cli import run
from torchdoctor.commands import _look, machine
from torchprobes.cells import Absent, CellState
from torchprobes.model import Machine
from torchprobes.samples import GpuSample, HostSample, ProcessSample, Sample

LOST = Absent(state=CellState.LOST, why="GPU is lost", code=15)


def gpu(index: int = 0, **cells: Any) -> GpuSample:
    sound = {
        "name": "NVIDIA H100", "utilization_percent": 3, "memory_used_bytes": 1 << 20, "memory_total_bytes": 1 << 36,
        "power_w": 80.0, "power_limit_w": 700.0, "temperature_c": 40, "throttle_reasons": 0,
    }  # fmt: skip
    return GpuSample(index=index, uuid=f"GPU-{index}", bus_id=f"0000:0{index}:00.0", **{**sound, **cells})


def sample(*gpus: GpuSample, state: str = "ok", **fields: Any) -> Sample:
    host = HostSample(
        host="node7", cores=8, shm_used_bytes=0, shm_total_bytes=1 << 36, memory_used_bytes=1 << 30, load_1m=0.1,
        memory_total_bytes=1 << 37, cpu_percent=1.0, swap_used_bytes=0, swap_total_bytes=0,
    )  # fmt: skip
    base = Sample(t_ns=1, m_ns=1, driver="550.54", cuda="12.4", driver_state=state, gpus=gpus, processes=(), host=host)
    return msgspec.structs.replace(base, **fields)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Sample]:
    """The sample that the commands take: put one in."""
    box: list[Sample] = []
    described = Machine(host="node7", boot_id="", kernel="", arch="", os="", cpu="", cores=8, memory_bytes=1)
    monkeypatch.setattr(_look, "take_sample", lambda *_, **__: box[0])
    monkeypatch.setattr(machine, "describe_machine", lambda _: described)
    monkeypatch.setattr(machine, "describe_node", lambda *_: described)
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return box


@pytest.mark.parametrize("command", [["gpus"], ["gpus", "--json"], ["status"], ["snapshot", "--json"]], ids=" ".join)
@pytest.mark.parametrize(
    ("taken", "code"),
    [
        (sample(state="no NVIDIA GPU on this machine"), 0),
        (sample(gpu()), 0),
        (sample(state="no driver answers", hardware=2), 1),
        (sample(gpu(state="lost", utilization_percent=LOST, memory_used_bytes=LOST, temperature_c=LOST)), 1),
    ],
    ids=["no GPU", "one sound", "hardware without driver", "one lost"],
)
def test_exit_codes(command: list[str], taken: Sample, code: int, seen: list[Sample]) -> None:
    seen.append(taken)
    assert run(command) == code


def test_gpus_json_has_every_key_and_says_why_a_cell_is_absent(
    seen: list[Sample], capfd: pytest.CaptureFixture[str]
) -> None:
    process = ProcessSample(pid=7, gpu_uuid="GPU-0", command="python train.py")
    seen.append(sample(gpu(power_w=LOST), processes=(process,)))
    run(["gpus", "--json"])
    document = json.loads(capfd.readouterr().out)
    assert {"schema", "driver", "gpus", "processes", "host", "findings", "verdict"} <= document.keys()
    (row,) = document["gpus"]
    assert row.keys() == set(GpuSample.__struct_fields__)
    assert row["power_w"] == {"state": "lost", "why": "GPU is lost", "code": 15, "age_s": None}
    assert row["memory_total_bytes"] == 1 << 36
    assert document["processes"][0].keys() == set(ProcessSample.__struct_fields__)
    assert document["host"].keys() == set(HostSample.__struct_fields__)


@pytest.mark.parametrize(
    ("taken", "verdict"),
    [
        (sample(state="no NVIDIA GPU on this machine"), "skip"),
        (sample(gpu()), "pass"),
        (sample(gpu(utilization_percent=LOST, memory_used_bytes=LOST)), "unsure"),
        (sample(state="no driver answers", hardware=2), "fail"),
    ],
)
def test_a_gpu_that_does_not_answer_is_never_a_pass(
    taken: Sample, verdict: str, seen: list[Sample], capfd: pytest.CaptureFixture[str]
) -> None:
    seen.append(taken)
    run(["gpus", "--json"])
    document = json.loads(capfd.readouterr().out)
    assert document["verdict"] == verdict
    assert "safe" not in document["line"]


def test_processes_and_findings_are_told_and_cannot_style_the_terminal(
    seen: list[Sample], capfd: pytest.CaptureFixture[str]
) -> None:
    process = ProcessSample(pid=7, gpu_uuid="GPU-0", user="root", command="python --token hunter2 \x1b[2J")
    seen.append(sample(gpu(), processes=(process,)))
    run(["gpus"])
    said = capfd.readouterr().out
    assert "pid 7  memory not told  root  python --token *** \\x1b[2J" in said
    assert "\x1b" not in said


def test_here_for_real_snapshot_tells_machine_sample_and_target(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "snapshot", "--json")
    document = json.loads(said.out)
    assert document.keys() == {
        "schema", "torchdoctor", "taken", "machine", "sample", "target", "findings", "verdict", "line", "jobs",
        "redaction",
    }  # fmt: skip
    assert document["redaction"].startswith("internal: ")
    assert document["machine"]["cores"] > 0
    assert document["target"]["chosen"]["torch"]
    assert any(row["torch"] for row in document["target"]["candidates"])
    assert said.code in (0, 1, 3)
    assert said.err == ""
    assert not (tmp_path / "state" / "runs").exists()


def test_a_target_that_cannot_be_used_is_one_line_and_2(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "status", "--python", str(tmp_path / "none"))
    assert (said.code, str(tmp_path / "none") in said.one_line()) == (2, True)
