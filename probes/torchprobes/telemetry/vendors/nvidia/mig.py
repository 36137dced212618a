"""Rows of MIG: whether a GPU is partitioned, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ....cells import Cell
from ....samples import MigSample
from ...readings import Device, Memory, Reading
from .calls import function, number, text
from .codes import INVALID_ARGUMENT, NOT_FOUND, OF_THE_DEVICE, absent, code_of

MOST_PARTS: Final = 32
"""More than any GPU can be partitioned into (7)."""


def _mode_and_parts(device: Device) -> tuple[int, tuple[MigSample, ...]]:
    """The current mode, and the parts where it is on."""
    current, _pending = function("nvmlDeviceGetMigMode")(device.handle)
    return int(current), parts(device) if int(current) == 1 else ()


def parts(device: Device) -> tuple[MigSample, ...]:
    """Every MIG device of a GPU; a place without one is no error."""
    places = min(int(function("nvmlDeviceGetMaxMigDeviceCount")(device.handle)), MOST_PARTS)
    found = (_part(device, place) for place in range(places))
    return tuple(part for part in found if part is not None)


def _part(device: Device, place: int) -> MigSample | None:
    try:
        handle = function("nvmlDeviceGetMigDeviceHandleByIndex")(device.handle, place)
    except Exception as error:
        if code_of(error) in (NOT_FOUND, INVALID_ARGUMENT):
            return None
        raise
    memory = _ask("nvmlDeviceGetMemoryInfo", handle)
    return MigSample(
        index=place,
        uuid=str(_cell("nvmlDeviceGetUUID", handle, text)),
        gpu_instance=_cell("nvmlDeviceGetGpuInstanceId", handle, number),
        compute_instance=_cell("nvmlDeviceGetComputeInstanceId", handle, number),
        name=_cell("nvmlDeviceGetName", handle, _profile),
        memory_used_bytes=absent(memory) if isinstance(memory, Exception) else number(memory.used),
        memory_total_bytes=absent(memory) if isinstance(memory, Exception) else number(memory.total),
    )


def _profile(name: Any) -> Cell:
    """`1g.10gb` of `NVIDIA H100 80GB HBM3 MIG 1g.10gb`."""
    words = str(text(name))
    return words.rpartition("MIG ")[2] or words


def _cell(name: str, handle: Any, take: Any) -> Cell:
    answer = _ask(name, handle)
    cell: Cell = absent(answer) if isinstance(answer, Exception) else take(answer)
    return cell


def _ask(name: str, handle: Any) -> Any:
    """An answer, or the exception in its place."""
    try:
        return function(name)(handle)
    except Exception as error:
        if code_of(error) in OF_THE_DEVICE:
            raise
        return error


def _fill(answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Any]:
    mode, migs = answer
    return {"mig_mode": mode, "migs": migs}


ROWS: Final[tuple[Reading, ...]] = (Reading("MIG", 60.0, (_mode_and_parts,), ("mig_mode", "migs"), _fill),)
