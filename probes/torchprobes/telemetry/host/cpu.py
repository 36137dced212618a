"""CPU use, load and pressure of the host."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ...cells import UNREAD, Cell
from .files import PIECE_BYTES, Cells, Kept, Roots, Unexpected, all_or_why, text, whole
from .rates import BACKWARDS, MIN_S

LINE_BYTES: Final = 160
"""No line of a core in /proc/stat is longer; the interrupts after them are not needed."""

PRESSURES: Final = {
    "cpu": {"cpu_pressure_percent": "some"},
    "memory": {"memory_pressure_percent": "some", "memory_full_pressure_percent": "full"},
    "io": {"io_pressure_percent": "some", "io_full_pressure_percent": "full"},
}
"""File in /proc/pressure -> cell -> its line (Documentation/accounting/psi.rst)."""


def allowed_cores() -> frozenset[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 0))


def core_list(cores: Iterable[int]) -> str:
    """Cores as the kernel writes them: "0-3,8"."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and runs[-1][1] == core - 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


class CpuUse:
    """Busy time of the allowed cores between two readings, in percent; stolen time is busy, waiting for I/O is idle."""

    def __init__(self, roots: Roots, allowed: Callable[[], frozenset[int]], online: int) -> None:
        self._file = Kept(f"{roots.proc}/stat")
        self._allowed = allowed
        self._online = online
        self._last: tuple[float, int, int] | None = None
        self._cell: Cell = UNREAD

    def read(self) -> Cells:
        """The cell `cpu_percent`."""
        now = time.monotonic()
        if self._last is None or now - self._last[0] >= MIN_S:
            self._step(now, *self._times())
        return {"cpu_percent": self._cell}

    def _step(self, now: float, busy: int, total: int) -> None:
        if self._last is not None:
            worked, passed = busy - self._last[1], total - self._last[2]
            backwards = passed < 0 or worked < 0
            if backwards:
                self._cell = BACKWARDS
            elif passed:
                self._cell = round(min(100.0, 100 * worked / passed), 1)
        self._last = (now, busy, total)

    def _times(self) -> tuple[int, int]:
        """Ticks busy and in all, summed over the allowed cores since boot (proc_stat(5))."""
        allowed = self._allowed()
        heads = {f"cpu{core}" for core in allowed} if len(allowed) < self._online else set()
        content = self._file.text(LINE_BYTES * (self._online + 1 if heads else 1))
        chosen = [line for line in content.splitlines() if line.partition(" ")[0] in heads]
        # A container's own /proc/stat (lxcfs) numbers its cores anew: then the sum over them is what is meant.
        chosen = chosen or [content.partition("\n")[0]]
        return _sums(chosen, self._file.path)


def _sums(lines: Iterable[str], path: str) -> tuple[int, int]:
    busy = total = 0
    for line in lines:
        times = [whole(word, path) for word in line.split()[1:9]]  # guest time, the ninth, is part of user time
        if len(times) < 4:
            raise Unexpected(f"{path} says {line[:40]!r} instead of times")
        total += sum(times)
        busy += sum(times) - sum(times[3:5])
    return busy, total


class Load:
    """Load over a minute, and threads on the machine (proc_loadavg(5))."""

    def __init__(self, roots: Roots) -> None:
        self._file = Kept(f"{roots.proc}/loadavg")

    def read(self) -> Cells:
        """The cells `load_1m` and `tasks`."""
        said = self._file.text()
        parts = said.split()
        if len(parts) < 4:
            raise Unexpected(f"{self._file.path} says {said[:40]!r}")
        tasks = whole(parts[3].partition("/")[2], self._file.path)
        return {"load_1m": _decimal(parts[0], self._file.path), "tasks": tasks}


class Uptime:
    """Seconds since boot."""

    def __init__(self, roots: Roots) -> None:
        self._file = Kept(f"{roots.proc}/uptime")

    def read(self) -> Cells:
        """The cell `uptime_s`."""
        return {"uptime_s": _decimal(self._file.text().partition(" ")[0], self._file.path)}


class Pressures:
    """Share of the last ten seconds in which tasks waited for cores, memory and disks, in percent."""

    def __init__(self, roots: Roots) -> None:
        self._files = [(Kept(f"{roots.proc}/pressure/{file}"), lines) for file, lines in PRESSURES.items()]

    def read(self) -> Cells:
        """The cells of PRESSURES."""
        found: dict[str, Cell] = {}
        for file, lines in self._files:
            found.update(all_or_why(lines, functools.partial(_pressure, file, lines)))
        return found


def some_pressure(path: str) -> Cell:
    """The same of the file of a control group, for some of its tasks."""
    return _tens(text(path, PIECE_BYTES), {"": "some"}, path)[""]


def _pressure(file: Kept, lines: Mapping[str, str]) -> Cells:
    return _tens(file.text(), lines, file.path)


def _tens(content: str, lines: Mapping[str, str], path: str) -> Cells:
    """Cell -> avg10 of its line."""
    said = [line.partition(" avg10=") for line in content.splitlines()]
    tens = {head: rest.partition(" ")[0] for head, _, rest in said}
    return {cell: _decimal(tens.get(line, ""), path) for cell, line in lines.items()}


def _decimal(word: str, path: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise Unexpected(f"{path} says {word[:40]!r} instead of a number") from None
    if not 0.0 <= value < 1e12:  # "nan" and "inf" are floats too
        raise Unexpected(f"{path} says {word[:40]!r}")
    return value
