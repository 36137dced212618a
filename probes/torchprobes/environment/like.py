"""What makes a process run as it does, read from a live one, so that probes can run like it. Standard library only.

Runs in the inspector child. Unlike everything else that is told of processes, the environment leaves it unmasked: it
is what the probes are given. It is shown and kept nowhere; `likeness.py` says in words, masked, what differs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from .process import cgroup, command, of_the_same, read_file, ticks, user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ENVIRONMENT = 4 << 20
"""More than the kernel lets a program be started with under the usual stack limit (execve(2): a quarter of it)."""

LIMITS = {
    "Max locked memory": "RLIMIT_MEMLOCK",
    "Max open files": "RLIMIT_NOFILE",
    "Max processes": "RLIMIT_NPROC",
    "Max stack size": "RLIMIT_STACK",
    "Max core file size": "RLIMIT_CORE",
    "Max address space": "RLIMIT_AS",
    "Max data size": "RLIMIT_DATA",
    "Max file size": "RLIMIT_FSIZE",
}
"""Limits that decide what a program can do: the kernel's words -> the name in setrlimit(2). CPU time is not taken."""

_NO_LIMIT = -1
_SITE = re.compile(r" (/\S{1,400}?)/lib(?:64)?/python3\.\d{1,2}/(?:site|dist)-packages/")


def like(pid: int, started: int | None, as_root: bool) -> dict[str, Any]:
    """The process `pid` (started at `started`, None: any), and `here` the same facts of whoever asks.

    Raises:
        LookupError: why probes cannot run like it, for a person.
    """
    begun = of_the_same(pid, started, ticks)
    found: dict[str, Any] = of_the_same(pid, begun, lambda pid: _told(pid, as_root))
    return {**found, "started": begun, "here": _facts(os.getpid())}


def _told(pid: int, as_root: bool) -> dict[str, Any]:
    owner, mine = os.stat(f"/proc/{pid}").st_uid, os.geteuid()
    if owner != mine and not (mine == 0 and as_root):
        more = "; --as-root takes its code and environment all the same" if mine == 0 else ""
        raise LookupError(f"it belongs to {user(str(owner))}, and code of another user is not run{more}")
    executable = _executable(pid)
    environment = _environment(pid)
    folder = os.readlink(f"/proc/{pid}/cwd")
    return {
        **_facts(pid),
        "executable": executable,
        "python": _python(pid, executable, environment, folder),
        "environ": environment,
        "folder": folder,
        "user": user(str(owner)),
        "command": command(pid),
    }


def _facts(pid: int) -> dict[str, Any]:
    return {"cores": sorted(os.sched_getaffinity(pid)), "limits": _limits(pid), "cgroup": cgroup(pid)}


def _executable(pid: int) -> str:
    """The file that it runs, if that is a Python which can be run from here."""
    path = os.readlink(f"/proc/{pid}/exe")
    if path.endswith(" (deleted)"):
        raise LookupError(f"its program {path[:-10]} was replaced or removed after it was started")
    if os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
        raise LookupError(
            "it lives in a container (another mount namespace), whose files are not those here; "
            "reach into it with --target, such as --target 'docker exec -i NAME python'"
        )
    if not os.path.basename(path).startswith(("python", "pypy")):
        raise LookupError(f"it runs {path}, which is no Python interpreter; name a process of the training itself")
    return path


def _environment(pid: int) -> dict[str, str]:
    raw = read_file(f"/proc/{pid}/environ", MOST_ENVIRONMENT + 1)
    if len(raw) > MOST_ENVIRONMENT:
        raise LookupError(f"its environment is larger than {MOST_ENVIRONMENT >> 20} MiB")
    rows = (row.partition("=") for row in os.fsdecode(raw).split("\0"))
    return {name: value for name, equals, value in rows if equals and name}


def _python(pid: int, executable: str, environment: dict[str, str], folder: str) -> str:
    """How the interpreter was called: of a virtual environment the file itself is the one below it.

    The first of all places that may name it whose link leads to the file that runs.
    """
    real = os.path.realpath(executable)
    places = _calls(pid, environment, folder)
    return next((path for path in places if os.path.realpath(path) == real and os.access(path, os.X_OK)), executable)


def _calls(pid: int, environment: dict[str, str], folder: str) -> Iterator[str]:
    called = os.fsdecode(read_file(f"/proc/{pid}/cmdline")).split("\0")[0]
    if "/" in called:
        yield os.path.normpath(os.path.join(folder, called))
    elif called:
        yield from (os.path.join(folder, place, called) for place in environment.get("PATH", "").split(os.pathsep))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environment.get(name):
            yield os.path.join(environment[name], "bin", "python")
    maps = read_file(f"/proc/{pid}/maps", MOST_ENVIRONMENT).decode(errors="replace")
    for prefix in dict.fromkeys(_SITE.findall(maps)):  # libraries that it has loaded lie in its environment
        yield os.path.join(prefix, "bin", "python")


def _limits(pid: int) -> dict[str, list[int]]:
    """The name in setrlimit(2) -> [soft, hard], -1 for none."""
    found = {}
    for row in read_file(f"/proc/{pid}/limits").decode(errors="replace").splitlines():
        name = next((LIMITS[words] for words in LIMITS if row.startswith(words)), None)
        if name:
            soft, hard = row[26:].split()[:2]  # proc_pid_limits(5): the name is padded to 25 columns
            found[name] = [_NO_LIMIT if text == "unlimited" else int(text) for text in (soft, hard)]
    return found


ANSWERS: dict[str, Callable[..., Any]] = {"like": like}
