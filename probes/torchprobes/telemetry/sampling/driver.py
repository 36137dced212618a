"""One vendor's driver library: opened in a thread of its own, watched, and its GPUs given to the beat."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...cells import Absent, Cell, CellState
from ..readings import Vendor
from .beat import Beat
from .gpu_reader import HUNG_S, GpuReader
from .reload import Ground
from .schedule import TICK_MS

RETRY_S: Final = 5.0
"""How often a driver that could not be opened is tried again: it may be loaded while we run."""

SELDOM_S: Final = 60.0
"""The same where the kernel has no module of NVIDIA's: there is nothing to open, unless it is no Linux driver (WSL)."""

LOOK_S: Final = 1.9
"""How often it is looked at whether module and library are still the same: it calls no driver."""

COUNT_S: Final = 5.0
"""How often the driver is asked how many GPUs there are."""

MISSING: Final = Absent(state=CellState.NOT_SUPPORTED, why="no driver")

UNLOADED: Final = "the NVIDIA driver was unloaded; it is opened again when it is back: modprobe nvidia"


class Driver:
    """Opens a vendor's library and has its GPUs read. `reopen` says why this whole process should be replaced."""

    def __init__(
        self,
        vendor: Vendor,
        beat: Beat,
        root: Path = Path("/"),
        tick_ms: float = TICK_MS,
        was_unloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        self.vendor = vendor
        self.is_nvidia = vendor.name == "nvidia"
        self.opened = False
        self.state = "opening the driver"
        self.version: Cell = MISSING
        self.cuda: Cell = MISSING
        self.gpus: tuple[GpuReader, ...] = ()
        self.topology: tuple[tuple[str, ...], ...] = ()
        self.peers: tuple[tuple[str, ...], ...] = ()
        self.settled = threading.Event()
        """Set when it was opened and its GPUs are known, or when it could not be."""
        self.described = threading.Event()
        """Set when the topology is known as well."""
        self._was_unloaded = was_unloaded
        self._ground = Ground(root)
        self._module = root / "sys/module/nvidia"
        self._beat, self._tick_ms = beat, tick_ms
        self._calling_since: float | None = None
        self._reopen = ""
        self._look_at = 0.0

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=f"{self.vendor.name} driver", daemon=True).start()

    def hung_s(self) -> float:
        """For how long the library as a whole has given no answer, 0.0 if that is shorter than HUNG_S."""
        since = self._calling_since
        waited = time.monotonic() - since if since is not None else 0.0
        return waited if waited > HUNG_S else 0.0

    def words(self) -> str:
        """`ok`, or in words why there is nothing to read."""
        if waited := self.hung_s():
            return f"hung: the driver has not answered for {waited:.0f} s; look for a process in state D, and at dmesg"
        return self.state

    def reopen(self) -> str:
        """Why the library must be opened anew by a new process, "" as long as it need not. Calls no driver."""
        if not self.opened:
            return self._reopen
        now = time.monotonic()
        if not self._reopen and now >= self._look_at:
            self._look_at, self._reopen = now + LOOK_S, self._ground.change()
        return self._reopen or next((gpu.reopen for gpu in self.gpus if gpu.reopen), "")

    # --- in its thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._open():
            self.settled.set()
            self.described.set()
            self._wait_for_a_reason()
        self.settled.set()
        self._describe_topology()
        self.described.set()
        self._watch(len(self.gpus))

    def _wait_for_a_reason(self) -> None:
        """Until it is worth another try. To open the library may load the module: not unasked, and not all the time."""
        there = self._module.exists()
        until = time.monotonic() + (RETRY_S if there and self.is_nvidia else SELDOM_S)
        while time.monotonic() < until and self._module.exists() == there:
            time.sleep(0.5)

    def _open(self) -> bool:
        if self._was_unloaded():
            self.state = UNLOADED
            return False
        self._calling_since = time.monotonic()
        try:
            opened = self.vendor.open()
        except Exception as error:  # noqa: BLE001 - whatever the library does, the person gets its words
            self.state = self.vendor.open_failure(error)
            self._reopen = self._why_anew(self.vendor.absent(error))
            return False
        finally:
            self._calling_since = None
        self._ground.remember()
        self.version, self.cuda = opened.version, opened.cuda
        self._find(opened.count)
        self.state = "ok" if opened.count else "the driver is loaded and shows no GPU"
        self.opened = True
        return True

    def _why_anew(self, failure: Absent) -> str:
        """A library that was exchanged on disk since it was loaded is only found by a new process."""
        if not self._ground.is_remembered:
            self._ground.remember()
            return ""
        change = self._ground.change()
        return change if change and self.vendor.wants_reopening(failure) else ""

    def _find(self, count: int) -> None:
        """Have each GPU read from the next beat on."""
        self.gpus = tuple(GpuReader(self.vendor, index, count, self._beat, self._tick_ms) for index in range(count))
        for gpu in self.gpus:
            gpu.start()

    def _describe_topology(self) -> None:
        """How the GPUs are connected, once all of them are known."""
        deadline = time.monotonic() + HUNG_S
        while any(gpu.looked is None for gpu in self.gpus) and time.monotonic() < deadline:
            time.sleep(0.005)
        devices = [gpu.device for gpu in self.gpus if gpu.device is not None]
        if len(devices) != len(self.gpus) or not devices:
            return
        self._calling_since = time.monotonic()
        try:
            peers = self.vendor.peers(devices)
            self.topology, self.peers = self.vendor.topology(devices), peers
        except Exception:  # noqa: BLE001 - a node without a matrix is still a node
            self.topology, self.peers = (), ()
        finally:
            self._calling_since = None

    def _watch(self, count: int) -> None:
        """Count again and again, until there is another number."""
        while not self._reopen:
            time.sleep(COUNT_S)
            self._reopen = self._recount(count)

    def _recount(self, before: int) -> str:
        self._calling_since = time.monotonic()
        try:
            now = self.vendor.count()
        except Exception as error:  # noqa: BLE001 - what a driver says that is being unloaded
            cell = self.vendor.absent(error)
            return cell.why if self.vendor.wants_reopening(cell) else ""
        finally:
            self._calling_since = None
        return "" if now == before else f"the driver shows {now} GPUs and no longer {before}"
