"""Slurm jobs and pods of a node, as a tree of files tells of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from torchprobes import child
from torchprobes.environment.allocations import CHECKPOINT, allocations
from torchprobes.runner import allocations as runner

POD = "1b2c3d4e-aaaa-bbbb-cccc-0123456789ab"
V1 = "11:devices:/slurm/uid_1000/job_{}/step_0/task_0\n"
V2 = "0::/system.slice/slurmstepd.scope/job_{}/step_0/user/task_0\n"
KUBE = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-0123.scope\n"


class Node:
    """A /proc and a kubelet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process("self", "0::/user.slice\n")

    def process(self, pid: str, cgroup: str, **environ: str) -> None:
        folder = self.root / "proc" / pid
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup").write_text(cgroup)
        (folder / "environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in environ.items()))

    def kubelet(self, *entries: object) -> None:
        path = self.root / CHECKPOINT.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"Data": {"PodDeviceEntries": list(entries)}}))

    def told(self) -> dict[str, object]:
        return allocations(str(self.root))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("group", [V1, V2])
def test_a_job_is_told_with_the_gpus_of_its_environment(node: Node, group: str) -> None:
    node.process("10", group.format(7), SLURM_JOB_ID="7", SLURM_JOB_GPUS="0,3")
    found = node.told()
    assert found["jobs"] == {"7": {"user": f"uid {os.getuid()}", "gpus": [0, 3]}}


def test_one_process_that_may_be_read_is_enough_and_without_one_nobody_knows(node: Node) -> None:
    node.process("10", V2.format(7))
    node.process("11", V2.format(7), SLURM_JOB_ID="7", SLURM_STEP_GPUS="2")
    node.process("12", V2.format(8))
    (node.root / "proc/12/environ").unlink()
    node.process("13", V2.format(9), SLURM_JOB_ID="9")
    jobs = node.told()["jobs"]
    assert isinstance(jobs, dict)
    assert {job: told["gpus"] for job, told in jobs.items()} == {"7": [2], "8": None, "9": []}


def test_our_own_job_is_nobody_elses(node: Node) -> None:
    node.process("self", V2.format(7), SLURM_JOB_ID="7", SLURM_JOB_GPUS="1")
    node.process("10", V2.format(7), SLURM_JOB_ID="7", SLURM_JOB_GPUS="1")
    assert node.told() == {"jobs": {}, "pods": {}, "own": [1]}


def test_a_pod_has_the_gpus_of_the_kubelets_checkpoint_as_long_as_it_lives(node: Node) -> None:
    node.kubelet(
        {"PodUID": POD, "ResourceName": "nvidia.com/gpu", "DeviceIDs": {"0": ["GPU-aa", "MIG-bb"]}},
        {"PodUID": POD, "ResourceName": "example.com/nic", "DeviceIDs": {"0": ["mlx5_0"]}},
        {"PodUID": "0" * 8 + "-dead", "ResourceName": "nvidia.com/gpu", "DeviceIDs": {"0": ["GPU-cc"]}},
    )
    assert node.told()["pods"] == {}, "its processes are gone: the kubelet forgets late"
    node.process("10", KUBE.format(POD.replace("-", "_")))
    assert node.told()["pods"] == {POD: ["GPU-aa", "MIG-bb"]}
    node.process("self", KUBE.format(POD.replace("-", "_")))
    assert node.told()["pods"] == {}, "it is ours"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"Data": 1}', '{"Data": {"PodDeviceEntries": null}}'])
def test_a_broken_checkpoint_tells_of_nobody(node: Node, text: str) -> None:
    node.kubelet()
    (node.root / CHECKPOINT.lstrip("/")).write_text(text)
    assert node.told()["pods"] == {}


def test_this_node_answers_and_a_child_that_does_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runner.read()._unread == ""

    def hung(*_: object) -> None:
        raise child.Hung("no answer")

    monkeypatch.setattr(child, "ask", hung)
    assert runner.read()._unread == "no answer in 3 s"
