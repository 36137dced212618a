"""Rows of the PCIe link: its state, its errors as the GPU and as the kernel count them, and bytes a second.

The GPU's byte counters have 32 bits: at the rate of PCIe 5 x16 they wrap after 67 ms, and two readings some seconds
apart say nothing. So they are read twice within 5 ms, now and then: a rate over that short time, a sample and no mean,
or none when the second reading came too late to be sure. nvmlDeviceGetPcieThroughput would block for 20 ms instead.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ....cells import Absent, Cell, CellState
from ...host import files
from ...readings import ONCE, Device, Memory, Reading
from .calls import call, first_known, one
from .fields import ask, batch, fields

DEVICES: Final = Path("/sys/bus/pci/devices")

WINDOW_S: Final = 0.005
FASTEST_BYTES_PER_S: Final = 128e9
"""PCIe 6 x16, one way: no link moves more."""

_WRAPS: Final = 1 << 32
_BYTES: Final = (198, 197)
"""NVML_FI_DEV_PCIE_COUNT_RX_BYTES and TX_BYTES: "value can be wrapped" (nvml.h)."""

_TOO_LATE: Final = Absent(
    state=CellState.STALE, why="its 32-bit counter may have wrapped between two readings: the rate is not known"
)


def folder(bus_id: str, devices: Path = DEVICES) -> Path:
    """The kernel's folder of a device; its domain has four digits there, or as many as it needs."""
    found = re.fullmatch(r"([0-9a-f]{4,8})(:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", bus_id.lower())
    return devices / (f"{int(found[1], 16):04x}{found[2]}" if found else "no such device")


def read(path: Path) -> str:
    """A small file of the kernel's; raises OSError where it cannot be read."""
    return files.text(str(path), 4096).strip()


# --- bytes a second -------------------------------------------------------------------------------------------


def _bytes_twice(device: Device) -> tuple[tuple[Cell, ...], tuple[Cell, ...], float, float]:
    """Both counters, both again, the seconds between the middles of the two calls, and those that all of it took."""
    times = [time.monotonic()]
    earlier = ask(device, _BYTES)
    times.append(time.monotonic())
    device.pause(WINDOW_S)
    times.append(time.monotonic())
    later = ask(device, _BYTES)
    times.append(time.monotonic())
    return earlier, later, (times[2] + times[3] - times[0] - times[1]) / 2, times[3] - times[0]


def rate(earlier: Cell, later: Cell, seconds: float, at_most_s: float) -> Cell:
    """Bytes a second of a counter of 32 bits over `seconds`, if it cannot have wrapped twice within `at_most_s`."""
    if not isinstance(earlier, int) or not isinstance(later, int):
        return later if isinstance(earlier, int) else earlier
    if seconds <= 0 or at_most_s * FASTEST_BYTES_PER_S >= _WRAPS:
        return _TOO_LATE
    return round((later - earlier) % _WRAPS / seconds)


def _rates(answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Cell]:
    earlier, later, seconds, at_most_s = answer
    cells = ("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s")
    return {cell: rate(a, b, seconds, at_most_s) for cell, a, b in zip(cells, earlier, later, strict=True)}


# --- errors as the kernel counts them -------------------------------------------------------------------------


def aer(device: Device) -> dict[str, Cell]:
    """The kernel's counts of the link's errors (Documentation/ABI sysfs-bus-pci-devices-aer_stats)."""
    return {f"aer_{kind}": _aer_total(folder(device.bus_id) / f"aer_dev_{kind}") for kind in _AER}


def _aer_total(path: Path) -> Cell:
    try:
        text = read(path)
    except FileNotFoundError:
        return Absent(state=CellState.NOT_SUPPORTED, why="the kernel counts no PCIe errors for this device")
    except PermissionError:
        return Absent(state=CellState.PERMISSION, why="the kernel does not show its PCIe errors to this user")
    except OSError as error:
        return Absent(state=CellState.ERROR, why=f"{path.name}: {error.strerror}")
    found = re.search(r"^TOTAL_ERR_\w+ (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else Absent(state=CellState.ERROR, why=f"{path.name} holds no total")


_AER: Final = ("correctable", "nonfatal", "fatal")

COUNTERS: Final[tuple[Reading, ...]] = (
    one("pcie_generation", 15.0, call("nvmlDeviceGetCurrPcieLinkGeneration")),
    one("pcie_width", 30.0, call("nvmlDeviceGetCurrPcieLinkWidth")),
    one("pcie_replays", 20.0, first_known(lambda d: batch(94)(d)[0], call("nvmlDeviceGetPcieReplayCounter"))),
    Reading("PCIe bytes", 20.0, (_bytes_twice,), ("pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s"), _rates),
)

HEALTH: Final[tuple[Reading, ...]] = (
    fields(
        "PCIe errors",
        60.0,
        {
            "pcie_correctable_errors": 173,
            "pcie_naks_received": 174,
            "pcie_receiver_errors": 175,
            "pcie_bad_tlps": 176,
            "pcie_naks_sent": 177,
            "pcie_bad_dllps": 178,
            "pcie_nonfatal_errors": 179,
            "pcie_fatal_errors": 180,
            "pcie_lcrc_errors": 182,
            "pcie_lane_errors": 183,
        },
    ),
    Reading("kernel's PCIe errors", 30.0, (aer,), tuple(f"aer_{kind}" for kind in _AER), lambda cells, _m, _n: cells),
)

STATIC: Final[tuple[Reading, ...]] = (
    one("pcie_generation_max", ONCE, call("nvmlDeviceGetMaxPcieLinkGeneration")),
    one("pcie_width_max", ONCE, call("nvmlDeviceGetMaxPcieLinkWidth")),
)
