"""NVML as tables: which call fills which cells, and what each return code means. Only the sampler child imports it.

A call is tried under its newer name first, so that every driver from R450 on gives what it has. NotSupported and
FunctionNotFound are final for a GPU and are asked once; every other error is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from ..samples import Absent, Cell, CellState
from . import hardware

RECOVERY_ACTION = 230
"""NVML_FI_DEV_GET_GPU_RECOVERY_ACTION (nvml.h): the driver's own verdict."""

_STATES: dict[int, tuple[CellState, str]] = {
    3: (CellState.NOT_SUPPORTED, "this GPU does not support it"),
    4: (CellState.PERMISSION, "the driver denies it to this user"),
    13: (CellState.NOT_SUPPORTED, "this driver does not know the call"),
    15: (CellState.LOST, "the GPU has fallen off the bus"),
    16: (CellState.RESET, "the GPU must be reset"),
}
"""NVML return code -> why a cell is absent (nvml.h, nvmlReturn_t)."""

FINAL = frozenset({3, 13})

INIT_WORDS: dict[int, str] = {
    4: "the driver denies access to this user: look at the mode of /dev/nvidia* and the container's device rules",
    9: "the NVIDIA driver is not loaded: modprobe nvidia, then look at dmesg",
    12: "the NVIDIA driver library is not installed; in a container, start it with --gpus all",
    18: "driver library and kernel module are of different versions: reboot, or reload the module after the upgrade",
    28: "the driver is in use by a virtual machine's host",
    999: "the driver answers 'unknown error': in a container that worked before, create it again (its device rules "
    "are lost after systemctl daemon-reload); else look at dmesg",
}


def absent(error: Exception, age_s: float | None = None) -> Absent:
    """Why a reading failed, as a cell."""
    code = getattr(error, "value", None)
    if not isinstance(code, int):
        return Absent(state=CellState.ERROR, why=f"{type(error).__name__}: {error}", age_s=age_s)
    state, why = _STATES.get(code, (CellState.ERROR, str(error)))
    return Absent(state=state, why=why, code=code, age_s=age_s)


def init_failure(error: Exception) -> str:
    """Why NVML could not be opened, and what to do; without any NVIDIA hardware, just that."""
    code, there = getattr(error, "value", 0), hardware.count()
    if code == 12 and not there:
        return hardware.none_here()
    what = INIT_WORDS.get(code, f"NVML cannot be opened: {error}")
    return f"{what} ({there} NVIDIA GPUs are there)" if there else what


@dataclass(frozen=True, slots=True)
class Reading:
    """One call and the cells that it fills. `calls` are tried in order, the newest first."""

    name: str
    calls: tuple[Callable[[Any], Any], ...]
    cells: Mapping[str, Callable[[Any], Cell]]


def _call(function: str, *arguments: Any) -> Callable[[Any], Any]:
    def call(handle: Any) -> Any:
        known = getattr(pynvml, function, None)
        if known is None:  # an older pynvml
            raise pynvml.NVMLError(13)
        return known(handle, *arguments)

    return call


def _memory_v2(handle: Any) -> Any:
    """Used memory without what the driver reserves, as nvidia-smi shows it (R510 and later)."""
    return pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)


def _recovery_action(handle: Any) -> int:
    (value,) = pynvml.nvmlDeviceGetFieldValues(handle, [RECOVERY_ACTION])
    if value.nvmlReturn:
        raise pynvml.NVMLError(value.nvmlReturn)
    return int(value.value.uiVal)


def _one(cell: str, *calls: Callable[[Any], Any], take: Callable[[Any], Cell] = int) -> Reading:
    return Reading(cell, calls, {cell: take})


FAST: tuple[Reading, ...] = (
    Reading(
        "utilization",
        (_call("nvmlDeviceGetUtilizationRates"),),
        {"utilization_percent": lambda u: int(u.gpu), "memory_utilization_percent": lambda u: int(u.memory)},
    ),
    Reading(
        "memory",
        (_memory_v2, _call("nvmlDeviceGetMemoryInfo")),
        {"memory_used_bytes": lambda m: int(m.used), "memory_total_bytes": lambda m: int(m.total)},
    ),
    _one("power_w", _call("nvmlDeviceGetPowerUsage"), take=lambda mw: mw / 1000),
    _one("temperature_c", _call("nvmlDeviceGetTemperature", 0)),
    _one("sm_clock_mhz", _call("nvmlDeviceGetClockInfo", 1)),
    _one("memory_clock_mhz", _call("nvmlDeviceGetClockInfo", 2)),
    _one(
        "throttle_reasons",
        _call("nvmlDeviceGetCurrentClocksEventReasons"),
        _call("nvmlDeviceGetCurrentClocksThrottleReasons"),
    ),
)
"""Read on every tick: each takes 1 to 10 us on an H200 (reference: telemetry 7)."""

SLOW: tuple[Reading, ...] = (
    _one("name", _call("nvmlDeviceGetName"), take=str),
    _one("power_limit_w", _call("nvmlDeviceGetEnforcedPowerLimit"), take=lambda mw: mw / 1000),
    _one("performance_state", _call("nvmlDeviceGetPerformanceState")),
    _one("ecc_uncorrected_volatile", _call("nvmlDeviceGetTotalEccErrors", 1, 0)),
    _one("recovery_action", _recovery_action),
)
"""Read every SLOW_S seconds."""

PROCESSES: tuple[tuple[str, tuple[Callable[[Any], Any], ...]], ...] = tuple(
    (kind, tuple(_call(f"nvmlDeviceGet{kind.title()}RunningProcesses{version}") for version in ("_v3", "_v2")))
    for kind in ("compute", "graphics")
)
"""Named with their versions: pynvml's names without one raise an error of their own kind on a driver before R510."""


def first_that_exists(calls: tuple[Callable[[Any], Any], ...], handle: Any) -> Any:
    """The answer of the first call that this driver knows.

    Raises:
        NVMLError: what the first known call said, or FunctionNotFound.
    """
    for call in calls:
        try:
            return call(handle)
        except pynvml.NVMLError as error:
            if getattr(error, "value", None) not in (13, 25):  # 25: this version of the struct is not known
                raise
    raise pynvml.NVMLError(13)
