"""Memory, swap, /dev/shm and what the kernel killed for want of memory."""

from __future__ import annotations

import os
from typing import Final

from ...cells import Absent, Cell, CellState
from .files import Cells, Kept, Roots, Unexpected, pairs, text, whole

_MEMINFO: Final = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
_HEAD_BYTES: Final = 1024
"""Where those four stand (since Linux 3.14); the rest of the file is longer."""


class Memory:
    """Memory that cannot be had without swapping, and swap (proc_meminfo(5))."""

    def __init__(self, roots: Roots) -> None:
        self._file = Kept(f"{roots.proc}/meminfo")

    def read(self) -> Cells:
        """The cells of memory and swap."""
        found = pairs(self._file.text(_HEAD_BYTES))
        total, available, swap, swap_free = (_kib(found, name, self._file.path) for name in _MEMINFO)
        return {
            "memory_total_bytes": total,
            "memory_used_bytes": _less(total, available),
            "swap_total_bytes": swap,
            "swap_used_bytes": _less(swap, swap_free),
        }


def _kib(found: dict[str, str], name: str, path: str) -> Cell:
    if name not in found:
        return Absent(state=CellState.NOT_SUPPORTED, why=f"{path} has no {name}")
    return whole(found[name], path) << 10


def _less(total: Cell, free: Cell) -> Cell:
    """Total less free; in a container that fakes the one and not the other, free can be more."""
    if isinstance(total, int) and isinstance(free, int):
        if free > total:
            return Absent(state=CellState.ERROR, why=f"more free ({free >> 20} MiB) than there is ({total >> 20} MiB)")
        return total - free
    return total if isinstance(total, Absent) else free


def oom_kills(roots: Roots) -> Cells:
    """Processes that the kernel killed for want of memory since boot (Linux 4.13)."""
    path = f"{roots.proc}/vmstat"
    count = pairs(text(path)).get("oom_kill")
    return {} if count is None else {"oom_kills": whole(count, path)}


def sizes(path: str) -> tuple[int, int]:
    """Bytes used, and used or still to be had by an ordinary user, of the file system on which a path lies.

    Raises:
        OSError: from statvfs(2), which waits for ever on a mount whose server is gone.
        Unexpected: if it does not say its size.
    """
    info = os.statvfs(path)
    if info.f_blocks <= 0:
        raise Unexpected(f"the file system at {path} does not say its size")
    used = (info.f_blocks - info.f_bfree) * info.f_frsize
    return used, used + info.f_bavail * info.f_frsize


def shared_memory(roots: Roots) -> Cells:
    """Shared memory, through which the workers of a DataLoader and NCCL pass their data."""
    path = f"{roots.dev}/shm"
    used, total = sizes(path)
    return {"shm_used_bytes": used, "shm_total_bytes": total}
