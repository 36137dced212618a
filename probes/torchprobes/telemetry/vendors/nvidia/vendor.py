"""NVIDIA as a `Vendor`."""

from __future__ import annotations

from collections.abc import Sequence

import pynvml

from ....cells import Absent, Cell, CellState
from ...readings import Device, Opened, ProcessReading, Reading
from . import codes
from .calls import function, text
from .processes import PROCESSES
from .readings import READINGS
from .topology import matrix, peers


class Nvidia:
    """NVML through pynvml. No CUDA context is ever made."""

    name: str = "nvidia"
    readings: tuple[Reading, ...] = READINGS
    processes: tuple[ProcessReading, ...] = PROCESSES

    def open(self) -> Opened:
        """Initialise NVML and count what it shows; raises what NVML says."""
        pynvml.nvmlInit()
        return Opened(version=_driver(), cuda=_cuda(), count=self.count())

    def count(self) -> int:
        """How many GPUs NVML shows now; raises what it says."""
        return int(pynvml.nvmlDeviceGetCount())

    def close(self) -> None:
        """Give every handle back, so that a GPU can be reset and the driver unloaded."""
        pynvml.nvmlShutdown()

    def identify(self, index: int) -> Device:
        """The GPU of an index, with its UUID and bus id; raises what NVML says."""
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid, pci = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetPciInfo(handle)
        return Device(handle=handle, index=index, uuid=str(text(uuid)), bus_id=str(text(pci.busId)))

    def absent(self, error: Exception) -> Absent:
        """Why a call failed, as a cell."""
        return codes.absent(error)

    def is_final(self, cell: Absent) -> bool:
        """Not supported and an unknown call stay so on this GPU with this driver."""
        return cell.state is CellState.NOT_SUPPORTED

    def is_unknown(self, error: Exception) -> bool:
        """The driver does not know this call or this version of its struct."""
        return codes.code_of(error) in codes.UNKNOWN

    def wants_reopening(self, cell: Absent) -> bool:
        """The driver was closed, reloaded or unloaded under us."""
        return cell.code in codes.REOPEN

    def open_failure(self, error: Exception) -> str:
        """Why NVML could not be opened, and what to do."""
        return codes.open_failure(error)

    def topology(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """How the GPUs are connected, as `nvidia-smi topo -m` says it."""
        return matrix(devices)

    def peers(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """Which of them may read another's memory, as `nvidia-smi topo -p2p r` says it."""
        return peers(devices)


def _driver() -> Cell:
    try:
        return text(pynvml.nvmlSystemGetDriverVersion())
    except Exception as error:  # noqa: BLE001 - it becomes a cell
        return codes.absent(error)


def _cuda() -> Cell:
    """The newest CUDA that this driver runs, "12.8"."""
    try:
        number = int(function("nvmlSystemGetCudaDriverVersion")())
    except Exception as error:  # noqa: BLE001 - it becomes a cell
        return codes.absent(error)
    return f"{number // 1000}.{number % 1000 // 10}"
