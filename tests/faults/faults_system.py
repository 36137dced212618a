"""Faults of folders, shared memory and cores: mounts of their own in a namespace, trees that stand for /sys."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fault import Change, Fault, State, customised, in_memory, mounted, setting, write

from torchprobes.model import Verdict

TRIALS = (pytest.mark.trials,)
_DEGRADED, _FAIL, _UNSURE = Verdict.DEGRADED, Verdict.FAIL, Verdict.UNSURE

# --- folders ---------------------------------------------------------------------------------------------------------

ROOMY = "size=64g,nr_inodes=1m,mode=1777"
"""A file system in memory with room for everything; it takes none until something is written."""

PLACES = ("home", "tmp", "models")


def folders(user: Callable[[Path], Mapping[str, str]] = lambda _: {}, **options: str) -> Change:
    """Each of PLACES and /dev/shm is a file system of its own, roomy but for the options that are named."""

    def change(folder: Path) -> State:
        mounts = [in_memory(folder / name, options.get(name, ROOMY)) for name in PLACES]
        mounts.append(in_memory("/dev/shm", options.get("shm", "size=2g")))
        environ = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "HF_HOME": str(folder / "models")}
        clean = {"TORCH_HOME": "", "XDG_CACHE_HOME": ""}
        told = user(folder)
        kept = {name: value for name, value in told.items() if not name.endswith("_CACHE_DIR")}
        caches = {name: value for name, value in told.items() if name.endswith("_CACHE_DIR")}
        return State(environ={**clean, **environ, **kept}, user=caches, through=mounted(*mounts))

    return change


def _elsewhere(**names: str) -> Callable[[Path], Mapping[str, str]]:
    """Variables that name a folder below the fault's own."""
    return lambda folder: {name: str(folder / below) for name, below in names.items()}


_CACHES = {"TORCHINDUCTOR_CACHE_DIR": "models/inductor", "TRITON_CACHE_DIR": "models/triton"}
_MODELS = {"TORCH_HOME": "tmp/torch", "HF_HOME": "tmp/huggingface"}

DISK = (
    Fault("read-only HOME", "system.disk", "TD-SYS-022", _FAIL, folders(home=ROOMY + ",ro"),
          folders(_elsewhere(HOME="models/me"), home=ROOMY + ",ro"), "export HOME=<writable folder>"),
    Fault("read-only TMPDIR", "system.disk", "TD-SYS-022", _FAIL, folders(tmp=ROOMY + ",ro"),
          folders(_elsewhere(TMPDIR="models"), tmp=ROOMY + ",ro"), "TMPDIR="),
    Fault("read-only folder of models", "system.disk", "TD-SYS-023", _DEGRADED, folders(models=ROOMY + ",ro"),
          folders(_elsewhere(**_MODELS), models=ROOMY + ",ro"), "HF_HOME="),
    Fault("a full TMPDIR", "system.disk", "TD-SYS-024", _DEGRADED, folders(tmp="size=1m,mode=1777"),
          folders(_elsewhere(TMPDIR="models"), tmp="size=1m,mode=1777"), "TMPDIR"),
    Fault("no inodes left in TMPDIR", "system.disk", "TD-SYS-025", _DEGRADED,
          folders(tmp="size=64g,nr_inodes=50,mode=1777"),
          folders(_elsewhere(TMPDIR="models"), tmp="size=64g,nr_inodes=50,mode=1777"), "TMPDIR"),
    Fault("noexec TMPDIR", "system.disk", "TD-SYS-026", _FAIL, folders(tmp=ROOMY + ",noexec"),
          folders(_elsewhere(**_CACHES), tmp=ROOMY + ",noexec"), "export TORCHINDUCTOR_CACHE_DIR="),
    Fault("a relative cache directory", "system.disk", "TD-SYS-021", _UNSURE,
          folders(lambda _: {"TORCHINDUCTOR_CACHE_DIR": "cache/inductor"}), folders(), "absolute"),
    Fault("/dev/shm of 64 MB", "system.disk", "TD-DTL-006", _DEGRADED, folders(shm="size=64m"),
          folders(shm="size=16g"), "--shm-size=16g"),
)  # fmt: skip

# --- cores -----------------------------------------------------------------------------------------------------------


_CORES = len(os.sched_getaffinity(0))


def _tree(files: Mapping[str, str]) -> Change:
    """A machine of which /proc and /sys say this."""

    def change(folder: Path) -> State:
        for name, text in files.items():
            write(folder / "root" / name, text)
        environ = {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), "CUDA_VISIBLE_DEVICES": ""}
        return State(environ=environ, params={"root": str(folder / "root")})

    return change


def _governed(governor: str) -> Change:
    here = f"sys/devices/system/cpu/cpu{min(os.sched_getaffinity(0))}/cpufreq"
    return _tree({f"{here}/scaling_governor": governor + "\n", f"{here}/scaling_driver": "acpi-cpufreq\n"})


_BUS = "0000:ca:00.0"


def _gpu_beside(cores: str) -> Change:
    return _tree({
        f"proc/driver/nvidia/gpus/{_BUS}/information": "GPU UUID: \t GPU-7\nDevice Minor: 7\n",
        "dev/nvidia7": "",
        f"sys/bus/pci/devices/{_BUS}/numa_node": "1\n",
        f"sys/bus/pci/devices/{_BUS}/local_cpulist": cores + "\n",
    })  # fmt: skip


def _unset_visible(change: Change) -> Change:
    def both(folder: Path) -> State:
        state = change(folder)
        return State(environ={**state.environ, "CUDA_VISIBLE_DEVICES": "0"}, params=state.params)

    return both


def _quota(threads: float) -> Change:
    """A control group that allows half of the cores, and as many threads as that share of them."""

    def change(folder: Path) -> State:
        state = _tree({
            "proc/self/cgroup": "0::/pod\n",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
            "sys/fs/cgroup/pod/cpu.max": f"{_CORES * 50000} 100000\n",
        })(folder)  # fmt: skip
        return State(environ={"OMP_NUM_THREADS": str(int(threads * _CORES))}, params=state.params)

    return change


_EIGHT = "import os\nos.sched_getaffinity = lambda pid: set(range(8))\n"
"""This machine may have fewer than the four cores from which one thread counts as few."""


def _one_thread(folder: Path) -> State:
    return State(environ={"OMP_NUM_THREADS": "1", **customised(folder, _EIGHT)})


CORES = (
    Fault("a quota of half the cores", "system.cpu", "TD-SYS-001", _DEGRADED, _quota(1), _quota(0.5),
          "export OMP_NUM_THREADS=$(nproc)    # or the quota in cores", TRIALS),
    Fault("OMP_NUM_THREADS=1 on eight cores", "system.cpu", "TD-SYS-002", _DEGRADED, _one_thread, setting(),
          "unset OMP_NUM_THREADS", TRIALS),
    Fault("ATEN_CPU_CAPABILITY=default", "system.cpu", "TD-SYS-006", _DEGRADED, setting(ATEN_CPU_CAPABILITY="default"),
          setting(), "unset ATEN_CPU_CAPABILITY"),
    Fault("cores at a low clock", "system.cpu", "TD-SYS-005", _DEGRADED, _governed("powersave"),
          _governed("performance"), "cpupower frequency-set -g performance", TRIALS),
    Fault("cores far from the GPU", "system.cpu", "TD-SYS-003", _DEGRADED, _unset_visible(_gpu_beside("4096-4127")),
          _unset_visible(_gpu_beside("0-4095")), "numactl --cpunodebind=NODE", TRIALS),
)  # fmt: skip

FAULTS = DISK + CORES
