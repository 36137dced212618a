"""The host's side of a sample. Runs in the sampler child."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import psutil

from ..samples import Absent, Cell, CellState, HostSample


def _cell(read: Callable[[], Cell]) -> Cell:
    try:
        return read()
    except (OSError, psutil.Error, RuntimeError) as error:
        return Absent(state=CellState.ERROR, why=str(error) or type(error).__name__)


def _shm(total: bool) -> int:
    info = os.statvfs("/dev/shm")  # noqa: S108 - its size is what is asked for
    blocks = info.f_blocks if total else info.f_blocks - info.f_bfree
    return blocks * info.f_frsize


READINGS: dict[str, Callable[[], Cell]] = {
    "cpu_percent": lambda: psutil.cpu_percent(None),
    "load_1m": lambda: round(os.getloadavg()[0], 2),
    "memory_used_bytes": lambda: psutil.virtual_memory().total - psutil.virtual_memory().available,
    "memory_total_bytes": lambda: psutil.virtual_memory().total,
    "swap_used_bytes": lambda: psutil.swap_memory().used,
    "swap_total_bytes": lambda: psutil.swap_memory().total,
    "shm_used_bytes": lambda: _shm(total=False),
    "shm_total_bytes": lambda: _shm(total=True),
}


def read() -> HostSample:
    """One reading of the host."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0
    cells: dict[str, Any] = {name: _cell(one) for name, one in READINGS.items()}
    return HostSample(host=socket.gethostname(), cores=cores, **cells)
