"""CPU use, load and pressure of the host."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Final

from ...samples import UNREAD, Cell
from .files import Cells, Roots, Unexpected, text, whole, words
from .rates import BACKWARDS, MIN_S

STAT_BYTES: Final = 1 << 18
"""Enough for the lines of 2,000 cores; the interrupts after them are not needed."""

PRESSURES: Final = (
    ("cpu", "some", "cpu_pressure_percent"),
    ("memory", "some", "memory_pressure_percent"),
    ("memory", "full", "memory_full_pressure_percent"),
    ("io", "some", "io_pressure_percent"),
    ("io", "full", "io_full_pressure_percent"),
)
"""File in /proc/pressure, its line, the cell (Documentation/accounting/psi.rst)."""


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
        self._path = f"{roots.proc}/stat"
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
        content = text(self._path, STAT_BYTES)
        allowed = self._allowed()
        chosen: list[str] = []
        if len(allowed) < self._online:
            heads = {f"cpu{core}" for core in allowed}
            lines = content[: content.find("\nintr")].splitlines()
            chosen = [line for line in lines if line.partition(" ")[0] in heads]
        # A container's own /proc/stat (lxcfs) numbers its cores anew: then the sum over them is what is meant.
        chosen = chosen or [content.partition("\n")[0]]
        return _sums(chosen, self._path)


def _sums(lines: Iterable[str], path: str) -> tuple[int, int]:
    busy = total = 0
    for line in lines:
        times = [whole(word, path) for word in line.split()[1:9]]  # guest time, the ninth, is part of user time
        if len(times) < 4:
            raise Unexpected(f"{path} says {line[:40]!r} instead of times")
        total += sum(times)
        busy += sum(times) - sum(times[3:5])
    return busy, total


def load(roots: Roots) -> Cells:
    """Load over a minute, and threads on the machine (proc_loadavg(5))."""
    path = f"{roots.proc}/loadavg"
    parts = words(path).split()
    if len(parts) < 4:
        raise Unexpected(f"{path} says {' '.join(parts)[:40]!r}")
    return {"load_1m": _decimal(parts[0], path), "tasks": whole(parts[3].partition("/")[2], path)}


def uptime(roots: Roots) -> Cells:
    """Seconds since boot."""
    path = f"{roots.proc}/uptime"
    return {"uptime_s": _decimal(words(path).partition(" ")[0], path)}


def pressure(path: str, line: str) -> Cell:
    """Share of the last ten seconds in percent, of the line `some` or `full` of a pressure file."""
    for found in text(path, 4096).splitlines():
        head, _, rest = found.partition(" avg10=")
        if head == line:
            return _decimal(rest.partition(" ")[0], path)
    raise Unexpected(f"{path} has no line {line}")


def _decimal(word: str, path: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise Unexpected(f"{path} says {word[:40]!r} instead of a number") from None
    if not 0.0 <= value < 1e12:  # "nan" and "inf" are floats too
        raise Unexpected(f"{path} says {word[:40]!r}")
    return value
