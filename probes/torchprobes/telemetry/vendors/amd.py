"""AMD's GPUs through the Python package `amdsmi`, which comes with ROCm.

Written against the interface of amdsmi 6.4 to 7.0 and tested with a fake of it. It was never run on an AMD GPU: units
and names are those of its documentation (ROCm/amdsmi, py-interface/README.md).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import ProcessSample
from ..readings import ONCE, Device, Memory, Opened, ProcessReading, Reading
from .untold import untold

ROCM: Final = Path("/opt/rocm/share/amd_smi")
"""Where ROCm puts the package for those who do not install it."""

MIB: Final = 1 << 20

_NOT, _PERM, _ERROR = CellState.NOT_SUPPORTED, CellState.PERMISSION, CellState.ERROR

STATES: Final[dict[int, tuple[CellState, str]]] = {
    2: (_NOT, "this GPU does not support it"),
    3: (_NOT, "this driver does not answer it yet"),
    5: (_NOT, "this driver library does not know the call"),
    8: (_ERROR, "the driver gave up waiting for the GPU"),
    10: (_PERM, "the driver denies it to this user: it may have to be in the groups video and render"),
    12: (_ERROR, "the GPU cannot be read"),
    30: (_ERROR, "the GPU is busy"),
    31: (_ERROR, "the driver has no such object"),
    32: (_ERROR, "the driver was closed or reloaded under us; it is opened again"),
    34: (_ERROR, "the amdgpu driver is not loaded: modprobe amdgpu, then look at dmesg"),
    40: (_ERROR, "the driver has no data yet"),
    52: (_NOT, "this driver does not show it"),
}
"""amdsmi_status_t -> why a cell is absent (amdsmi.h)."""

REOPEN: Final = frozenset({32, 34})

_NO_FIGURE: Final = Absent(state=_NOT, why="this GPU has no figure for it")
GENERATIONS: Final = ((2500, 1), (5000, 2), (8000, 3), (16000, 4), (32000, 5), (64000, 6))
"""MT/s of a PCIe lane -> generation."""


class UnknownCall(Exception):
    """The installed amdsmi has no such function."""


def is_installed(rocm: Path = ROCM) -> bool:
    """Whether the package can be imported, here or from where ROCm puts it."""
    return importlib.util.find_spec("amdsmi") is not None or (rocm / "amdsmi").is_dir()


def library(rocm: Path = ROCM) -> Any:
    """The package; raises what its import raises."""
    if importlib.util.find_spec("amdsmi") is None and str(rocm) not in sys.path:
        sys.path.append(str(rocm))
    return importlib.import_module("amdsmi")


def _ask(name: str, *arguments: Any) -> Any:
    known = getattr(sys.modules.get("amdsmi"), name, None)
    if known is None:
        raise UnknownCall(f"the installed amdsmi does not know {name}")
    return known(*arguments)


def _constant(group: str, name: str) -> Any:
    return getattr(getattr(sys.modules.get("amdsmi"), group), name)


def _call(name: str, *constants: tuple[str, str]) -> Callable[[Device], Any]:
    return lambda device: _ask(name, device.handle, *(_constant(*constant) for constant in constants))


# --- what is made of an answer ---------------------------------------------------------------------------------


def number(value: Any) -> Cell:
    """A number; the package writes "N/A" and all ones where the GPU has none."""
    if isinstance(value, str) or value is None or value in (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
        return _NO_FIGURE
    return float(value) if isinstance(value, float) else int(value)


def scaled(factor: float) -> Callable[[Any], Cell]:
    """A number in another unit."""

    def take(value: Any) -> Cell:
        cell = number(value)
        return cell if isinstance(cell, (Absent, str)) else cell * factor

    return take


def text(value: Any) -> Cell:
    """A text, bounded and printable."""
    shown = "".join(c if c.isprintable() else "?" for c in str(value).strip())[:120]
    return _NO_FIGURE if shown in ("", "N/A") else shown


def generation(value: Any) -> Cell:
    """The PCIe generation of a lane's speed, which is given in MT/s now and in GT/s as the limit."""
    speed = number(value)
    if isinstance(speed, (Absent, str)):
        return speed
    speed = speed * 1000 if speed < GENERATIONS[0][0] / 10 else speed
    return next((number for most, number in GENERATIONS if speed <= most), f"{speed} MT/s")


def _of(key: str, take: Callable[[Any], Cell] = number, within: str = "") -> Callable[[Any], Cell]:
    return lambda answer: take((answer[within] if within else answer)[key])


def _socket_power(answer: Any) -> Cell:
    """Watts: the key's name changed from release to release."""
    for key in ("socket_power", "current_socket_power", "average_socket_power"):
        cell = number(answer.get(key))
        if not isinstance(cell, Absent):
            return cell
    return _NO_FIGURE


def _energy(answer: Any) -> Cell:
    ticks = number(answer.get("energy_accumulator", answer.get("power")))
    if isinstance(ticks, (Absent, str)):
        return ticks
    return float(ticks * answer["counter_resolution"] / 1e6)


def _bad_pages(answer: Any) -> Cell:
    """How many pages of memory are retired; releases before 6 answer a text when there are none."""
    return len(answer) if isinstance(answer, (list, tuple)) else 0


def _row(name: str, every_s: float, call: Callable[[Device], Any], /, **cells: Callable[[Any], Cell]) -> Reading:
    def fill(answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Any]:
        return {cell: _taken(take, answer) for cell, take in cells.items()}

    return Reading(name, every_s, (call,), tuple(cells), fill)


def _taken(take: Callable[[Any], Cell], answer: Any) -> Cell:
    try:
        return take(answer)
    except (TypeError, ValueError, AttributeError, LookupError) as odd:
        return Absent(state=_ERROR, why=f"the driver answered {answer!r}: {odd}"[:200])


# --- rows ------------------------------------------------------------------------------------------------------


def _temperature(cell: str, every_s: float, sensor: str, metric: str = "CURRENT") -> Reading:
    call = _call("amdsmi_get_temp_metric", ("AmdSmiTemperatureType", sensor), ("AmdSmiTemperatureMetric", metric))
    return _row(cell, every_s, call, **{cell: number})


_ROWS: Final[tuple[Reading, ...]] = (
    _row(
        "activity",
        0.0,
        _call("amdsmi_get_gpu_activity"),
        utilization_percent=_of("gfx_activity"),
        memory_utilization_percent=_of("umc_activity"),
    ),
    _row(
        "memory",
        0.0,
        _call("amdsmi_get_gpu_vram_usage"),
        memory_used_bytes=_of("vram_used", scaled(MIB)),
        memory_total_bytes=_of("vram_total", scaled(MIB)),
    ),
    _row("power", 0.0, _call("amdsmi_get_power_info"), power_w=_socket_power),
    _temperature("temperature_c", 0.0, "HOTSPOT"),
    _temperature("memory_temperature_c", 0.0, "VRAM"),
    _row("clock", 0.0, _call("amdsmi_get_clock_info", ("AmdSmiClkType", "GFX")), sm_clock_mhz=_of("clk")),
    _row("memory clock", 10.0, _call("amdsmi_get_clock_info", ("AmdSmiClkType", "MEM")), memory_clock_mhz=_of("clk")),
    _row(
        "PCIe",
        10.0,
        _call("amdsmi_get_pcie_info"),
        pcie_generation=_of("pcie_speed", generation, "pcie_metric"),
        pcie_width=_of("pcie_width", number, "pcie_metric"),
        pcie_replays=_of("pcie_replay_count", number, "pcie_metric"),
    ),
    _row("power limit", 30.0, _call("amdsmi_get_power_cap_info"), power_limit_w=_of("power_cap", scaled(1e-6))),
    _row("energy", 60.0, _call("amdsmi_get_energy_count"), energy_j=_energy),
    _row(
        "ECC",
        30.0,
        _call("amdsmi_get_gpu_total_ecc_count"),
        ecc_corrected_volatile=_of("correctable_count"),
        ecc_uncorrected_volatile=_of("uncorrectable_count"),
    ),
    _row("bad pages", 60.0, _call("amdsmi_get_gpu_bad_page_info"), retired_double_bit_pages=_bad_pages),
    _row(
        "chip",
        ONCE,
        _call("amdsmi_get_gpu_asic_info"),
        name=_of("market_name", text),
        serial=_of("asic_serial", text),
        compute_capability=_of("target_graphics_version", text),
    ),
    _row("board", ONCE, _call("amdsmi_get_gpu_board_info"), board_part_number=_of("model_number", text)),
    _row("vBIOS", ONCE, _call("amdsmi_get_gpu_vbios_info"), vbios=_of("version", text)),
    _row(
        "limits of power",
        ONCE,
        _call("amdsmi_get_power_cap_info"),
        power_default_limit_w=_of("default_power_cap", scaled(1e-6)),
        power_max_limit_w=_of("max_power_cap", scaled(1e-6)),
        power_min_limit_w=_of("min_power_cap", scaled(1e-6)),
    ),
    _row(
        "limits of PCIe",
        ONCE,
        _call("amdsmi_get_pcie_info"),
        pcie_generation_max=_of("max_pcie_speed", generation, "pcie_static"),
        pcie_width_max=_of("max_pcie_width", number, "pcie_static"),
    ),
    _row(
        "clock limit", ONCE, _call("amdsmi_get_clock_info", ("AmdSmiClkType", "GFX")), sm_clock_max_mhz=_of("max_clk")
    ),
    _temperature("temperature_slowdown_c", ONCE, "HOTSPOT", "CRITICAL"),
    _temperature("temperature_shutdown_c", ONCE, "HOTSPOT", "EMERGENCY"),
    _temperature("memory_temperature_max_c", ONCE, "VRAM", "CRITICAL"),
    _row("NUMA node", ONCE, _call("amdsmi_topo_get_numa_node_number"), numa_node=number),
)

READINGS: Final = (*_ROWS, untold(_ROWS, "amdsmi does not tell it, or it is not asked for on AMD"))


def _processes(answer: Any, device: Device) -> Sequence[ProcessSample]:
    """Those with memory on this GPU: the driver lists every ROCm process of the node for each."""
    rows = ((int(row["pid"]), number(row.get("memory_usage", {}).get("vram_mem", row.get("mem")))) for row in answer)
    return tuple(
        ProcessSample(pid=pid, gpu_uuid=device.uuid, gpu_memory_bytes=memory, sm_percent=_UNTOLD)
        for pid, memory in rows
        if memory != 0
    )


_UNTOLD: Final = Absent(state=_NOT, why="amdsmi tells no share of each process")


class Amd:
    """The amdsmi library."""

    name: str = "amd"
    readings: tuple[Reading, ...] = READINGS
    processes: tuple[ProcessReading, ...] = (
        ProcessReading("compute", 2.0, (_call("amdsmi_get_gpu_process_list"),), _processes),
    )

    def __init__(self) -> None:
        self._handles: list[Any] = []

    def open(self) -> Opened:
        """Initialise the library and list its GPUs; raises what it says."""
        library()
        _ask("amdsmi_init")
        count = self.count()
        return Opened(version=self._driver(), cuda=_NO_CUDA, count=count)

    def count(self) -> int:
        """List the GPUs again; raises what the library says."""
        self._handles = list(_ask("amdsmi_get_processor_handles"))
        return len(self._handles)

    def close(self) -> None:
        """Let go of the library."""
        self._handles = []
        _ask("amdsmi_shut_down")

    def identify(self, index: int) -> Device:
        """The GPU of an index; raises what the library says."""
        handle = self._handles[index]
        uuid, bus_id = _ask("amdsmi_get_gpu_device_uuid", handle), _ask("amdsmi_get_gpu_device_bdf", handle)
        return Device(handle=handle, index=index, uuid=str(text(uuid)), bus_id=str(text(bus_id)))

    def absent(self, error: Exception) -> Absent:
        """Why a call failed, as a cell."""
        code = getattr(error, "err_code", None)
        if isinstance(error, UnknownCall):
            return Absent(state=_NOT, why=str(error))
        if not isinstance(code, int):
            return Absent(state=_ERROR, why=f"{type(error).__name__}: {error}"[:200])
        state, why = STATES.get(int(code), (_ERROR, f"the driver answers {int(code)}: {error}"[:200]))
        return Absent(state=state, why=why, code=int(code))

    def is_final(self, cell: Absent) -> bool:
        """Not supported stays so."""
        return cell.state is _NOT

    def is_unknown(self, error: Exception) -> bool:
        """The installed package has no such function."""
        return isinstance(error, UnknownCall)

    def wants_reopening(self, cell: Absent) -> bool:
        """The driver was closed or reloaded under us."""
        return cell.code in REOPEN

    def open_failure(self, error: Exception) -> str:
        """Why it could not be opened, and what to do."""
        return f"amdsmi cannot be opened: {self.absent(error).why}"

    def topology(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """Not told yet: the names of XGMI links differ between releases."""
        return ()

    def peers(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """Not told: nothing of it is asked of this library."""
        return ()

    def _driver(self) -> Cell:
        if not self._handles:
            return UNREAD
        try:
            return text(_ask("amdsmi_get_gpu_driver_info", self._handles[0])["driver_version"])
        except Exception as error:  # noqa: BLE001 - it becomes a cell
            return self.absent(error)


_NO_CUDA: Final = Absent(state=_NOT, why="AMD's driver runs no CUDA")
