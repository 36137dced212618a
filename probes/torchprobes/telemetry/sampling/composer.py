"""Everything that a sample is made of, wired together: drivers, processes, events, host. Runs in the sampler child.

No method calls a driver or a file system that could hang; each source has threads of its own, and `line` takes
the newest of each.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ...cells import Absent, CellState
from ...samples import GpuSample, HostSample, KernelEvent, ProcessSample, Sample
from ..host import Group, HostReader, Roots
from ..kernel.log import KernelLog
from ..owners.owners import Owners, with_jobs
from .beat import Beat
from .device_files import DeviceFiles
from .driver import Driver
from .gpu_reader import GpuReader
from .gpu_rows import Row, healthy, rows_of
from .inventory import Inventory
from .own_cost import OwnCost
from .schedule import TICK_MS
from .surroundings import Surroundings

HOST_S: Final = 0.9
"""The host is read about once a second, however often the GPUs are: none of its cells is read more often."""


class Composer:
    """The sources of one sampler child.

    `root` is where /proc, /sys and /dev are looked for; `once` is for a single look, of everything at once.
    """

    def __init__(self, root: Path = Path("/"), *, once: bool = False) -> None:
        tick_ms = float("inf") if once else TICK_MS
        self.host = HostReader(Roots.under(root))
        self.host.start()  # a use of the CPU is told some milliseconds later; meanwhile the libraries are imported
        from ..kernel.xid_events import XidEvents
        from ..vendors.present import present

        self.root = root
        self.own = OwnCost()
        self.inventory = Inventory(root)
        self.beat = Beat()
        self.drivers = tuple(
            Driver(vendor, self.beat, root, tick_ms, self.inventory.was_unloaded) for vendor in present(root)
        )
        self.owners = Owners(root / "proc")
        self.surroundings = Surroundings(root, lambda: {driver.vendor.name for driver in self.drivers if driver.gpus})
        self.files = DeviceFiles(root)
        self.kernel_log = KernelLog(root, job_of=self.owners.look_up)
        self.xid_events = XidEvents()
        self._listening_to = 0
        self._once = once
        self._host: tuple[float, list[Group], HostSample] | None = None
        self._well = 0
        """How many GPUs were ok when it was noted who is healthy."""
        self._encoder, self._line = msgspec.json.Encoder(), bytearray()

    def start(self) -> None:
        """Begin with everything."""
        self.inventory.start()
        for driver in self.drivers:
            driver.start()
        self.owners.start()
        self.surroundings.start()
        self.files.start()
        self.kernel_log.start()

    # --- ticks ----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Let every GPU take a tick."""
        self.beat.give()

    def gather(self, seconds: float) -> bool:
        """Wait until every GPU that answers took it, at most so long."""
        return self.beat.gather(seconds)

    def wait_for_gpus(self, seconds: float, *, patient: bool = False) -> None:
        """Wait until every GPU was read once, or hangs, or its driver said why not; at most so long.

        Who is not patient waits for no GPU that makes itself late.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if all(driver.settled.is_set() or driver.hung_s() for driver in self.drivers) and all(
                gpu.looked or (gpu.hung() if patient else gpu.is_late()) for gpu in self._gpus()
            ):
                return
            self.beat.nudge()
            time.sleep(0.002)

    def wait_for_rest(self, seconds: float) -> None:
        """Wait for what a single look wants beside the GPUs, at most so long."""
        until = time.monotonic() + seconds
        self.inventory.settled.wait(seconds)
        self.surroundings.settled.wait(max(0.0, until - time.monotonic()))
        processes = self._processes(rows_of(self.drivers, self.inventory, time.monotonic()))
        self.kernel_log.settled.wait(max(0.0, until - time.monotonic()))
        for driver in self.drivers:
            driver.described.wait(max(0.0, until - time.monotonic()))
        self.owners.wait(max(0.0, until - time.monotonic()))
        self.host.wait(max(0.0, until - time.monotonic()), self._groups(processes))

    def reopen(self) -> str:
        """Why a new process should take over, "" as long as this one is good."""
        return next((why for driver in self.drivers if (why := driver.reopen())), "")

    # --- the sample -----------------------------------------------------------------------------------------------

    def line(self) -> bytearray:
        """The newest of everything as one sample: a line of JSON, which holds until the next call."""
        gpus = rows_of(self.drivers, self.inventory, time.monotonic())
        well = sum(isinstance(row, msgspec.Raw) for row in gpus)
        if well != self._well or self.inventory.wants_note():
            self._well = well
            self.inventory.note(healthy(self.drivers))
        self._encoder.encode_into({**msgspec.structs.asdict(self._around(gpus)), "gpus": gpus}, self._line)
        self._line += b"\n"
        return self._line

    def _around(self, gpus: Sequence[Row]) -> Sample:
        """A sample of all but the GPUs."""
        processes = self._processes(gpus)
        main = next((driver for driver in self.drivers if driver.gpus), self.drivers[0])
        seen = self.surroundings.seen
        looks = [gpu.looked for gpu in self._gpus() if gpu.looked is not None]
        return Sample(
            t_ns=time.time_ns(),
            m_ns=time.monotonic_ns(),
            driver=main.version,
            cuda=main.cuda,
            driver_state=main.words(),
            gpus=(),
            processes=processes,
            host=self._read_host(self._groups(processes)),
            hardware=seen.gpus,
            kernel_module=seen.kernel_module,
            device_nodes=seen.device_nodes,
            device_holders=self.files.found.cell(),
            kernel_log=self.kernel_log.state,
            live_xids=self.xid_events.state,
            events=self._events(),
            topology=main.topology if len(main.topology) == len(gpus) else (),
            peers=main.peers if len(main.peers) == len(gpus) else (),
            accelerators=seen.accelerators,
            cost_ms=round(sum(looked.cost_ms for looked in looks), 3),
            self_percent=self.own.percent(),
            backed_off=any(looked.backed_off for looked in looks),
        )

    def _read_host(self, groups: list[Group]) -> HostSample:
        """The host as it was less than HOST_S ago, anew where other groups are asked for."""
        known, now = self._host, time.monotonic()
        if known is None or now - known[0] > HOST_S or known[1] != groups:
            self._host = known = (now, groups, self.host.read(groups))
        return known[2]

    def _events(self) -> tuple[KernelEvent, ...]:
        """What came since the last sample."""
        self._listen()
        events = (*self.kernel_log.take(), *self.xid_events.take(), *self.owners.take_exits())
        return with_jobs(events, self.owners)

    def _listen(self) -> None:
        """Have the driver tell XIDs as they happen, of every GPU that it has named; a single look would see none."""
        main = self.drivers[0]
        if self._once or not main.is_nvidia or not main.described.is_set():
            return
        devices = [gpu.device for gpu in main.gpus if gpu.device is not None]
        if len(devices) > self._listening_to:
            self._listening_to = len(devices)
            self.xid_events.start(devices)

    def _gpus(self) -> tuple[GpuReader, ...]:
        return tuple(gpu for driver in self.drivers for gpu in driver.gpus)

    def _processes(self, rows: Sequence[Row]) -> tuple[ProcessSample, ...]:
        """Who is on the GPUs: as the driver lists them, and where it gives no answer, who has the device file open."""
        found = [process for gpu in self._gpus() if gpu.looked for process in gpu.looked.processes]
        dumb = [row for row in rows if isinstance(row, GpuSample) and row.state in ("hung", "lost")]
        self.files.want(bool(dumb))
        listed = {(process.gpu_uuid, process.pid) for process in found}
        found += [p for row in dumb for p in self._holders(row) if (p.gpu_uuid, p.pid) not in listed]
        return self.owners.fill(found)

    def _groups(self, processes: tuple[ProcessSample, ...]) -> list[Group]:
        return [Group(*group) for group in self.owners.groups(processes)]

    def _holders(self, row: GpuSample) -> tuple[ProcessSample, ...]:
        minor = row.minor_number
        pids = self.files.found.pids.get(minor, ()) if isinstance(minor, int) else ()
        why = Absent(state=CellState(row.state), why="the driver does not say it; it has the GPU's device file open")
        return tuple(ProcessSample(pid=pid, gpu_uuid=row.uuid, kind="holder", gpu_memory_bytes=why) for pid in pids)
