"""The host's side of a sample, put together. Runs in the sampler child."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from ...cells import Absent, CellState
from ...samples import HostSample
from . import cpu, kernel, limits, memory, tasks
from .disks import places, rows
from .errands import Errands, Reading
from .files import Cells, Roots, all_or_why
from .groups import Group, Groups
from .network import Network
from .ports import Ports

_NEVER_ASKED: Final = Absent(state=CellState.NOT_SUPPORTED, why="this system does not say it")

FIRST_USE_S: Final = 0.1
"""So soon after the start the use of the CPU is read again: a single look wants it too."""


class Source(NamedTuple):
    """Where some cells come from: which, how often in seconds, and whether a read of it can wait for a device."""

    cells: tuple[str, ...]
    pace_s: float
    blocks: bool
    read: Callable[[], Cells]


def sources(roots: Roots, environ: Mapping[str, str], use: Callable[[], Cells]) -> tuple[Source, ...]:
    """Every cell of the host and its source, use of the CPU first; those that block are first read in this order."""
    pressures = tuple(name for lines in cpu.PRESSURES.values() for name in lines)
    memory_cells = ("memory_used_bytes", "memory_total_bytes", "swap_used_bytes", "swap_total_bytes")
    with_roots = functools.partial
    return (
        Source(("cpu_percent",), 1.0, False, use),
        Source(memory_cells, 2.0, False, memory.Memory(roots).read),
        Source(("load_1m", "tasks"), 2.0, False, cpu.Load(roots).read),
        Source(("uptime_s",), 2.0, False, cpu.Uptime(roots).read),
        Source(pressures, 2.0, False, cpu.Pressures(roots).read),
        Source(("oom_kills",), 10.0, False, with_roots(memory.oom_kills, roots)),
        Source(("files_open", "files_max"), 10.0, False, with_roots(limits.open_files, roots)),
        Source(("tasks_max",), 60.0, False, with_roots(limits.most_tasks, roots)),
        Source(tuple(name for name, _ in limits.LIMITS), 60.0, False, limits.limits),
        Source(("environment_faults", "visible_devices"), 3600.0, False, with_roots(limits.environment, environ)),
        Source(("shm_used_bytes", "shm_total_bytes"), 2.0, True, with_roots(memory.shared_memory, roots)),
        Source(("denied_modules", "peermem_loaded"), 60.0, True, with_roots(kernel.modules, roots)),
        Source(("cpu_governor", "clocksource"), 60.0, True, with_roots(kernel.clocks, roots)),
        Source(("nvswitches", "iommu"), 60.0, True, with_roots(kernel.bus, roots)),
        Source(tasks.CELLS, 30.0, True, tasks.Tasks(roots).read),
    )


class HostReader:
    """Reads the host. `read` never waits: what a file system or a driver could hold up is read by other threads."""

    def __init__(
        self,
        roots: Roots | None = None,
        environ: Mapping[str, str] | None = None,
        allowed: Callable[[], frozenset[int]] = cpu.allowed_cores,
    ) -> None:
        roots = roots or Roots()
        environ = dict(os.environ if environ is None else environ)
        self._host = os.uname().nodename
        self._cores: Reading[frozenset[int]] = Reading(allowed, 10.0)
        use = cpu.CpuUse(roots, lambda: self._cores.value or frozenset(), os.cpu_count() or 1)
        self._errands = Errands()
        self._readings = [(source, self._reading(source)) for source in sources(roots, environ, use.read)]
        self._use = self._readings[0][1]
        quick = [one for source, one in self._readings if not source.blocks]
        self._quick: tuple[Reading[Any], ...] = (self._cores, *quick)
        self._disks = places(environ)
        for disk in self._disks:
            self._errands.add(disk.use)
        self._network = Network(roots)
        self._errands.add(self._network.links)
        self._errands.add(self._network.traffic)
        self._ports = Ports(roots, self._errands)
        self._groups = Groups(roots)
        self._errands.add(self._groups.found)

    def start(self) -> None:
        """Take the first readings: rates and CPU use are of the time since."""
        now = time.monotonic()
        self._take_quick(now)
        self._use.due = now + FIRST_USE_S
        self._errands.turn()

    def wait(self, seconds: float, groups: Iterable[Group] = ()) -> bool:
        """Wait until everything can be told or hangs, at most so long; whether that is so. Only for a single look."""
        end = time.monotonic() + seconds
        self._groups.want(groups)
        settled = self._errands.wait(seconds)
        while not self._use.is_due(now := time.monotonic()) and now < min(end, self._use.due):
            time.sleep(0.002)  # until there is a use of the CPU to be told
        return settled

    def read(self, groups: Iterable[Group] = ()) -> HostSample:
        """The newest of everything, and of these control groups. Returns at once."""
        now = time.monotonic()
        self._groups.want(groups)
        self._take_quick(now)
        cores = self._cores.value or frozenset()
        cells: dict[str, Any] = {}
        for source, reading in self._readings:
            why = reading.why_not(now)
            cells.update(dict.fromkeys(source.cells, why) if why else reading.value or {})
        sample = HostSample(
            host=self._host,
            cores=len(cores) or os.cpu_count() or 0,
            cpu_affinity_cores=cpu.core_list(cores) if cores else _NEVER_ASKED,
            disks=rows(self._disks, now),
            network=self._network.rows(now),
            ports=self._ports.rows(now),
            groups=self._groups.rows(now),
            **cells,
        )
        self._errands.turn()  # last: its thread would ask for the interpreter at every read above
        return sample

    def _reading(self, source: Source) -> Reading[Cells]:
        reading: Reading[Cells] = Reading(functools.partial(all_or_why, source.cells, source.read), source.pace_s)
        return self._errands.add(reading) if source.blocks else reading

    def _take_quick(self, now: float) -> None:
        for reading in self._quick:
            if reading.is_due(now):
                reading.take()
