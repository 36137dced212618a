"""What this process and this machine may have of files, tasks and locked memory; and what the environment says."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Final

from ...cells import Absent, Cell, CellState
from ...masking import mask_text
from .files import Cells, Roots, Unexpected, cell, number, whole, words

LIMITS: Final = (
    ("memlock_limit_bytes", resource.RLIMIT_MEMLOCK),
    ("open_files_limit", resource.RLIMIT_NOFILE),
    ("processes_limit", resource.RLIMIT_NPROC),
)

ENVIRONMENT_FAULTS: Final = (
    "NSIGHT_CUDA_DEBUGGER", "CUDA_INJECTION32_PATH", "CUDA_INJECTION64_PATH", "CUDA_AUTO_BOOST",
    "CUDA_ENABLE_COREDUMP_ON_EXCEPTION", "CUDA_COREDUMP_FILE", "CUDA_DEVICE_WAITS_ON_EXCEPTION", "CUDA_PROFILE",
    "COMPUTE_PROFILE", "OPENCL_PROFILE",
)  # fmt: skip
"""DCGM's list (nvvs, Software.cpp, checkForBadEnvVaribles). DCGM objects to a variable that exists; we let one pass
that says off, for that is how a person switches it off."""

_OFF: Final = frozenset({"", "0", "false", "no", "off"})
MAX_VISIBLE: Final = 4096
"""Enough for the UUIDs of every MIG device of a node."""

NOT_SET: Final = "not set"


def limits() -> Cells:
    """Soft limits of this process, which it has from who started it."""
    return {name: cell(lambda which=which: _limit(which)) for name, which in LIMITS}  # type: ignore[misc]


def _limit(which: int) -> Cell:
    soft, _hard = resource.getrlimit(which)
    return "unlimited" if soft == resource.RLIM_INFINITY else soft


def open_files(roots: Roots) -> Cells:
    """Open files on the machine and how many there may be (proc_sys_fs(5), file-nr: allocated, free, most)."""
    path = f"{roots.proc}/sys/fs/file-nr"
    parts = words(path).split()
    if len(parts) != 3:
        raise Unexpected(f"{path} says {' '.join(parts)[:40]!r} instead of three numbers")
    allocated, free, most = (whole(part, path) for part in parts)
    return {"files_open": max(0, allocated - free), "files_max": most}


def most_tasks(roots: Roots) -> Cells:
    """How many tasks there may be: the smaller of the highest pid and the kernel's limit of threads."""
    kernel = f"{roots.proc}/sys/kernel"
    return {"tasks_max": min(number(f"{kernel}/pid_max"), number(f"{kernel}/threads-max"))}


def environment(environ: Mapping[str, str]) -> Cells:
    """Variables that slow programs down, by name only, and which GPUs are visible."""
    faults = [name for name in ENVIRONMENT_FAULTS if environ.get(name, "").strip().lower() not in _OFF]
    return {"environment_faults": ", ".join(faults), "visible_devices": _visible(environ.get("CUDA_VISIBLE_DEVICES"))}


def _visible(value: str | None) -> Cell:
    """What may not be cut: a rule looks each entry up."""
    if value is None:
        return NOT_SET
    if len(value) > MAX_VISIBLE:
        return Absent(state=CellState.ERROR, why=f"CUDA_VISIBLE_DEVICES holds {len(value)} characters")
    return mask_text(value)
