"""Questions about one process, answered in the inspector child from /proc. Standard library only.

Reading the command line or the environment of a process waits for its memory lock, which a process that is stuck in
the kernel may hold: each item is answered by itself. Secrets are masked here and never leave the child.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable

from ..masking import mask_environment, mask_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_BYTES = 256 << 10
MOST_COMMAND = 8 << 10
MOST_FAMILY = 200
"""Relatives that are told; a process with more children has a fork bomb, not a tree."""

LIMITS = ("Max locked memory", "Max open files", "Max processes", "Max stack size", "Max core file size")
"""Limits that break training when they are small: pinned memory, sockets and workers."""

_GONE = "it has ended, or it is of another pid namespace"
_OTHER = "another process has this pid by now"


def process(pid: int, started: int | None) -> dict[str, Callable[[], Any]]:
    """Each item about the process `pid` that was started at `started` (clock ticks after boot; None: any)."""
    items: dict[str, Callable[[int], Any]] = {
        "status": _status,
        "command": command,
        "cgroup": cgroup,
        "limits": _limits,
        "family": _family,
        "environment": _environment,
    }
    return {name: lambda read=read: of_the_same(pid, started, read) for name, read in items.items()}  # type: ignore[misc]


def of_the_same(pid: int, started: int | None, read: Callable[[int], Any]) -> Any:
    """What `read` finds, if the pid is still that process before and after."""
    try:
        _check(pid, started)
        found = read(pid)
        _check(pid, started)
    except OSError as error:
        raise LookupError(words(error)) from error
    return found


def _check(pid: int, started: int | None) -> None:
    if ticks(pid) != started and started is not None:
        raise LookupError(_OTHER)


def words(error: OSError) -> str:
    """Why something about a process could not be read."""
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return _GONE
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied: it belongs to another user, and only root may read it"
    return error.strerror or str(error)


def read_file(path: str, most: int = MOST_BYTES) -> bytes:
    """The first `most` bytes of a file of the kernel's."""
    with open(path, "rb", buffering=0) as file:
        parts, left = [], most
        while left > 0 and (part := file.read(left)):
            parts.append(part)
            left -= len(part)
    return b"".join(parts)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from `state` on (proc(5)); a name may hold anything, even `)`."""
    return read_file(f"/proc/{pid}/stat").decode(errors="replace").rpartition(")")[2].split()


def ticks(pid: int) -> int:
    """When it was started, in clock ticks after boot."""
    return int(_stat(pid)[19])


def parent(pid: int) -> int:
    """The process that it belongs to, 0 for none in this namespace."""
    return int(_stat(pid)[1])


def _status(pid: int) -> dict[str, str]:
    text = read_file(f"/proc/{pid}/status").decode(errors="replace")
    rows = {name: value for name, _, value in (line.partition(":") for line in text.splitlines())}
    fields = {name: " ".join(rows.get(key, "").split()) for name, key in _STATUS.items()}
    fields["user"] = user(fields.pop("uids"))
    return {name: value for name, value in fields.items() if value}


_STATUS = {
    "name": "Name", "state": "State", "uids": "Uid", "threads": "Threads", "resident": "VmRSS", "peak": "VmHWM",
    "locked": "VmLck", "pinned": "VmPin", "swapped": "VmSwap", "cores": "Cpus_allowed_list",
    "memory nodes": "Mems_allowed_list", "pids": "NSpid",
}  # fmt: skip
"""Our name of a field -> that of /proc/PID/status."""


def user(uids: str) -> str:
    """The first of some uids in words."""
    uid = int(uids.split()[0])
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def command(pid: int) -> str:
    """Its command line, secrets masked; its name in brackets where it has none."""
    arguments = read_file(f"/proc/{pid}/cmdline", MOST_COMMAND).decode(errors="replace").rstrip("\0").split("\0")
    return mask_text(" ".join(arguments)) or f"[{name(pid)}]"


def name(pid: int) -> str:
    """What it calls itself, at most 15 characters."""
    return read_file(f"/proc/{pid}/comm").decode(errors="replace").strip()


def _environment(pid: int) -> dict[str, Any]:
    """What it was started with, secrets masked; and whether there was more than is told."""
    raw = read_file(f"/proc/{pid}/environ", MOST_BYTES + 1)
    rows = [row.partition("=") for row in raw[:MOST_BYTES].decode(errors="replace").split("\0") if "=" in row]
    masked = mask_environment({name: value for name, _, value in rows})
    return {"variables": dict(sorted(masked.items())), "cut": len(raw) > MOST_BYTES}


def cgroup(pid: int) -> list[str]:
    """Its control groups, a line a hierarchy."""
    return read_file(f"/proc/{pid}/cgroup").decode(errors="replace").splitlines()


def _limits(pid: int) -> dict[str, list[str]]:
    """Limit -> [soft, hard, unit]."""
    text = read_file(f"/proc/{pid}/limits").decode(errors="replace")
    found = {name: row for row in text.splitlines() for name in LIMITS if row.startswith(name)}
    return {name: row[len(name) :].split() for name, row in found.items()}


def _family(pid: int) -> list[dict[str, Any]]:
    """Its parents from the eldest on, itself, and its descendants, each with its depth below the eldest."""
    above = _parents(pid)
    rows = [{**_relative(parent), "depth": depth} for depth, parent in enumerate(above)]
    pending = [(pid, len(above))]
    while pending and len(rows) < MOST_FAMILY:
        one, depth = pending.pop(0)
        rows.append({**_relative(one), "depth": depth})
        pending = [(child, depth + 1) for child in _children(one)] + pending
    return rows


def _relative(pid: int) -> dict[str, Any]:
    try:
        return {"pid": pid, "name": name(pid), "state": _stat(pid)[0]}
    except OSError as error:
        return {"pid": pid, "name": words(error), "state": ""}


def _parents(pid: int) -> list[int]:
    found: list[int] = []
    one = pid
    while len(found) < MOST_FAMILY:
        try:
            one = parent(one)
        except (OSError, IndexError):
            break
        if one <= 0 or one in found:
            break
        found.append(one)
    return found[::-1]


def _children(pid: int) -> list[int]:
    """The children of all its threads; [] where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task")[:MOST_FAMILY]:
            found += map(int, read_file(f"/proc/{pid}/task/{thread}/children").split())
    except OSError:
        return sorted(found)
    return sorted(found)


ANSWERS: dict[str, Callable[..., Any]] = {"process": process}
