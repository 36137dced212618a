"""The processes that hold a GPU, as the driver lists them, and how much of it each used.

The lists are read with a buffer that is kept large enough, so that each costs one call; pynvml asks twice.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from ....cells import UNREAD, Absent, Cell, CellState
from ....samples import ProcessSample
from ...readings import Device, ProcessReading
from . import calls
from .codes import NOT_FOUND, TOO_SMALL, absent, code_of

ROOM: Final = 64
MOST: Final = 8192
"""A GPU with more processes than this is listed in part."""

_NO_INSTANCE: Final = 0xFFFFFFFF
_NO_MEMORY: Final = 0xFFFFFFFFFFFFFFFF
_HIDDEN: Final = Absent(state=CellState.NOT_SUPPORTED, why="the driver does not say how much memory a process holds")
_WHOLE: Final = Absent(state=CellState.NOT_SUPPORTED, why="the GPU is not partitioned")

_PIDS: Final = "pids"
_NO_USE: Final = "why no use is known"
LOOK_BACK_US: Final = 6_000_000


class ProcessV1(ctypes.Structure):
    """What drivers before R460 list."""

    _fields_ = [("pid", ctypes.c_uint), ("memory", ctypes.c_ulonglong)]


class ProcessV2(ctypes.Structure):
    """nvmlProcessInfo_v2_t, which `_v2` and `_v3` of the calls fill (nvml.h)."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("memory", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class Use(ctypes.Structure):
    """nvmlProcessUtilizationSample_t."""

    _fields_ = [
        ("pid", ctypes.c_uint),
        ("stamp", ctypes.c_ulonglong),
        ("sm", ctypes.c_uint),
        ("memory", ctypes.c_uint),
        ("encoder", ctypes.c_uint),
        ("decoder", ctypes.c_uint),
    ]


def _filled(device: Device, name: str, kind: type[ctypes.Structure], ask: Callable[[Any, Any], int]) -> list[Any]:
    """What a call writes into a buffer; the buffer grows when it is too small, and stays so."""
    room = int(device.notes.get(name, ROOM))
    while True:
        rows, count = (kind * room)(), ctypes.c_uint(room)
        code = ask(rows, ctypes.byref(count))
        if code == 0:
            return list(rows[: min(count.value, room)])
        if code != TOO_SMALL or room >= MOST:
            raise calls.error(code)
        room = device.notes[name] = min(MOST, max(2 * room, count.value + ROOM))


def _listed(symbol: str, kind: type[ctypes.Structure]) -> calls.Call:
    def look(device: Device) -> list[Any]:
        ask = calls.function("_nvmlGetFunctionPointer")(symbol)
        return _filled(device, symbol, kind, lambda rows, count: ask(device.handle, count, rows))

    return look


def _processes(kind: str) -> Callable[[Any, Device], Sequence[ProcessSample]]:
    def fill(rows: Any, device: Device) -> Sequence[ProcessSample]:
        device.notes.setdefault(_PIDS, {})[kind] = {int(row.pid) for row in rows}
        return tuple(
            ProcessSample(
                pid=int(row.pid),
                gpu_uuid=device.uuid,
                kind=kind,
                gpu_memory_bytes=_HIDDEN if row.memory == _NO_MEMORY else int(row.memory),
                sm_percent=device.notes.get(_NO_USE, UNREAD),
                gpu_instance=_instance(row),
            )
            for row in rows
        )

    return fill


def _instance(row: Any) -> Cell:
    number = getattr(row, "gpu_instance", _NO_INSTANCE)
    return _WHOLE if number == _NO_INSTANCE else int(number)


# --- use of each ----------------------------------------------------------------------------------------------


def _measure(device: Device) -> list[Any]:
    """What each used since the last time: 2 ms on an H200."""
    since = device.notes.get("used since", time.time_ns() // 1000 - LOOK_BACK_US)
    ask = calls.function("_nvmlGetFunctionPointer")
    try:
        use = ask("nvmlDeviceGetProcessUtilization")
        rows = _filled(
            device, "use", Use, lambda rows, count: use(device.handle, rows, count, ctypes.c_ulonglong(since))
        )
    except Exception as error:
        if code_of(error) != NOT_FOUND:
            device.notes[_NO_USE] = absent(error)
            raise
        rows = []  # nobody used it since
    device.notes[_NO_USE] = UNREAD
    device.notes["used since"] = max([since, *(int(row.stamp) for row in rows)])
    return rows


def _uses(rows: Any, device: Device) -> Sequence[ProcessSample]:
    """Percent of the SMs' time; a listed process that the driver does not name used none."""
    percents = dict.fromkeys(set().union(*device.notes.get(_PIDS, {}).values()), 0)
    for row in sorted(rows, key=lambda row: int(row.stamp)):
        percents[int(row.pid)] = min(100, int(row.sm))
    return tuple(ProcessSample(pid=pid, gpu_uuid=device.uuid, sm_percent=sm) for pid, sm in percents.items())


def _row(kind: str, function: str, every_s: float) -> ProcessReading:
    symbols = ((f"{function}_v3", ProcessV2), (f"{function}_v2", ProcessV2), (function, ProcessV1))
    return ProcessReading(kind, every_s, tuple(_listed(*symbol) for symbol in symbols), _processes(kind))


PROCESSES: Final[tuple[ProcessReading, ...]] = (
    _row("compute", "nvmlDeviceGetComputeRunningProcesses", 3.0),
    _row("graphics", "nvmlDeviceGetGraphicsRunningProcesses", 30.0),
    _row("mps", "nvmlDeviceGetMPSComputeRunningProcesses", 30.0),
    ProcessReading("use of each", 6.0, (_measure,), _uses, lists=False),
)
