"""What limits a process by its control groups, in version 1 and 2: the narrowest of all levels (cgroups(7))."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..process import read_file
from .reading import Told, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_LIMIT = "no limit"
_HUGE = 1 << 62
"""Version 1 says "no limit" by a number near the largest one."""


def groups(root: str, pid: int) -> Any:
    """What limits it, and the version; what is limited on no level is told as such."""
    told = Told()
    lines = read_file(f"{root}/proc/{pid}/cgroup", 1 << 16).decode(errors="replace").splitlines()
    paths = {}
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        paths.update(dict.fromkeys(controllers.split(","), path))
    unified = os.path.exists(f"{root}/sys/fs/cgroup/cgroup.controllers")
    told.put("version", "2" if unified else "1")
    rows = _TWO if unified else _ONE
    for name, (controller, read) in rows.items():
        base = f"{root}/sys/fs/cgroup" + ("" if unified else f"/{controller}")
        folders = _upwards(base, paths.get("" if unified else controller, "/"))
        told.take(name, lambda read=read, folders=folders: read(folders))  # type: ignore[misc]
    return told.answer()


def _upwards(base: str, path: str) -> list[str]:
    """The group's folder and those above it; only the base where a namespace shows no more of them."""
    found = []
    while path not in ("", "/"):
        found.append(base + path)
        path = os.path.dirname(path)
    return [*(folder for folder in found if os.path.isdir(folder)), base]


def _each(folders: list[str], file: str) -> list[str]:
    """What a file says on every level that has it.

    Raises:
        FileNotFoundError: if none has it: the controller is not there.
    """
    said = []
    for folder in folders:
        try:
            said.append(text(f"{folder}/{file}", 4096))
        except FileNotFoundError:
            continue
    if not said:
        raise FileNotFoundError(2, "no such file", file)
    return said


def _smallest(file: str) -> Callable[[list[str]], str]:
    def read(folders: list[str]) -> str:
        numbers = [int(each) for each in _each(folders, file) if each not in ("max", "-1")]
        limited = [number for number in numbers if number < _HUGE]
        return str(min(limited)) if limited else NO_LIMIT

    return read


def _nearest(*files: str) -> Callable[[list[str]], str]:
    """The first of the files that a level says something in, from the group upwards."""

    def read(folders: list[str]) -> str:
        for file in files:
            try:
                return next((each for each in _each(folders, file) if each), "")
            except FileNotFoundError:
                continue
        raise FileNotFoundError(2, "no such file", files[0])

    return read


def _quota(folders: list[str]) -> str:
    """The narrowest quota in cores, from `cpu.max`: "400000 100000"."""
    pairs = [each.split() for each in _each(folders, "cpu.max")]
    return _cores([(int(quota), int(period)) for quota, period in pairs if quota != "max"])


def _quota_one(folders: list[str]) -> str:
    """The same in version 1, where each level that has a quota (-1: none) has a period too."""
    said = zip(_each(folders, "cpu.cfs_quota_us"), _each(folders, "cpu.cfs_period_us"), strict=True)
    return _cores([(int(quota), int(period)) for quota, period in said if int(quota) > 0])


def _cores(pairs: list[tuple[int, int]]) -> str:
    return f"{min(quota / period for quota, period in pairs):g} cores" if pairs else NO_LIMIT


Read = Callable[[list[str]], str]

_TWO: dict[str, tuple[str, Read]] = {
    "cpu.max": ("cpu", _quota),
    "cpu.weight": ("cpu", _nearest("cpu.weight")),
    "cpuset.cpus": ("cpuset", _nearest("cpuset.cpus.effective")),
    "cpuset.mems": ("cpuset", _nearest("cpuset.mems.effective")),
    "memory.max": ("memory", _smallest("memory.max")),
    "memory.high": ("memory", _smallest("memory.high")),
    "memory.swap.max": ("memory", _smallest("memory.swap.max")),
    "pids.max": ("pids", _smallest("pids.max")),
}
_ONE: dict[str, tuple[str, Read]] = {
    "cpu.max": ("cpu", _quota_one),
    "cpu.weight": ("cpu", _nearest("cpu.shares")),
    "cpuset.cpus": ("cpuset", _nearest("cpuset.effective_cpus", "cpuset.cpus")),
    "cpuset.mems": ("cpuset", _nearest("cpuset.effective_mems", "cpuset.mems")),
    "memory.max": ("memory", _smallest("memory.limit_in_bytes")),
    "memory.swap.max": ("memory", _smallest("memory.memsw.limit_in_bytes")),
    "pids.max": ("pids", _smallest("pids.max")),
}
"""Name (that of version 2) -> controller, and how its limit is read from the levels."""
