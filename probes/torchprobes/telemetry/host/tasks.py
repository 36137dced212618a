"""One look at all processes: who is a zombie, who waits in the kernel, and whether NVIDIA's daemons run."""

from __future__ import annotations

import os
from itertools import islice
from typing import Final

from ...samples import Absent, Cell, CellState
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

_HIDDEN: Final = Absent(state=CellState.PERMISSION, why="the host's processes cannot be seen from this pid namespace")


def look(roots: Roots) -> Cells:
    """States and names of all processes that can be seen (proc_pid_stat(5)); threads are not looked at.

    Raises:
        OSError: if /proc cannot be listed.
        Unexpected: if there are too many processes to count.
    """
    states: dict[str, int] = {}
    running = dict.fromkeys(DAEMONS, 0)
    count = 0
    for name, state in _processes(roots.proc):
        count += 1
        states[state] = states.get(state, 0) + 1
        for cell, names in DAEMONS.items():
            if name in names:
                running[cell] = 1
    if not count:
        raise Unexpected(f"{roots.proc} shows no process")
    seen = _sees_host(roots.proc)
    daemons: dict[str, Cell] = {cell: 1 if found else (0 if seen else _HIDDEN) for cell, found in running.items()}
    return {"zombies": states.get("Z", 0), "uninterruptible": states.get("D", 0), **daemons}


def _processes(proc: str) -> list[tuple[str, str]]:
    """Name and state of each process; one that ended meanwhile or is hidden is left out."""
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
        processes.append((head.partition(" (")[2], tail[:1]))
    return processes


def _sees_host(proc: str) -> bool:
    """Whether the processes of the host are there to be seen: its pid namespace, and no hidepid= on its /proc."""
    try:
        text(f"{proc}/1/stat", 16)
        return os.readlink(f"{proc}/self/ns/pid") == _HOST_NAMESPACE
    except OSError:
        return False
