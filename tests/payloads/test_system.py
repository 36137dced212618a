"""system.cpu on trees of its own, system.disk on real folders: a dead mount, a full one, and a read-only home."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from payload_modules import load
from payload_process import Said, run_payload

from torchprobes.model import Verdict


def facts(said: Said) -> dict[str, object]:
    return {f.name: f.value for f in said.readings.facts}


def tree(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


NEAR, FAR = "0000:1b:00.0", "0000:ca:00.0"


def gpu(bus: str, minor: int, node: int, cores: str) -> dict[str, str]:
    return {
        f"proc/driver/nvidia/gpus/{bus}/information": f"GPU UUID: \t GPU-{minor}\nDevice Minor: {minor}\n",
        f"dev/nvidia{minor}": "",
        f"sys/bus/pci/devices/{bus}/numa_node": f"{node}\n",
        f"sys/bus/pci/devices/{bus}/local_cpulist": f"{cores}\n",
    }


def test_a_quota_and_a_far_gpu_are_seen_and_the_threads_are_too_many(tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("LOUD: one core; more threads than cores cannot be had")
    here = min(os.sched_getaffinity(0))
    root = tree(
        tmp_path / "root",
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
            "sys/fs/cgroup/pod/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/pod/cpu.stat": "usage_usec 1\nnr_periods 900\nnr_throttled 450\nthrottled_usec 9\n",
            "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            "proc/cpuinfo": "processor : 0\nflags : fpu avx avx2\n",
            f"sys/devices/system/cpu/cpu{here}/cpufreq/scaling_governor": "powersave\n",
            f"sys/devices/system/cpu/cpu{here}/cpufreq/scaling_driver": "acpi-cpufreq\n",
            **gpu(FAR, 7, 1, "4096-4127"),
        },
    )
    said = run_payload(
        tmp_path / "run",
        "system.cpu",
        environ={"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": ""},
        more={"params": {"root": root}},
    )
    told = facts(said)
    assert (told["cpu.quota"], told["torch.threads"], told["cpu.vector"]) == (0.5, 2, "avx2")
    assert said.readings.number("allowed_cores") == 0.5
    assert said.readings.number("throttled_share") == 0.5
    assert told[f"gpu.{FAR}.near"] is False
    gain = said.readings.figure("fewer_threads_speedup")
    assert gain is not None
    assert (gain.labels, gain.n >= 30) == ({"threads": "2", "fewer": "1"}, True)
    assert set(said.ids) == {"TD-SYS-001", "TD-SYS-003", "TD-SYS-005", "TD-SYS-007"}
    assert said.judgement.verdict is Verdict.DEGRADED
    assert "the quota of /sys/fs/cgroup/pod allows 0.5 cores" in said.judgement.reason


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The payload in this process; `told` holds its facts, `figures` its figures."""
    module: Any = load(monkeypatch, "cpu", "measure")
    module.told, module.figures = {}, {}
    monkeypatch.setattr(module.kit, "fact", lambda name, value, evidence="": module.told.update({name: value}))
    monkeypatch.setattr(module.kit, "figure", lambda name, value, unit, **_: module.figures.update({name: value}))
    return module


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/a/b/cpu.max": "250000 100000"}, 2.5),
        (
            {"sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000"},
            4.0,
        ),
        ({"sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1"}, None),
        ({"sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/cpu.max": "\0\xff junk"}, None),
    ],
)
def test_a_quota_of_either_version_is_read(
    cpu: Any, tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/a/b\n0::/a/b\n", **files})
    assert cpu.tell_quota(root) == quota
    assert cpu.told["cpu.quota"] == (quota or (None if "junk" in "".join(files.values()) else "none"))


def test_a_group_outside_of_the_namespace_leads_to_the_root_of_the_mount(cpu: Any, tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cgroup.controllers": "", "sys/fs/cgroup/cpu.max": "300000 100000"}
    assert cpu.tell_quota(tree(tmp_path, {"proc/self/cgroup": "0::/../../other\n", **files})) == 3.0


def test_only_gpus_that_can_be_seen_are_told(cpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {**gpu(NEAR, 0, 0, "0-3,8"), **gpu(FAR, 1, 1, "4-7"), **gpu("0000:dd:00.0", 2, -1, "")})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cpu._tell_gpus(root, {2, 8})
    assert cpu.told == {f"gpu.{NEAR}.near": True, f"gpu.{FAR}.near": False, "gpu.0000:dd:00.0.near": None}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    assert cpu._visible_gpus(root) == [FAR]
    (tmp_path / "dev/nvidia1").unlink()
    assert cpu._visible_gpus(root) == []


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-2,5", {0, 1, 2, 5}), ("7\n", {7}), ("", set()), ("a-b", set()), ("1-999999999", set())]
)
def test_lists_of_cores(cpu: Any, text: str, numbers: set[int]) -> None:
    assert cpu._numbers(text) == numbers
    if numbers:
        assert cpu._numbers(cpu._ranges(sorted(numbers))) == numbers


# --- folders -------------------------------------------------------------------------------------------------------


def disk(tmp_path: Path, environ: dict[str, str], **user: str) -> Said:
    clean = {"HF_HOME": "", "TORCH_HOME": "", "XDG_CACHE_HOME": "", "TMPDIR": "", **environ}
    return run_payload(
        tmp_path / "run", "system.disk", environ=clean, more={"user_environ": user, "params": {"deadline_s": 1.0}}
    )


def test_the_users_folders_are_looked_at_and_not_those_of_the_probe(tmp_path: Path) -> None:
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    said = disk(tmp_path, {"HOME": str(home), "HF_HOME": "/proc/nowhere"}, TRITON_CACHE_DIR=str(cache))
    told = {f.name: f.evidence for f in said.readings.facts}
    assert told["disk.triton_cache.kind"] == f"{cache} (TRITON_CACHE_DIR), not made yet: {tmp_path} is"
    assert told["disk.inductor_cache.state"].startswith("/tmp/torchinductor_")
    assert told["disk.torch_home.state"] == f"{home}/.cache/torch (default)"
    assert facts(said)["disk.home.writable"] is True
    assert list(home.iterdir()) == []
    assert not cache.exists()
    assert "TD-SYS-023" in said.ids  # nothing can be made in /proc
    assert "/proc/nowhere (HF_HOME)" in next(f.seen for f in said.judgement.findings if f.id == "TD-SYS-023")


def test_a_dead_mount_is_hung_and_hides_no_other(tmp_path: Path, dead_mount: Path) -> None:
    said = disk(tmp_path, {"HF_HOME": str(dead_mount / "models")})
    told = facts(said)
    assert told["disk.hf_home.state"] == "hung"
    assert told["disk.tmp.state"] == "read"
    assert said.judgement.verdict is Verdict.FAIL
    assert f"no answer in time from {dead_mount}/models (HF_HOME)" in said.judgement.reason


@pytest.fixture
def small_mount(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 1 MiB, noexec, that is made read-only at the end of the test."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,noexec,nr_inodes=50", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"LOUD: no tmpfs can be mounted here: {done.stderr.decode()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_small_noexec_cache_and_a_read_only_home_are_told(tmp_path: Path, small_mount: Path) -> None:
    said = disk(tmp_path, {}, TORCHINDUCTOR_CACHE_DIR=str(small_mount / "inductor"))
    assert said.ids[0] == "TD-SYS-026"
    assert {"TD-SYS-024", "TD-SYS-025", "TD-SYS-026"} <= set(said.ids)
    assert said.judgement.verdict is Verdict.FAIL
    subprocess.run(["mount", "-o", "remount,ro", str(small_mount)], check=True)
    said = run_payload(tmp_path / "again", "system.disk", environ={"HOME": str(small_mount)})
    seen = next(f.seen for f in said.judgement.findings if f.id == "TD-SYS-022")
    assert f"{small_mount} (HOME): its file system is read-only" in seen


def test_a_relative_folder_is_unsure(tmp_path: Path) -> None:
    said = disk(tmp_path, {}, TORCHINDUCTOR_CACHE_DIR="somewhere/below")
    assert said.judgement.verdict is Verdict.UNSURE
    assert said.ids[0] == "TD-SYS-021"
