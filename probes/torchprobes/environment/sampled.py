"""What a sample says of what a node is made of: settings of GPUs, driver, links; nothing that changes by the second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ..cells import UNREAD, Absent, Cell, CellState
from ..model import Inventory
from ..samples import GpuSample, Sample

UNTOLD: Final = Absent(state=CellState.ERROR, why="the driver did not say it")
_UNKNOWN: Final = "?"

Words = Callable[[int | float | str], str]


class _Setting(NamedTuple):
    """A cell of the sample and how it is said."""

    cell: str
    say: Words = str


def _unit(unit: str) -> Words:
    return lambda value: f"{value:g} {unit}" if isinstance(value, (int, float)) else str(value)


def _gib(value: int | float | str) -> str:
    return f"{value / 2**30:.1f} GiB" if isinstance(value, (int, float)) else str(value)


def _one_of(*words: str) -> Words:
    """The words of a small number; a number beyond them is told as it is."""
    return lambda value: words[value] if isinstance(value, int) and 0 <= value < len(words) else str(value)


_ON: Final = _one_of("off", "on")

GPU: Final[dict[str, _Setting]] = {
    "name": _Setting("name"),
    "part number": _Setting("board_part_number"),
    "memory": _Setting("memory_total_bytes", _gib),
    "power limit": _Setting("power_limit_w", _unit("W")),
    "default power limit": _Setting("power_default_limit_w", _unit("W")),
    "max power limit": _Setting("power_max_limit_w", _unit("W")),
    "ECC": _Setting("ecc_mode", _ON),
    "ECC after reset": _Setting("ecc_pending", _ON),
    "MIG": _Setting("mig_mode", _ON),
    "persistence mode": _Setting("persistence_mode", _ON),
    "compute mode": _Setting("compute_mode", _one_of("default", "exclusive thread", "prohibited", "exclusive process")),
    "max SM clock": _Setting("sm_clock_max_mhz", _unit("MHz")),
    "max memory clock": _Setting("memory_clock_max_mhz", _unit("MHz")),
    "application SM clock": _Setting("application_sm_clock_mhz", _unit("MHz")),
    "application memory clock": _Setting("application_memory_clock_mhz", _unit("MHz")),
    "max PCIe generation": _Setting("pcie_generation_max"),
    "max PCIe width": _Setting("pcie_width_max"),
    "PCIe width": _Setting("pcie_width"),
    "BAR1": _Setting("bar1_total_bytes", _gib),
    "NVLinks": _Setting("nvlinks"),
    "active NVLinks": _Setting("nvlinks_active"),
    "NVLink speed": _Setting("nvlink_speed_mbytes_per_s", _unit("MB/s")),
    "VBIOS": _Setting("vbios"),
    "InfoROM": _Setting("inforom"),
    "GSP": _Setting("gsp_mode"),
    "GSP firmware": _Setting("gsp_firmware"),
    "compute capability": _Setting("compute_capability"),
    "NUMA node": _Setting("numa_node"),
    "CPU affinity": _Setting("cpu_affinity"),
    "slowdown temperature": _Setting("temperature_slowdown_c", _unit("°C")),
    "memory temperature limit": _Setting("memory_temperature_max_c", _unit("°C")),
    "remapped rows": _Setting("remapped_uncorrectable_rows"),
}  # fmt: skip
"""What is said of each GPU, as `GPU0 power limit`. A width and not a generation of PCIe: an idle link sleeps in a lower
generation and keeps its lanes. Words of modes are those of nvml.h (nvmlComputeMode_t, nvmlEnableState_t)."""

HOST: Final[dict[str, _Setting]] = {
    "fabric manager": _Setting("fabric_manager", _one_of("not running", "running")),
    "persistence daemon": _Setting("persistence_daemon", _one_of("not running", "running")),
    "peer memory module": _Setting("peermem_loaded", _one_of("not loaded", "loaded")),
    "NVSwitches": _Setting("nvswitches"),
    "IOMMU": _Setting("iommu"),
    "denied modules": _Setting("denied_modules"),
}


def inventory(sample: Sample) -> Inventory:
    """Kinds driver, gpu, topology. What a device does not have is left out, any other absence is `unread`."""
    taking = _Taking()
    taking.put("driver", "state", sample.driver_state)
    taking.put("driver", "driver", sample.driver)
    taking.put("driver", "CUDA", sample.cuda)
    taking.put("driver", "kernel module", sample.kernel_module)
    for name, setting in HOST.items():
        taking.put("driver", name, getattr(sample.host, setting.cell), setting.say)
    for gpu in sample.gpus:
        _put_gpu(taking, gpu)
    _put_links(taking, sample)
    return Inventory(parts=taking.parts, unread=taking.unread)


def gpu_settings(gpu: Mapping[str, Any]) -> dict[str, str]:
    """The same of the cells that a report keeps of a GPU; an absent cell is left out."""
    found = {}
    for name, setting in GPU.items():
        cell = gpu.get(setting.cell)
        if isinstance(cell, (int, float, str)) and not isinstance(cell, bool) and cell != "":
            found[f"GPU{gpu.get('index', '?')} {name}"] = setting.say(cell)
    return found


def settled(sample: Sample) -> bool:
    """Whether nothing of it still waits for its first reading: driver, host, each GPU that answers, and their links."""
    answering = [gpu for gpu in sample.gpus if gpu.state in ("ok", "starting")]
    cells = [getattr(gpu, setting.cell) for gpu in answering for setting in GPU.values()]
    cells += [getattr(sample.host, setting.cell) for setting in HOST.values()]
    cells += [sample.driver, sample.cuda, sample.kernel_module]
    waiting = any(isinstance(cell, Absent) and cell.why == UNREAD.why for cell in cells)
    return not waiting and (len(answering) < 2 or bool(sample.topology))


class _Taking:
    """Cells as they become text, or a reason."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, str]] = {}
        self.unread: dict[str, str] = {}

    def put(self, kind: str, name: str, cell: Cell, say: Words = str) -> None:
        if isinstance(cell, Absent):
            if cell.state is not CellState.NOT_SUPPORTED:
                self.unread[f"{kind}/{name}"] = cell.why
        elif cell != "":
            self.parts.setdefault(kind, {})[name] = say(cell)


def _put_gpu(taking: _Taking, gpu: GpuSample) -> None:
    label = f"GPU{gpu.index}"
    if gpu.state != "ok":
        taking.put("gpu", f"{label} state", gpu.state)
    for name, setting in GPU.items():
        taking.put("gpu", f"{label} {name}", getattr(gpu, setting.cell), setting.say)
    profiles = sorted(str(mig.name) for mig in gpu.migs if isinstance(mig.name, str))
    taking.put("gpu", f"{label} MIG devices", ", ".join(profiles))


def _put_links(taking: _Taking, sample: Sample) -> None:
    """The upper half of each matrix: a link is the same from both ends."""
    if len(sample.gpus) > 1 and not sample.topology:
        taking.unread["topology"] = "it was not read yet when the sample was taken"
    for start, matrix in (("", sample.topology), ("P2P: ", sample.peers)):
        for row, (gpu, cells) in enumerate(zip(sample.gpus, matrix, strict=False)):
            for other, cell in list(zip(sample.gpus, cells, strict=False))[row + 1 :]:
                known = UNTOLD if cell == _UNKNOWN else cell
                taking.put("topology", f"{start}GPU{gpu.index}-GPU{other.index}", known)
