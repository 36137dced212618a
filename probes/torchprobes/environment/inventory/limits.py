"""What a process may have: resource limits, and the cores and memory nodes that it may use."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..process import of_the_same, read_file
from .reading import Told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMITS: dict[str, str] = {
    "Max cpu time": "cpu",
    "Max file size": "fsize",
    "Max data size": "data",
    "Max stack size": "stack",
    "Max core file size": "core",
    "Max resident set": "rss",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max locked memory": "memlock",
    "Max address space": "as",
    "Max file locks": "locks",
    "Max pending signals": "sigpending",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
}
"""The kernel's words in /proc/PID/limits -> the name in limits.conf(5); sizes are bytes, times are seconds."""

_STATUS = {"Cpus_allowed_list": "cores", "Mems_allowed_list": "memory nodes"}


def of(pid: int, started: int | None, read: Callable[[int], Any]) -> Any:
    """What `read` finds of the process `pid`, if it is still the one started at `started`; of this one for 0.

    Raises:
        LookupError: if it has ended or is another's, in words.
    """
    return of_the_same(pid, started, read) if pid else read(os.getpid())


def limits(root: str, pid: int) -> Any:
    """`soft`, or `soft, hard HARD` where the two differ; and the cores and NUMA nodes that it may run on."""
    told = Told()
    for row in read_file(f"{root}/proc/{pid}/limits").decode(errors="replace").splitlines():
        name = next((LIMITS[words] for words in LIMITS if row.startswith(words)), None)
        found = row[26:].split()  # proc_pid_limits(5): the name is padded to 25 columns
        if name and len(found) >= 2:
            soft, hard = found[:2]
            told.put(name, soft if soft == hard else f"{soft}, hard {hard}")
    for row in read_file(f"{root}/proc/{pid}/status", 1 << 16).decode(errors="replace").splitlines():
        key, _, value = row.partition(":")
        if key in _STATUS:
            told.put(_STATUS[key], value)
    return told.answer()
