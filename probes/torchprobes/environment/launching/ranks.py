"""GPUs of this node, and ranks without a launcher that hold them. Standard library only.

A rank is a process with RANK and WORLD_SIZE in its environment. torchrun that is killed leaves its ranks running:
they go to the nearest reaper, keep their GPUs, and wait in a collective or train on (measured: as long as watched).
"""

from __future__ import annotations

import os
import re

from .. import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_RANKS = 256
MOST_FILES = 2048
_DEVICE = re.compile(r"/dev/(?:nvidia\d+|kfd|dri/renderD\d+|accel\d*)$")
_REAPERS = frozenset(
    {"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "runit", "containerd-shim",
     "containerd-shim-runc-v2", "conmon"}
)  # fmt: skip
"""Names of programs that take in orphans; pid 1 is one whatever its name."""

_LAUNCHER = re.compile(r"torchrun|torch[./]distributed|accelerate|deepspeed|horovod|mpirun|orted|srun|slurmstepd|ray")


def gpus() -> list[str]:
    """Bus ids of the GPUs whose driver is loaded, [] if there is none."""
    try:
        return sorted(os.listdir("/proc/driver/nvidia/gpus"))
    except FileNotFoundError:
        return []


def orphans() -> list[dict[str, Any]]:
    """Ranks whose launcher is gone: rank, world, run, pid, started, user, command, and the GPU files that they hold."""
    rows = []
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
        try:
            row = _orphan(pid)
        except (OSError, ValueError):
            continue
        if row is not None:
            rows.append(row)
        if len(rows) == MOST_RANKS:
            break
    return rows


def _orphan(pid: int) -> dict[str, Any] | None:
    if not _takes_in_orphans(process.parent(pid)):
        return None
    raw = process.read_file(f"/proc/{pid}/environ").decode(errors="replace")
    environ = {name: value for name, _, value in (row.partition("=") for row in raw.split("\0"))}
    if not (environ.get("RANK", "").isdigit() and environ.get("WORLD_SIZE", "").isdigit()):
        return None
    return {
        "rank": int(environ["RANK"]),
        "world": int(environ["WORLD_SIZE"]),
        "run": environ.get("TORCHELASTIC_RUN_ID", ""),
        "pid": pid,
        "started": process.ticks(pid),
        "user": process.user(str(os.stat(f"/proc/{pid}").st_uid)),
        "command": process.command(pid),
        "devices": _devices(pid),
    }


def _takes_in_orphans(parent: int) -> bool:
    """Whether a parent is one that a process gets when its own is gone, and no launcher itself."""
    if parent < 1:
        return False
    try:
        name = process.name(parent)
        if parent != 1 and name not in _REAPERS:
            return False
        return not _LAUNCHER.search(process.command(parent))
    except OSError:
        return parent == 1


def _devices(pid: int) -> list[str]:
    found = set()
    try:
        for file in os.listdir(f"/proc/{pid}/fd")[:MOST_FILES]:
            link = os.readlink(f"/proc/{pid}/fd/{file}")
            if _DEVICE.match(link):
                found.add(link)
    except OSError:
        return sorted(found)
    return sorted(found)
