"""A container or a Slurm step that was given some of a node's GPUs is not a node that lost the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torchprobes.telemetry import hardware
from torchprobes.telemetry.hardware import given, in_container, usable


@pytest.mark.parametrize(
    ("bus", "nodes", "container", "slurm", "expected"),
    [
        (8, 8, False, None, 8),
        (8, 0, False, None, 8),  # a bare node whose driver was never loaded
        (0, 1, False, None, 1),  # a device file without a bus: WSL, a virtual machine
        (8, 0, True, None, 0),  # a container without GPUs on a GPU node
        (8, 2, True, None, 2),
        (8, 8, False, 1, 1),
        (4, 2, True, 8, 2),
    ],
)
def test_what_this_process_should_see(bus: int, nodes: int, container: bool, slurm: int | None, expected: int) -> None:
    assert usable(bus, nodes, container, slurm) == expected


def test_a_slurm_step_says_more_than_its_job() -> None:
    assert given({}) is None
    assert given({"SLURM_JOB_GPUS": "0,1,2,3"}) == 4
    assert given({"SLURM_JOB_GPUS": "0,1,2,3", "SLURM_STEP_GPUS": "2"}) == 1


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv", ".singularity.d/env.sh"])
def test_a_container_is_known_by_the_marks_of_its_runtime(tmp_path: Path, mark: str) -> None:
    assert not in_container(tmp_path)
    (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mark).touch()
    assert in_container(tmp_path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-1a.scope", True),
        ("12:devices:/docker/0a1b", True),
        ("0::/system.slice/slurmstepd.scope/job_12/step_0", False),
        ("0::/user.slice", False),
    ],
)
def test_a_container_is_known_by_its_control_group(tmp_path: Path, line: str, expected: bool) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(line + "\n")
    assert in_container(tmp_path) is expected


@pytest.mark.parametrize(
    ("bus", "container", "words"),
    [
        (8, True, r"given to this container .the node has 8.*--gpus all"),
        (0, True, "on this machine"),
        (0, False, "machine"),
    ],
)
def test_why_there_is_none_is_told(monkeypatch: pytest.MonkeyPatch, bus: int, container: bool, words: str) -> None:
    monkeypatch.setattr(hardware, "pci_gpus", lambda: ("x",) * bus)
    monkeypatch.setattr(hardware, "in_container", lambda: container)
    assert re.search(words, hardware.none_here())
