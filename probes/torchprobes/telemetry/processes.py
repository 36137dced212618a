"""Who holds a GPU: the processes that NVML names, as this node's /proc knows them. Runs in the sampler child."""

from __future__ import annotations

from typing import Any

import psutil

from ..model import Absent, Cell, CellState, ProcessSample

MAX_COMMAND = 400


def describe(process: Any, gpu_uuid: str, kind: str) -> ProcessSample:
    """One process of NVML's list; one of another pid namespace stays, with its pid and that reason."""
    memory = getattr(process, "usedGpuMemory", None)
    user, command = _who(int(process.pid))
    return ProcessSample(
        pid=int(process.pid),
        gpu_uuid=gpu_uuid,
        gpu_memory_bytes=_MEMORY if memory is None else int(memory),
        kind=kind,
        user=user,
        command=command,
    )


_MEMORY = Absent(state=CellState.NOT_SUPPORTED, why="the driver does not say how much memory a process holds")


def _who(pid: int) -> tuple[Cell, Cell]:
    try:
        process = psutil.Process(pid)
        words = process.cmdline() or [f"[{process.name()}]"]
        return process.username(), " ".join(words)[:MAX_COMMAND]
    except psutil.AccessDenied:
        cell = Absent(state=CellState.PERMISSION, why="another user's process")
    except (psutil.Error, OSError):
        cell = Absent(state=CellState.ERROR, why=f"pid {pid} is in another namespace, or has just ended")
    return cell, cell
