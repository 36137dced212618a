"""Intel's GPUs through Level Zero Sysman (`libze_loader.so.1`), by ctypes.

Written against zes_api.h of Level Zero 1.13 and tested with a fake library built from the same structs. It was never
run on an Intel GPU: units and names are those of the specification (spec.oneapi.io/level-zero, Sysman).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import ProcessSample
from ..readings import ONCE, Device, Memory, Opened, ProcessReading, Reading
from . import sysman as zes
from .untold import untold

_NOT, _ERROR = CellState.NOT_SUPPORTED, CellState.ERROR

STATES: Final[dict[int, tuple[CellState, str]]] = {
    1: (_ERROR, "the GPU is not ready to answer"),
    0x70000001: (CellState.LOST, "the GPU is lost"),
    0x70000006: (CellState.RESET, "the GPU must be reset"),
    0x70000007: (_ERROR, "the GPU sleeps and is not woken for this"),
    0x70010000: (CellState.PERMISSION, "the driver denies it to this user: it may have to be in the group render"),
    0x70010001: (_ERROR, "the driver does not have it now"),
    0x70020000: (_ERROR, "the driver lacks something that it depends on"),
    0x78000001: (_ERROR, "the driver was closed or reloaded under us; it is opened again"),
    0x78000002: (_NOT, "this driver does not know this version of the call"),
    0x78000003: (_NOT, "this GPU does not support it"),
    0x7800000D: (_NOT, "this driver does not know what is asked for"),
}
"""ze_result_t -> why a cell is absent (ze_api.h)."""

REASONS: Final = ((0x1 | 0x2 | 0x4, 0x4), (0x8, 0x40), (0x10, 0x80), (0x20, 0x2), (0x40, 0x8))
"""zes_freq_throttle_reason_flags_t -> the bit of `samples.THROTTLE_REASONS` that means the same."""

_NONE: Final = Absent(state=_NOT, why="this GPU has no such sensor")

OF_DEVICE, OF_MEMORY, OF_GPU, OF_ALL, OF_COMPUTE = 1, 1, 0, 0, 1
"""Location of memory on the device; domain of the memory's clock and of the GPU's; groups of engines (zes_api.h)."""

COUNTED: Final = (3, 4, 5)
"""RAS categories that are the hardware's: compute, other engines, caches; not resets, programs or drivers."""


class Handle:
    """A device of Sysman with its parts, each listed once."""

    def __init__(self, library: zes.Library, device: Any) -> None:
        self.library, self.device = library, device
        self._parts: dict[str, list[tuple[Any, Any]]] = {}

    def read(self, name: str, kind: Any, *arguments: Any) -> Any:
        """A struct of the device itself."""
        return self.library.read(name, self.device, kind, *arguments)

    def parts(self, listing: str, describing: str, kind: Any) -> list[tuple[Any, Any]]:
        """Its parts of one kind, each with what describes it."""
        if listing not in self._parts:
            handles = self.library.handles(listing, self.device)
            self._parts[listing] = [(handle, self.library.read(describing, handle, kind)) for handle in handles]
        return self._parts[listing]


# --- calls -----------------------------------------------------------------------------------------------------


def _engines(device: Device) -> tuple[int, int] | None:
    """Active time and time stamp of all engines together, in microseconds; of the compute engines where not."""
    parts = device.handle.parts("zesDeviceEnumEngineGroups", "zesEngineGetProperties", zes.EngineProperties)
    for group in (OF_ALL, OF_COMPUTE):
        for handle, about in parts:
            if about.type == group:
                stats = device.handle.library.read("zesEngineGetActivity", handle, zes.EngineStats)
                return stats.active_us, stats.stamp_us
    return None


def _memory(device: Device) -> tuple[int, int] | None:
    """Used and total bytes of the memory on the device."""
    parts = device.handle.parts("zesDeviceEnumMemoryModules", "zesMemoryGetProperties", zes.MemoryProperties)
    states = [
        device.handle.library.read("zesMemoryGetState", handle, zes.MemoryState)
        for handle, about in parts
        if about.location == OF_DEVICE
    ]
    return (sum(s.size - s.free for s in states), sum(s.size for s in states)) if states else None


def _power_domain(device: Device) -> tuple[Any, Any] | None:
    parts = device.handle.parts("zesDeviceEnumPowerDomains", "zesPowerGetProperties", zes.PowerProperties)
    return next((part for part in parts if not part[1].on_subdevice), None)


def _energy(device: Device) -> tuple[int, int] | None:
    """Microjoules since boot and the time stamp in microseconds."""
    domain = _power_domain(device)
    if domain is None:
        return None
    energy = device.handle.library.read("zesPowerGetEnergyCounter", domain[0], zes.Energy)
    return energy.energy_uj, energy.stamp_us


def _power_limit(device: Device) -> int | None:
    domain = _power_domain(device)
    if domain is None:
        return None
    limit = zes.Sustained()
    device.handle.library.call("zesPowerGetLimits", domain[0], ctypes.byref(limit), None, None)
    return int(limit.power_mw) if limit.enabled else None


def _temperatures(device: Device) -> dict[int, float]:
    """Sensor type (0 the whole device, 1 GPU, 2 memory) -> degrees C."""
    parts = device.handle.parts(
        "zesDeviceEnumTemperatureSensors", "zesTemperatureGetProperties", zes.TemperatureProperties
    )
    found: dict[int, float] = {}
    for handle, about in parts:
        value = device.handle.library.read("zesTemperatureGetState", handle, zes.Celsius).value
        found[about.type] = max(value, found.get(about.type, value))
    return found


def _frequency(domain: int) -> Callable[[Device], Any]:
    def look(device: Device) -> Any:
        for handle, about in _domains(device):
            if about.type == domain:
                return device.handle.library.read("zesFrequencyGetState", handle, zes.FrequencyState)
        return None

    return look


def _domains(device: Device) -> list[tuple[Any, Any]]:
    listed: list[tuple[Any, Any]] = device.handle.parts(
        "zesDeviceEnumFrequencyDomains", "zesFrequencyGetProperties", zes.FrequencyProperties
    )
    return listed


def _errors(device: Device) -> dict[int, int]:
    """Kind of error (0 corrected, 1 not) -> how many the hardware's parts had."""
    parts = device.handle.parts("zesDeviceEnumRasErrorSets", "zesRasGetProperties", zes.RasProperties)
    found: dict[int, int] = {}
    for handle, about in parts:
        state = device.handle.library.read("zesRasGetState", handle, zes.RasState, 0)
        found[about.type] = found.get(about.type, 0) + sum(state.category[place] for place in COUNTED)
    return found


def _asked(name: str, kind: Any) -> Callable[[Device], Any]:
    return lambda device: device.handle.read(name, kind)


# --- what is made of an answer ---------------------------------------------------------------------------------

Fill = Callable[[Any, Memory, float], Mapping[str, Any]]


def _cells(**takes: Callable[[Any], Any]) -> Fill:
    """Each cell from the answer; an answer of None has none of them."""

    def fill(answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Any]:
        if answer is None:
            return dict.fromkeys(takes, _NONE)
        return {cell: _NONE if (value := take(answer)) is None else value for cell, take in takes.items()}

    return fill


def _busy(answer: Any, memory: Memory, _now_s: float) -> Mapping[str, Any]:
    if answer is None:
        return {"utilization_percent": _NONE}
    share = memory.per_second("active", answer[0] / 1e6, answer[1] / 1e6)
    return {"utilization_percent": share if isinstance(share, (Absent, str)) else round(min(100.0, 100 * share))}


def _watts(answer: Any, memory: Memory, _now_s: float) -> Mapping[str, Any]:
    if answer is None:
        return {"power_w": _NONE}
    return {"power_w": memory.per_second("energy", answer[0] / 1e6, answer[1] / 1e6)}


def _bytes(answer: Any, memory: Memory, _now_s: float) -> Mapping[str, Any]:
    at = answer.stamp / 1e6
    return {
        "pcie_replays": answer.replays,
        "pcie_rx_bytes_per_s": memory.per_second("pcie rx", answer.received, at),
        "pcie_tx_bytes_per_s": memory.per_second("pcie tx", answer.sent, at),
    }


def reasons(flags: int) -> int:
    """What holds the clocks down, in the bits of `samples.THROTTLE_REASONS`; a flag that is new keeps its place."""
    known = sum({bit: bit for theirs, bit in REASONS if flags & theirs}.values())
    return known | (flags >> 7 << 16)


def _positive(value: float, factor: float = 1.0) -> float | None:
    """A limit or a clock; Sysman writes -1 where it is not known."""
    return value * factor if value > 0 else None


def _words(value: bytes) -> str | None:
    shown = "".join(c if c.isprintable() else "?" for c in value.decode(errors="replace").strip())
    return None if shown in ("", "unknown") else shown


def _row(name: str, every_s: float, call: Callable[[Device], Any], cells: Sequence[str], fill: Fill) -> Reading:
    return Reading(name, every_s, (call,), tuple(cells), fill)


def _simple(name: str, every_s: float, call: Callable[[Device], Any], /, **takes: Callable[[Any], Any]) -> Reading:
    return _row(name, every_s, call, tuple(takes), _cells(**takes))


def _domain_limit(domain: int) -> Callable[[Device], Any]:
    return lambda device: next((about for _, about in _domains(device) if about.type == domain), None)


_ROWS: Final[tuple[Reading, ...]] = (
    _row("engines", 0.0, _engines, ("utilization_percent",), _busy),
    _simple("memory", 0.0, _memory, memory_used_bytes=lambda m: m[0], memory_total_bytes=lambda m: m[1]),
    _row("power", 0.0, _energy, ("power_w",), _watts),
    _simple(
        "temperature",
        0.0,
        _temperatures,
        temperature_c=lambda t: t.get(1, t.get(0)),
        memory_temperature_c=lambda t: t.get(2),
    ),
    _simple(
        "clock",
        0.0,
        _frequency(OF_GPU),
        sm_clock_mhz=lambda f: _positive(f.actual_mhz),
        throttle_reasons=lambda f: reasons(f.throttle),
    ),
    _simple("memory clock", 10.0, _frequency(OF_MEMORY), memory_clock_mhz=lambda f: _positive(f.actual_mhz)),
    _simple("power limit", 30.0, _power_limit, power_limit_w=lambda mw: mw / 1000),
    _simple(
        "PCIe",
        10.0,
        _asked("zesDevicePciGetState", zes.PciState),
        pcie_generation=lambda p: _positive(p.speed.generation),
        pcie_width=lambda p: _positive(p.speed.width),
    ),
    _row(
        "PCIe counters",
        10.0,
        _asked("zesDevicePciGetStats", zes.PciStats),
        ("pcie_replays", "pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s"),
        _bytes,
    ),
    _simple("energy", 60.0, _energy, energy_j=lambda e: e[0] / 1e6),
    _simple(
        "errors",
        60.0,
        _errors,
        ecc_corrected_volatile=lambda e: e.get(0),
        ecc_uncorrected_volatile=lambda e: e.get(1),
    ),
    _simple(
        "device",
        ONCE,
        _asked("zesDeviceGetProperties", zes.DeviceProperties),
        name=lambda d: _words(d.core.name),
        serial=lambda d: _words(d.serial),
        board_part_number=lambda d: _words(d.board),
    ),
    _simple(
        "limits of power",
        ONCE,
        lambda device: (_power_domain(device) or (None, None))[1],
        power_default_limit_w=lambda p: _positive(p.default_mw, 1e-3),
        power_min_limit_w=lambda p: _positive(p.min_mw, 1e-3),
        power_max_limit_w=lambda p: _positive(p.max_mw, 1e-3),
    ),
    _simple("clock limit", ONCE, _domain_limit(OF_GPU), sm_clock_max_mhz=lambda f: _positive(f.max_mhz)),
    _simple("memory clock limit", ONCE, _domain_limit(OF_MEMORY), memory_clock_max_mhz=lambda f: _positive(f.max_mhz)),
    _simple(
        "limits of PCIe",
        ONCE,
        _asked("zesDevicePciGetProperties", zes.PciProperties),
        pcie_generation_max=lambda p: _positive(p.fastest.generation),
        pcie_width_max=lambda p: _positive(p.fastest.width),
    ),
)

READINGS: Final = (*_ROWS, untold(_ROWS, "Level Zero does not tell it, or it is not asked for on Intel"))

_UNTOLD: Final = Absent(state=_NOT, why="Level Zero tells no share of each process")


def _processes(rows: Any, device: Device) -> Sequence[ProcessSample]:
    return tuple(
        ProcessSample(pid=int(row.pid), gpu_uuid=device.uuid, gpu_memory_bytes=int(row.memory), sm_percent=_UNTOLD)
        for row in rows
    )


class Intel:
    """The Level Zero loader."""

    name: str = "intel"
    readings: tuple[Reading, ...] = READINGS
    processes: tuple[ProcessReading, ...] = (
        ProcessReading("compute", 2.0, (lambda d: d.handle.library.processes(d.handle.device),), _processes),
    )

    def __init__(self, library: str = zes.NAME) -> None:
        self._name = library
        self._library: zes.Library | None = None
        self._devices: list[Any] = []

    def open(self) -> Opened:
        """Initialise Sysman and list its GPUs; raises what it says."""
        self._library = zes.Library(self._name)
        self._library.call("zesInit", 0)
        count = self.count()
        version: Cell = UNREAD
        if count:
            about = self._library.read("zesDeviceGetProperties", self._devices[0], zes.DeviceProperties)
            version = _words(about.driver) or _NONE
        return Opened(version=version, cuda=_NO_CUDA, count=count)

    def count(self) -> int:
        """List the GPUs again; raises what Sysman says."""
        library = self._opened()
        drivers = library.handles("zesDriverGet")
        self._devices = [device for driver in drivers for device in library.handles("zesDeviceGet", driver)]
        return len(self._devices)

    def close(self) -> None:
        """Forget every handle; Sysman knows no way to be closed."""
        self._devices, self._library = [], None

    def identify(self, index: int) -> Device:
        """The GPU of an index; raises what Sysman says."""
        handle = Handle(self._opened(), self._devices[index])
        about = handle.read("zesDeviceGetProperties", zes.DeviceProperties)
        pci = handle.read("zesDevicePciGetProperties", zes.PciProperties)
        bus_id = f"{pci.domain:08x}:{pci.bus:02x}:{pci.device:02x}.{pci.function:x}"
        return Device(handle=handle, index=index, uuid=f"INTEL-{bytes(about.core.uuid).hex()}", bus_id=bus_id)

    def absent(self, error: Exception) -> Absent:
        """Why a call failed, as a cell."""
        if isinstance(error, zes.UnknownCall):
            return Absent(state=_NOT, why=str(error))
        if not isinstance(error, zes.Failed):
            return Absent(state=_ERROR, why=f"{type(error).__name__}: {error}"[:200])
        state, why = STATES.get(error.code, (_ERROR, str(error)))
        return Absent(state=state, why=why, code=error.code)

    def is_final(self, cell: Absent) -> bool:
        """Not supported stays so."""
        return cell.state is _NOT

    def is_unknown(self, error: Exception) -> bool:
        """The loader has no such function."""
        return isinstance(error, zes.UnknownCall)

    def wants_reopening(self, cell: Absent) -> bool:
        """The driver was closed or reloaded under us."""
        return cell.code == 0x78000001

    def open_failure(self, error: Exception) -> str:
        """Why it could not be opened, and what to do."""
        return f"Level Zero cannot be opened: {self.absent(error).why}"

    def topology(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """Not told: Xe Link ports are not read."""
        return ()

    def peers(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """Not told: nothing of it is asked of this library."""
        return ()

    def _opened(self) -> zes.Library:
        if self._library is None:
            raise zes.Failed("Level Zero", 0x78000001)
        return self._library


def is_installed(name: str = zes.NAME) -> bool:
    """Whether the loader's library is there."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


_NO_CUDA: Final = Absent(state=_NOT, why="Intel's driver runs no CUDA")
