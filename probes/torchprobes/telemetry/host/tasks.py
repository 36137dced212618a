"""One look at all processes: who is a zombie, who waits in the kernel, and whether NVIDIA's daemons run."""

from __future__ import annotations

import os
from itertools import islice
from typing import Final, NamedTuple

from ...cells import Absent, Cell, CellState
from .files import Cells, Roots, Unexpected, text

MAX_PROCESSES: Final = 1 << 16
CELLS: Final = ("zombies", "uninterruptible", "fabric_manager", "persistence_daemon")

DAEMONS: Final = {
    "fabric_manager": ("nv-fabricmanage", "nvidia-fabricma"),
    "persistence_daemon": ("nvidia-persiste",),
}
"""Cell -> names of the daemon, as the kernel cuts them (15 bytes)."""

_HOST_NAMESPACE: Final = "pid:[4026531836]"
"""PROC_PID_INIT_INO (include/linux/proc_ns.h): the first pid namespace, in which every process is seen."""

_STARTED: Final = 19
"""Where the start time stands, counted from the state."""

_HIDDEN: Final = Absent(state=CellState.PERMISSION, why="the host's processes cannot be seen from this pid namespace")


class Process(NamedTuple):
    """One process: its number and start time make it unmistakable."""

    pid: str
    started: str
    name: str
    state: str


class Tasks:
    """States and names of all processes that can be seen (proc_pid_stat(5)); threads are not looked at.

    On a busy node somebody always waits for a disk. So of two looks in a row, who waits in both counts.
    """

    def __init__(self, roots: Roots) -> None:
        self._proc = roots.proc
        self._waiting: set[tuple[str, str]] | None = None

    def read(self) -> Cells:
        """The cells of CELLS.

        Raises:
            OSError: if /proc cannot be listed.
            Unexpected: if there is no process, or too many to count.
        """
        found = _processes(self._proc)
        if not found:
            raise Unexpected(f"{self._proc} shows no process")
        waiting = {(one.pid, one.started) for one in found if one.state == "D"}
        still = waiting if self._waiting is None else waiting & self._waiting
        self._waiting = waiting
        there = {one.name for one in found}
        absent: Cell = 0 if _sees_host(self._proc) else _HIDDEN
        daemons = {cell: absent if there.isdisjoint(names) else 1 for cell, names in DAEMONS.items()}
        return {"zombies": sum(one.state == "Z" for one in found), "uninterruptible": len(still), **daemons}


def _processes(proc: str) -> list[Process]:
    """All processes; one that ended meanwhile or is hidden is left out."""
    with os.scandir(proc) as found:
        pids = [entry.name for entry in islice(found, 2 * MAX_PROCESSES) if entry.name.isdigit()]
    if len(pids) > MAX_PROCESSES:
        raise Unexpected(f"more than {MAX_PROCESSES} processes: they are not counted")
    processes = []
    for pid in pids:
        try:
            line = text(f"{proc}/{pid}/stat", 512)
        except OSError:
            continue
        head, _, tail = line.rpartition(") ")  # a name may hold anything, ")" too
        fields = tail.split(" ", _STARTED + 1)
        started = fields[_STARTED] if len(fields) > _STARTED else ""
        processes.append(Process(pid, started, head.partition(" (")[2], fields[0][:1]))
    return processes


def _sees_host(proc: str) -> bool:
    """Whether the processes of the host are there to be seen: its pid namespace, and no hidepid= on its /proc."""
    try:
        text(f"{proc}/1/stat", 16)
        return os.readlink(f"{proc}/self/ns/pid") == _HOST_NAMESPACE
    except OSError:
        return False
