"""What the fake driver library is told to do, and waiting for what the sampler makes of it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from torchprobes.cells import Absent, Cell
from torchprobes.child import SAMPLER
from torchprobes.samples import Sample
from torchprobes.telemetry import take_sample
from torchprobes.telemetry.source import Sampler

DEADLINE_S = 20.0

T = TypeVar("T")


class FakeDriver:
    """The library's settings, as the environment that the sampler child inherits.

    `root` stands in for the machine's: a sampler of `command` finds its PCI bus, device files and /proc there, and the
    inventory of the boot in `runtime`.
    """

    def __init__(self, folder: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls, self._set = calls, monkeypatch.setenv
        self.folder, self.root, self.runtime = folder, calls.parent / "root", calls.parent / "runtime"
        self._generation = calls.parent / "generation"
        self.root.mkdir(exist_ok=True)
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self._set("LD_LIBRARY_PATH", str(folder))
        self._set("FAKE_NVML_CALLS", str(calls))
        self._set("XDG_RUNTIME_DIR", str(self.runtime))
        for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
            monkeypatch.delenv(name, raising=False)
        self._file("proc/sys/kernel/random/boot_id", "a boot of this test\n")
        self._file("proc/loadavg", "0.50 0.40 0.30 1/99 1234\n")

    def command(self, *words: str) -> tuple[str, ...]:
        """A sampler that lives below `root`."""
        return (sys.executable, "-I", "-B", str(SAMPLER), *words, "--root", str(self.root))

    def look(self, deadline_s: float = DEADLINE_S) -> Sample:
        """One sample of such a sampler."""
        return take_sample(deadline_s, self.command("--once"))

    # --- the library --------------------------------------------------------------------------------------------

    def use_library(self, folder: Path) -> None:
        self.folder = folder
        self._set("LD_LIBRARY_PATH", str(folder))

    def gpus(self, count: int) -> None:
        self._set("FAKE_NVML_GPUS", str(count))

    def init(self, code: int | str) -> None:
        self._set("FAKE_NVML_INIT", str(code))

    def rules(self, *rules: str) -> None:
        self._set("FAKE_NVML_RULES", ",".join(rules))

    def processes(self, *rows: tuple[int, int, int]) -> None:
        self._set("FAKE_NVML_PROCESSES", ",".join(f"{gpu}:{pid}:{size}" for gpu, pid, size in rows))

    def values(self, *rows: str) -> None:
        self._set("FAKE_NVML_VALUES", ",".join(rows))

    def bare(self, *gpus: int) -> None:
        self._set("FAKE_NVML_BARE", ",".join(map(str, gpus)))

    def hide(self, *functions: str) -> None:
        self._set("FAKE_NVML_HIDE", ",".join(functions))

    def delay(self, microseconds: int) -> None:
        self._set("FAKE_NVML_DELAY_US", str(microseconds))

    def reload(self, gpus: int) -> None:
        """The driver is loaded, and shows so many GPUs: what a library opened before answers no call any more."""
        self._set("FAKE_NVML_GENERATION", str(self._generation))
        scratch = self._generation.with_suffix(".new")
        scratch.write_text(f"{gpus}\n")
        scratch.replace(self._generation)

    # --- the machine --------------------------------------------------------------------------------------------

    def on_bus(self, *gpus: int, driver: str = "nvidia") -> None:
        """GPUs on the PCI bus, where the library says that they are."""
        for gpu in gpus:
            folder = f"sys/bus/pci/devices/{bus(gpu)}"
            self._file(f"{folder}/vendor", "0x10de\n")
            self._file(f"{folder}/class", "0x030200\n")
            (self.root / folder / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")

    def in_proc(self, *gpus: int) -> None:
        """What the driver's folder in /proc tells of GPUs."""
        for gpu in gpus:
            text = f"Model: \t\t NVIDIA Fake {gpu}\nGPU UUID: \t GPU-fake-{gpu}\nDevice Minor: \t {gpu}\n"
            self._file(f"proc/driver/nvidia/gpus/{bus(gpu)}/information", text)

    def device_files(self, *gpus: int) -> None:
        for gpu in gpus:
            self._file(f"dev/nvidia{gpu}", "")

    def holds(self, pid: int, gpu: int) -> None:
        """A process that has a GPU's device file open."""
        folder = self.root / "proc" / str(pid) / "fd"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(7 + gpu)).symlink_to(f"/dev/nvidia{gpu}")

    def module(self, *, loaded: bool) -> None:
        """The kernel's module, each time another one."""
        folder = self.root / "sys/module/nvidia"
        if folder.exists():
            folder.rename(folder.with_name(f"before {time.monotonic_ns()}"))
        if loaded:
            self._file("sys/module/nvidia/version", "570.86.15\n")

    def container(self) -> None:
        self._file(".dockerenv", "")

    def _file(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    # --- what it was asked --------------------------------------------------------------------------------------

    def calls(self) -> Counter[str]:
        """How often each "FUNCTION GPU" was called."""
        return Counter(self._calls.read_text().splitlines())


def bus(gpu: int) -> str:
    """Where a GPU is on the PCI bus."""
    return f"0000:{0x17 + gpu:02x}:00.0"


def until(look: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {deadline_s} s"
        time.sleep(0.01)
    return found


@contextmanager
def sampling(rate_hz: float = 20.0, command: tuple[str, ...] | None = None) -> Iterator[Sampler]:
    """A running sampler."""
    sampler = Sampler(rate_hz, command)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def sample_where(sampler: Sampler, holds: Callable[[Sample], bool], deadline_s: float = DEADLINE_S) -> Sample:
    """The first sample of which something holds."""

    def look() -> Sample | None:
        sample = sampler.latest()[1]
        return sample if sample is not None and holds(sample) else None

    return until(look, deadline_s)


def is_ready(sample: Sample) -> bool:
    return bool(sample.gpus) and all(gpu.state != "starting" for gpu in sample.gpus)


def absent(cell: Cell) -> Absent:
    assert isinstance(cell, Absent), cell
    return cell
