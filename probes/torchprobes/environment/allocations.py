"""Who was given GPUs of this node, working on them or not: Slurm's jobs, Kubernetes' pods. Standard library only.

A batch system gives whole GPUs; between two programs of a job nobody's process is on them, and they are not free.
Slurm tells its jobs the GPUs (SLURM_JOB_GPUS) in an environment that only its owner and root may read; that the job is
there, everybody sees in its cgroup. The kubelet keeps the devices of its pods in a checkpoint that root may read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_BYTES = 4 << 20
CHECKPOINT = "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"

_SLURM = re.compile(r"slurm[^/\n]{0,64}(?:/uid_\d{1,10})?/job_(\d{1,12})")
_POD = re.compile(r"pod([0-9a-f]{8}[0-9a-f_-]{20,30}[0-9a-f])")
_GPUS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "GPU_DEVICE_ORDINAL")


def allocations(root: str = "/") -> dict[str, Any]:
    """Jobs and pods that are not the asker's.

    `jobs`: job -> {"user", "gpus": indices, or None where nobody lets us read them}; `pods`: pod -> UUIDs; `own`: the
    indices that this process's own job was given.
    """
    groups = _groups(root)
    mine = groups.get("self", "")
    jobs: dict[str, dict[str, Any]] = {}
    for pid, text in groups.items():
        job = _found(_SLURM, text)
        if job and job != _found(_SLURM, mine) and _gpus_unknown(jobs.get(job)):
            jobs[job] = {"user": _user(root, pid), "gpus": _told(root, pid)}
    pods = {_pod(text) for text in groups.values()} - {"", _pod(mine)}
    return {"jobs": jobs, "pods": _pod_devices(root, pods), "own": _told(root, "self") or []}


def _pod(text: str) -> str:
    return _found(_POD, text).replace("_", "-")


def _gpus_unknown(job: dict[str, Any] | None) -> bool:
    return job is None or job["gpus"] is None


def _groups(root: str) -> dict[str, str]:
    """Pid -> its cgroups, for all that may be read."""
    found = {}
    for pid in ["self", *filter(str.isdigit, os.listdir(os.path.join(root, "proc")))]:
        try:
            found[pid] = _read(os.path.join(root, "proc", pid, "cgroup"), 1 << 14)
        except OSError:
            continue
    return found


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _told(root: str, pid: str) -> list[int] | None:
    """The GPUs that a job's process was told; None where its environment cannot be read or names none."""
    try:
        rows = _read(os.path.join(root, "proc", pid, "environ"), MOST_BYTES).split("\0")
    except OSError:
        return None
    environment = {name: value for name, _, value in (row.partition("=") for row in rows)}
    named = next((environment[name] for name in _GPUS if environment.get(name)), None)
    if named is None:
        return [] if "SLURM_JOB_ID" in environment else None  # a job without GPUs, or a process that was told nothing
    return [int(word) for word in re.findall(r"\d{1,4}", named)]


def _user(root: str, pid: str) -> str:
    try:
        return f"uid {os.stat(os.path.join(root, 'proc', pid)).st_uid}"
    except OSError:
        return "user unknown"


def _pod_devices(root: str, alive: set[str]) -> dict[str, list[str]]:
    """Pod -> UUIDs of its GPUs, of pods that have a process: the kubelet forgets ended ones late."""
    try:
        entries = json.loads(_read(root.rstrip("/") + CHECKPOINT, MOST_BYTES))["Data"]["PodDeviceEntries"] or []
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    found: dict[str, list[str]] = {}
    for entry in entries:
        pod = str(entry.get("PodUID", ""))
        if pod in alive:
            found.setdefault(pod, []).extend(re.findall(r"(?:GPU|MIG)-[\w-]{1,64}", json.dumps(entry.get("DeviceIDs"))))
    return {pod: uuids for pod, uuids in found.items() if uuids}


def _read(path: str, most: int) -> str:
    with open(path, "rb") as file:
        return file.read(most).decode(errors="replace")


ANSWERS: dict[str, Callable[..., Any]] = {"allocations": allocations}
