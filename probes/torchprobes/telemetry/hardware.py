"""Which NVIDIA GPUs the kernel shows, whether a driver answers or not. Reads /sys, /dev, /proc and /run only.

A container sees the whole node's bus and is given some of its device files or none; a Slurm step sees all device
files and may use those of its job. Neither is a fault of the node.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from ..cells import Absent, Cell, CellState

NVIDIA = "0x10de"
AGAIN_S = 30.0
"""So long a count holds: a large node has hundreds of devices on its bus, each two files to read."""

CONTAINER_MARKS = (".dockerenv", "run/.containerenv", ".singularity.d", "var/run/secrets/kubernetes.io")

DISPLAY_CLASSES = ("0x0300", "0x0302")
"""VGA and 3D controllers (PCI class codes); an NVSwitch is a bridge and does not count."""


GIVEN_AWAY = frozenset({"vfio-pci", "pci-stub", "xen-pciback", "nouveau"})
"""Kernel drivers of a GPU that was given to a virtual machine, or to another driver: NVIDIA's need not show it."""


def pci_gpus(root: Path = Path("/sys/bus/pci/devices")) -> tuple[str, ...]:
    """Bus ids of the NVIDIA GPUs on the PCI bus that were not given away."""
    found = []
    for device in _entries(root):
        vendor, kind = _read(device / "vendor"), _read(device / "class")
        if vendor == NVIDIA and kind.startswith(DISPLAY_CLASSES) and _bound_to(device) not in GIVEN_AWAY:
            found.append(device.name)
    return tuple(sorted(found))


def _bound_to(device: Path) -> str:
    """The kernel driver of a device, "" for none."""
    try:
        return os.path.basename(os.readlink(device / "driver"))
    except OSError:
        return ""


def device_nodes(root: Path = Path("/dev")) -> tuple[str, ...]:
    """The device files of GPUs, `/dev/nvidia0` and so on."""
    return tuple(sorted(str(p) for p in _entries(root) if re.fullmatch(r"nvidia\d+", p.name)))


def in_container(root: Path = Path("/")) -> bool:
    """Whether this process lives in a container, by the marks that runtimes leave."""
    if any((root / mark).exists() for mark in CONTAINER_MARKS):
        return True
    return bool(re.search(r"docker|kubepods|containerd|libpod|lxc", _read(root / "proc/self/cgroup")))


def given(environ: Mapping[str, str]) -> int | None:
    """How many GPUs a Slurm step or job was given, None outside of one (srun(1), SLURM_JOB_GPUS)."""
    listed = environ.get("SLURM_STEP_GPUS") or environ.get("SLURM_JOB_GPUS")
    return len(listed.split(",")) if listed else None


def usable(bus: int, nodes: int, container: bool, slurm: int | None) -> int:
    """How many GPUs this process should see, of those on the bus and those with a device file."""
    there = nodes if container else max(bus, nodes)
    return there if slurm is None else min(there, slurm)


def in_slurm_step(root: Path = Path("/")) -> bool:
    """Whether this process lives in a Slurm job's control group, where a shell that was adopted has no variables."""
    return bool(re.search(r"/slurm\S*/job_\d+|slurmstepd\.scope/job_\d+", _read(root / "proc/self/cgroup")))


def count(root: Path = Path("/")) -> int:
    """NVIDIA GPUs that a driver should show to this process. The kernel is asked once in AGAIN_S."""
    return _count(root, int(time.monotonic() // AGAIN_S))


def kernel_module(root: Path = Path("/")) -> Cell:
    """The version of NVIDIA's kernel module, as the module itself says it."""
    text = _read(root / "sys/module/nvidia/version") or _version_line(_read(root / "proc/driver/nvidia/version"))
    return text[:40] or Absent(state=CellState.NOT_SUPPORTED, why="no NVIDIA kernel module is loaded")


def _version_line(text: str) -> str:
    """`NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue …` -> its version."""
    found = re.search(r"^NVRM version:.*?\s(\d+\.\d+(?:\.\d+)?)\b", text, re.MULTILINE)
    return found.group(1) if found else ""


def none_here() -> str:
    """Why there is no GPU for this process, in words."""
    bus = len(pci_gpus())
    if bus and in_container():
        return f"no NVIDIA GPU was given to this container (the node has {bus}): start it with --gpus all"
    return "no NVIDIA GPU on this machine"


@functools.lru_cache(maxsize=1)
def _count(root: Path, _interval: int) -> int:
    bus, nodes = pci_gpus(root / "sys/bus/pci/devices"), device_nodes(root / "dev")
    return usable(len(bus), len(nodes), in_container(root), given(os.environ))


def _entries(root: Path) -> list[Path]:
    try:
        return list(root.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
