"""The sampler child: one JSON line a sample on stdout, until stdin closes.

Its main thread never calls the driver: one thread opens it, one thread a GPU reads it, so that a driver that hangs
stops nothing but its own cells. No CUDA context is ever made. Run by path, see `source`.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from pathlib import Path

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
import pynvml

from torchprobes.samples import Absent, Cell, CellState, GpuSample, ProcessSample, Sample
from torchprobes.telemetry import hardware, host, nvml
from torchprobes.telemetry.gpu_thread import HUNG_S, GpuThread
from torchprobes.telemetry.processes import Names

ONCE_S = 2.5
"""How long one sample waits for GPUs that do not answer; they are then told as hung."""

RETRY_S = 5.0
"""How often a driver that could not be opened is tried again: it may be loaded while we run."""

_MISSING = Absent(state=CellState.NOT_SUPPORTED, why="no driver")


class Driver:
    """Opens NVML in a thread of its own and starts a thread a GPU."""

    def __init__(self, period_s: float) -> None:
        self.state = "opening the driver"
        self.version: Cell = _MISSING
        self.cuda: Cell = _MISSING
        self.gpus: tuple[GpuThread, ...] = ()
        self.names = Names()
        self.settled = threading.Event()
        self._period_s = period_s
        self._calling_since: float | None = None

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="driver", daemon=True).start()

    def words(self) -> str:
        """`ok`, or in words why there is nothing to read."""
        since = self._calling_since
        waited = time.monotonic() - since if since is not None else 0.0
        if waited > HUNG_S:
            return f"hung: the driver has not answered for {waited:.0f} s; look for a process in state D, and at dmesg"
        return self.state

    def _run(self) -> None:
        while not self._open():
            self.settled.set()
            time.sleep(RETRY_S)
        self.settled.set()

    def _open(self) -> bool:
        self._calling_since = time.monotonic()
        try:
            pynvml.nvmlInit()
            self.version = str(pynvml.nvmlSystemGetDriverVersion())
            self.cuda = _cuda_version()
            count = pynvml.nvmlDeviceGetCount()
        except Exception as error:  # noqa: BLE001 - whatever the library does, the person gets its words
            self.state = nvml.init_failure(error)
            return False
        finally:
            self._calling_since = None
        self._find(count)
        self.state = "ok" if count else "the driver is loaded and shows no GPU"
        return True

    def _find(self, count: int) -> None:
        """Start a thread a GPU; they are shown when each is known by its UUID, or when the driver hangs on it."""
        self.names.start()
        gpus = tuple(GpuThread(index, self._period_s, self.names) for index in range(count))
        for gpu in gpus:
            gpu.start()
        deadline = time.monotonic() + HUNG_S
        for gpu in gpus:
            gpu.opened.wait(max(0.0, deadline - time.monotonic()))
        self.gpus = gpus


def _cuda_version() -> Cell:
    try:
        number = int(pynvml.nvmlSystemGetCudaDriverVersion())
    except pynvml.NVMLError as error:
        return nvml.absent(error)
    return f"{number // 1000}.{number % 1000 // 10}"


def compose(driver: Driver) -> Sample:
    """The newest of everything as one sample."""
    gpus: list[GpuSample] = []
    processes: list[ProcessSample] = []
    for gpu in driver.gpus:
        sample, found = gpu.sample()
        gpus.append(sample)
        processes += found
    return Sample(
        t_ns=time.time_ns(),
        m_ns=time.monotonic_ns(),
        driver=driver.version,
        cuda=driver.cuda,
        driver_state=driver.words(),
        gpus=tuple(gpus),
        processes=tuple(processes),
        host=host.read(),
        hardware=hardware.count(),
        cost_ms=round(sum(gpu.looked.cost_ms for gpu in driver.gpus if gpu.looked), 3),
    )


def say(sample: Sample) -> None:
    """Write one line; a reader that is gone ends this process."""
    data = msgspec.json.encode(sample) + b"\n"
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        os._exit(0)


def wait_for_all(driver: Driver, seconds: float) -> None:
    """Wait until every GPU was read once, at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if driver.settled.is_set() and all(gpu.looked or gpu.hung() for gpu in driver.gpus):
            driver.names.wait(deadline - time.monotonic())
            return
        time.sleep(0.002)


def run(period_s: float) -> None:
    """Sample until stdin closes; `release` on it lets go of the driver and ends."""
    driver = Driver(period_s)
    host.read()  # the first CPU percentage has nothing to compare with
    driver.start()
    wait_for_all(driver, min(0.3, period_s))
    due = time.monotonic()
    while True:
        say(compose(driver))
        due = max(due + period_s, time.monotonic())
        while (left := due - time.monotonic()) > 0:
            if select.select([0], [], [], left)[0] and not os.read(0, 4096):
                os._exit(0)  # a thread in the driver is not waited for


def once() -> None:
    """One sample of everything, then the end."""
    driver = Driver(60.0)
    host.read()
    driver.start()
    wait_for_all(driver, ONCE_S)
    say(compose(driver))
    os._exit(0)


def main(arguments: list[str]) -> None:
    """`--once`, or the seconds between samples."""
    if arguments == ["--once"]:
        once()
    run(float(arguments[0]) if arguments else 0.5)


if __name__ == "__main__":
    main(sys.argv[1:])
