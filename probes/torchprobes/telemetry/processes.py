"""Who holds a GPU: the processes that NVML names, as this node's /proc knows them. Runs in the sampler child.

Names are read in a thread of their own: the command line of a process that is stuck in the kernel, and a user's name
on a directory server that is gone, can block for ever, and must not be taken for a driver that does not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import msgspec
import psutil

from ..samples import UNREAD, Absent, Cell, CellState, ProcessSample

MAX_COMMAND = 400
AGAIN_S = 10.0
"""After so long a pid is looked up again: it may be another process by then."""

_MEMORY = Absent(state=CellState.NOT_SUPPORTED, why="the driver does not say how much memory a process holds")


def describe(process: Any, gpu_uuid: str, kind: str) -> ProcessSample:
    """One process of NVML's list, without its names; one of another pid namespace is never left out."""
    memory = getattr(process, "usedGpuMemory", None)
    size: Cell = _MEMORY if memory is None else int(memory)
    return ProcessSample(pid=int(process.pid), gpu_uuid=gpu_uuid, gpu_memory_bytes=size, kind=kind)


class Names:
    """User and command of the pids that were asked for. No method waits but `wait`."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, Cell, Cell]] = {}
        self._wanted: set[int] = set()
        self._lock = threading.Condition()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="names of processes", daemon=True).start()

    def want(self, pids: Iterable[int]) -> None:
        """Look these up, those that are not known or were looked up too long ago."""
        now = time.monotonic()
        with self._lock:
            self._wanted.update(pid for pid in pids if now - self._known.get(pid, (float("-inf"),))[0] > AGAIN_S)
            self._lock.notify_all()

    def fill(self, processes: tuple[ProcessSample, ...]) -> tuple[ProcessSample, ...]:
        """The processes with their names, as far as those are known by now."""
        known = self._known
        rows = [(process, known.get(process.pid, (0.0, UNREAD, UNREAD))) for process in processes]
        return tuple(
            msgspec.structs.replace(process, user=user, command=command) for process, (_, user, command) in rows
        )

    def wait(self, seconds: float) -> None:
        """Wait until everything that was asked for is known, at most so long."""
        with self._lock:
            self._lock.wait_for(lambda: not self._wanted, seconds)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: bool(self._wanted))
                pid = next(iter(self._wanted))
            user, command = _who(pid)
            with self._lock:
                now = time.monotonic()
                kept = {old: row for old, row in self._known.items() if now - row[0] < 3 * AGAIN_S}
                self._known = {**kept, pid: (now, user, command)}
                self._wanted.discard(pid)
                self._lock.notify_all()


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
