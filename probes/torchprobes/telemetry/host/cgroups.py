"""Control groups of version 1 and 2: where a group lies, and what its files say.

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst and scheduler/sched-bwc.rst of the kernel.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from ...cells import Cell
from .cpu import some_pressure
from .files import Roots, number, pairs, text, whole, words

MAX_LEVELS: Final = 16

_ENDLESS: Final = 1 << 60
"""Without a limit, memory.limit_in_bytes of version 1 holds the last multiple of a page below 2**63."""


class Quota(NamedTuple):
    """Cores that a group may use (None: all), scheduling periods that it ran in, and those in which they ran out."""

    cores: float | None
    periods: int
    throttled: int


class Use(NamedTuple):
    """Memory of a group and its limit (None: none), in bytes."""

    used: int
    limit: int | None


class Version(NamedTuple):
    """How the files of one version are read. Each takes the folder of a group; one without the file has none."""

    quota: Callable[[str], Quota]
    use: Callable[[str], Use]
    oom_kills: Callable[[str], Cell]
    cpu_pressure: Callable[[str], Cell]


class Outside(PermissionError):
    """A group that this cgroup namespace does not show."""


def find(roots: Roots, controller: str, path: str, pid: int) -> tuple[Version, tuple[str, ...]]:
    """Where a group lies for a controller, cpu or memory: its folder and those above it, nearest first.

    Raises:
        Outside: if its folder is not shown here, or the group is gone.
    """
    mount = f"{roots.sys}/fs/cgroup"
    if os.path.exists(f"{mount}/cgroup.controllers"):
        return V2, _upwards(mount, path, lambda: paths_of(roots, "self").get("", ""))
    if pid:
        with contextlib.suppress(OSError):  # the process has ended: then by its path alone
            path = paths_of(roots, str(pid)).get(controller, path)
    return V1, _upwards(f"{mount}/{controller}", path, lambda: paths_of(roots, "self").get(controller, ""))


def paths_of(roots: Roots, pid: str) -> dict[str, str]:
    """Controller -> path of a process's group; "" is the controller of version 2 (cgroups(7))."""
    found = {}
    for line in text(f"{roots.proc}/{pid}/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _upwards(mount: str, path: str, own: Callable[[], str]) -> tuple[str, ...]:
    """The folder of a group and those above it, up to the mount.

    A container without a cgroup namespace has its own group mounted as the root, and is told the host's path of it.
    """
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        raise Outside(1, "the group lies outside of this cgroup namespace", path)
    if not os.path.isdir("/".join([mount, *parts])):
        if path != own():
            raise Outside(1, "the group is gone, or not shown in this container", path)
        parts = []
    depths = range(len(parts), max(-1, len(parts) - MAX_LEVELS), -1)
    return tuple("/".join([mount, *parts[:depth]]) for depth in depths)


def _quota_v2(folder: str) -> Quota:
    path = f"{folder}/cpu.max"
    quota, _, period = words(path).partition(" ")
    if quota == "max":
        return Quota(None, 0, 0)
    return _with_periods(folder, whole(quota, path) / (whole(period, path) or 1))


def _quota_v1(folder: str) -> Quota:
    path = f"{folder}/cpu.cfs_quota_us"
    quota = words(path)
    if quota == "-1":
        return Quota(None, 0, 0)
    return _with_periods(folder, whole(quota, path) / (number(f"{folder}/cpu.cfs_period_us") or 1))


def _with_periods(folder: str, cores: float) -> Quota:
    path = f"{folder}/cpu.stat"
    found = pairs(text(path, 4096))
    return Quota(round(cores, 2), *(whole(found.get(name, ""), path) for name in ("nr_periods", "nr_throttled")))


def _use_v2(folder: str) -> Use:
    limit = words(f"{folder}/memory.max")
    return Use(number(f"{folder}/memory.current"), None if limit == "max" else whole(limit, f"{folder}/memory.max"))


def _use_v1(folder: str) -> Use:
    limit = number(f"{folder}/memory.limit_in_bytes")
    return Use(number(f"{folder}/memory.usage_in_bytes"), limit if limit < _ENDLESS else None)


def _oom_kills(file: str) -> Callable[[str], Cell]:
    def read(folder: str) -> Cell:
        count = pairs(text(f"{folder}/{file}", 4096)).get("oom_kill")
        if count is None:
            raise FileNotFoundError(2, "no such line", f"oom_kill in {folder}/{file}")
        return whole(count, file)

    return read


def _no_pressure(_folder: str) -> Cell:
    raise FileNotFoundError(2, "no such file", "pressure of a group of version 1")


V2: Final = Version(
    _quota_v2, _use_v2, _oom_kills("memory.events"), lambda folder: some_pressure(f"{folder}/cpu.pressure")
)
V1: Final = Version(_quota_v1, _use_v1, _oom_kills("memory.oom_control"), _no_pressure)
