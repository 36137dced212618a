"""The control groups of processes on GPUs: what limits a job's cores and memory, and how often it is held back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import GroupSample
from .cgroups import Quota, Version, find
from .errands import Reading
from .files import Cells, Roots, all_or_why, cell
from .rates import BACKWARDS

T = TypeVar("T")

PACE_S: Final = 5.0
MAX_GROUPS: Final = 64

NO_LIMIT: Final = Absent(state=CellState.NOT_SUPPORTED, why="no limit")

_CPU_CELLS: Final = ("cpu_limit_cores", "cpu_throttled_percent", "cpu_pressure_percent")
_MEMORY_CELLS: Final = ("memory_used_bytes", "memory_limit_bytes", "oom_kills")


class Group(NamedTuple):
    """A group that is asked for: its path as /proc/PID/cgroup has it, whose job it is, and one process in it.

    In version 1 each controller has a path of its own, and the process says which; 0: the path is the same for all.
    """

    path: str
    job: str = ""
    pid: int = 0


class _Periods(NamedTuple):
    """Periods of a quota at the last reading, and the share that was throttled before that."""

    periods: int
    throttled: int
    percent: Cell


class Groups:
    """Reads the groups that were asked for last."""

    def __init__(self, roots: Roots) -> None:
        self.found: Reading[dict[str, GroupSample]] = Reading(self._read, PACE_S)
        self._wanted: dict[str, Group] = {}
        self._roots = roots
        self._seen: dict[str, _Periods] = {}

    def want(self, groups: Iterable[Group]) -> None:
        """From the next reading on, read these; a new one is read soon."""
        wanted = {group.path: group for group in islice(groups, MAX_GROUPS)}
        if not wanted.keys() <= self._wanted.keys():
            self.found.due = 0.0
        self._wanted = wanted

    def rows(self, now: float) -> tuple[GroupSample, ...]:
        """One row a group; none for the root, unless it has a limit and so is a container's."""
        why, known = self.found.why_not(now), self.found.value or {}
        rows = []
        for group in self._wanted.values():
            row = known.get(group.path)
            if why or row is None:
                rows.append(_empty(group, why or UNREAD))
            elif group.path != "/" or _is_limited(row):
                rows.append(replace(row, job=group.job))
        return tuple(rows)

    def _read(self) -> dict[str, GroupSample]:
        before, self._seen = self._seen, {}
        return {path: self._row(group, before) for path, group in self._wanted.items()}

    def _row(self, group: Group, before: dict[str, _Periods]) -> GroupSample:
        cells: dict[str, Cell] = {}
        for controller, wanted, read in (
            ("cpu", _CPU_CELLS, functools.partial(self._cpu, before)),
            ("memory", _MEMORY_CELLS, _memory),
        ):
            place = functools.partial(find, self._roots, controller, group.path, group.pid)
            cells.update(all_or_why(wanted, functools.partial(_at, place, read)))
        return GroupSample(path=group.path, job=group.job, **cells)

    def _cpu(self, before: dict[str, _Periods], version: Version, folders: Sequence[str]) -> Cells:
        """The narrowest quota of the group and those above it, and the worst share of periods that was throttled."""
        limited = [(at, quota) for at, quota in _levels(version.quota, folders) if quota.cores is not None]
        for folder, quota in limited:
            self._seen[folder] = _step(quota, before.get(folder))
        shares = [self._seen[folder].percent for folder, _ in limited]
        numbers = [share for share in shares if isinstance(share, float)]
        return {
            "cpu_limit_cores": min((quota.cores or 0.0 for _, quota in limited), default=NO_LIMIT),
            "cpu_throttled_percent": max(numbers) if numbers else (*shares, NO_LIMIT)[0],
            "cpu_pressure_percent": cell(lambda: version.cpu_pressure(folders[0])),
        }


def _at(place: Callable[[], tuple[Version, Sequence[str]]], read: Callable[[Version, Sequence[str]], Cells]) -> Cells:
    return read(*place())


def _step(quota: Quota, before: _Periods | None) -> _Periods:
    """The share of the periods since the reading before in which the quota ran out; of an idle group there are none."""
    if before is None:
        return _Periods(quota.periods, quota.throttled, UNREAD)
    passed, held = quota.periods - before.periods, quota.throttled - before.throttled
    percent: Cell = round(100.0 * min(held, passed) / passed, 1) if passed else 0.0
    return _Periods(quota.periods, quota.throttled, BACKWARDS if passed < 0 or held < 0 else percent)


def _memory(version: Version, folders: Sequence[str]) -> Cells:
    """Memory and limit of the level that is nearest to its limit; of the group itself if there is no limit."""
    levels = [use for _, use in _levels(version.use, folders)]
    limited = [use for use in levels if use.limit]
    nearest = max(limited, key=lambda use: use.used / (use.limit or 1), default=levels[0])
    return {
        "memory_used_bytes": nearest.used,
        "memory_limit_bytes": nearest.limit or NO_LIMIT,
        "oom_kills": cell(lambda: version.oom_kills(folders[0])),
    }


def _levels(read: Callable[[str], T], folders: Sequence[str]) -> list[tuple[str, T]]:
    """What the group and those above it say. The root of a machine and a group without the controller say nothing.

    Raises:
        OSError: if a file cannot be read, or none of them has it.
    """
    found = []
    for folder in folders:
        try:
            found.append((folder, read(folder)))
        except FileNotFoundError:
            continue
    if not found:
        raise FileNotFoundError(2, "no such file", f"limit of this kind at {folders[0]}")
    return found


def _is_limited(row: GroupSample) -> bool:
    return not (isinstance(row.cpu_limit_cores, Absent) and isinstance(row.memory_limit_bytes, Absent))


def _empty(group: Group, why: Absent) -> GroupSample:
    return GroupSample(path=group.path, job=group.job, **dict.fromkeys(_CPU_CELLS + _MEMORY_CELLS, why))
