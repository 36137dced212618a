"""What this user may have here of shared memory, files, locked memory and tasks. Standard library only."""

from __future__ import annotations

import os
import resource

from ..process import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHM = "/dev/shm"  # noqa: S108 - its room is what is asked for
MOST_TASKS = 1 << 20

_LIMITS = {"memlock": resource.RLIMIT_MEMLOCK, "nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
CAP_IPC_LOCK, CAP_SYS_RESOURCE, CAP_SYS_ADMIN = 14, 24, 21


def shared_memory() -> dict[str, int]:
    """Bytes of /dev/shm, and those that an ordinary user may still take."""
    room = os.statvfs(SHM)
    return {"total": room.f_frsize * room.f_blocks, "free": room.f_frsize * room.f_bavail}


def limits() -> dict[str, int | None]:
    """Soft limits of this process, which has them from the one that asked and gives them to the ranks; None: none.

    A limit that a capability lifts is none: locked memory for CAP_IPC_LOCK, tasks for CAP_SYS_RESOURCE or -ADMIN.
    """
    held = _capabilities()
    lifted = {"memlock": {CAP_IPC_LOCK}, "nproc": {CAP_SYS_RESOURCE, CAP_SYS_ADMIN}, "nofile": set()}
    found: dict[str, int | None] = {}
    for name, which in _LIMITS.items():
        soft, _ = resource.getrlimit(which)
        found[name] = None if soft == resource.RLIM_INFINITY or lifted[name] & held else soft
    return found


def _capabilities() -> set[int]:
    mask = int(_field("CapEff") or "0", 16)
    return {bit for bit in range(64) if mask >> bit & 1}


def _field(name: str, pid: str = "self") -> str:
    for line in read_file(f"/proc/{pid}/status", 1 << 14).decode(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def tasks() -> dict[str, Any]:
    """Tasks (threads) of this user, and those of this process's control groups with their limits.

    `groups` has a row for each group from ours to the root that limits them: its path, how many, and how many may be.
    """
    return {"own": _own_tasks(), "groups": _groups()}


def _own_tasks() -> int:
    uid, found = str(os.getuid()), 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if _field("Uid", pid).split()[:1] == [uid]:
                found += int(_field("Threads", pid) or "1")
        except OSError:
            continue
        if found > MOST_TASKS:
            break
    return found


def _groups() -> list[dict[str, Any]]:
    rows = []
    for folder in _folders():
        try:
            most, now = (read_file(f"{folder}/pids.{name}", 64).split()[0] for name in ("max", "current"))
        except (OSError, IndexError):
            continue
        if most.isdigit() and now.isdigit():
            rows.append({"path": folder, "now": int(now), "most": int(most)})
    return rows


def _folders() -> list[str]:
    """Our group of the pids controller and those above it, in version 2 and version 1 (cgroups(7))."""
    found = []
    for line in read_file("/proc/self/cgroup", 1 << 14).decode(errors="replace").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        root = "/sys/fs/cgroup" + ("" if number == "0" and not controllers else "/pids")
        if number != "0" and "pids" not in controllers.split(","):
            continue
        while path not in ("", "/"):
            found.append(root + path)
            path = os.path.dirname(path)
        found.append(root)
    return found
