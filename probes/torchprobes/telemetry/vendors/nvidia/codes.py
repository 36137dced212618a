"""What NVML's return codes mean: to a cell, and to somebody whose driver cannot be opened."""

from __future__ import annotations

from typing import Final

from ....cells import Absent, CellState
from ... import hardware

UNKNOWN_FUNCTION: Final = 13
UNKNOWN_STRUCT: Final = 25
NOT_SUPPORTED: Final = 3
INVALID_ARGUMENT: Final = 2
NOT_FOUND: Final = 6
TOO_SMALL: Final = 7
CORRUPTED_INFOROM: Final = 14

_NOT, _PERM, _ERROR = CellState.NOT_SUPPORTED, CellState.PERMISSION, CellState.ERROR

STATES: Final[dict[int, tuple[CellState, str]]] = {
    1: (_ERROR, "the driver was closed or reloaded under us; it is opened again"),
    2: (_ERROR, "the driver finds the question wrong"),
    3: (_NOT, "this GPU does not support it"),
    4: (_PERM, "the driver denies it to this user"),
    6: (_ERROR, "the driver has no such object"),
    8: (_ERROR, "the GPU's power cables are not attached properly"),
    9: (_ERROR, "the driver is no longer loaded"),
    10: (_ERROR, "the driver gave up waiting for the GPU"),
    11: (_ERROR, "the kernel reports a problem with the GPU's interrupts"),
    12: (_ERROR, "the driver's library is gone"),
    13: (_NOT, "this driver does not know the call"),
    14: (_ERROR, "the GPU's InfoROM is corrupted"),
    15: (CellState.LOST, "the GPU has fallen off the bus"),
    16: (CellState.RESET, "the GPU must be reset"),
    17: (_PERM, "the operating system or its cgroup rules blocked the question"),
    18: (_ERROR, "driver library and kernel module are of different versions"),
    19: (_ERROR, "the GPU is in use"),
    20: (_ERROR, "the driver has no memory left"),
    21: (_ERROR, "the driver has no data yet"),
    23: (_ERROR, "the driver lacks a resource"),
    25: (_NOT, "this driver does not know this version of the call"),
    26: (_NOT, "this driver no longer answers it"),
    27: (_ERROR, "the GPU is not ready to answer"),
    28: (_ERROR, "the driver finds no GPU"),
    29: (_ERROR, "the GPU is in a state in which it cannot answer"),
    999: (_ERROR, "the driver answers 'unknown error'"),
}
"""NVML return code -> why a cell is absent (nvml.h, nvmlReturn_t)."""

OF_THE_DEVICE: Final = frozenset({1, 9, 15, 16, 18})
"""Codes that say something of the whole driver or GPU, not of the one thing that was asked."""

REOPEN: Final = frozenset({1, 9, 18})
"""Codes after which the library must be opened anew: the driver was reloaded or unloaded under it."""

UNKNOWN: Final = frozenset({UNKNOWN_FUNCTION, UNKNOWN_STRUCT})
"""Codes that say that an older form of the call is to be tried."""

INIT_WORDS: Final[dict[int, str]] = {
    1: "the driver does not open: look at dmesg",
    4: "the driver denies access to this user: look at the mode of /dev/nvidia* and the container's device rules",
    9: "the NVIDIA driver is not loaded: modprobe nvidia, then look at dmesg",
    12: "the NVIDIA driver library is not installed; in a container, start it with --gpus all",
    13: "the NVIDIA driver library is too old to be read (R450 is the oldest): upgrade the driver",
    15: "a GPU has fallen off the bus and holds up the driver: look at dmesg for XID 79, then reboot",
    16: "a GPU must be reset: end what runs on it, then nvidia-smi -r",
    17: "the operating system blocked the driver: look at the container's device rules and at seccomp",
    18: "driver library and kernel module are of different versions: reboot, or reload the module after the upgrade",
    28: "the driver is loaded and finds no GPU: look at lspci and dmesg",
    999: "the driver answers 'unknown error': in a container that worked before, create it again (its device rules "
    "are lost after systemctl daemon-reload); else look at dmesg",
}
"""Return code of nvmlInit -> what it means and what to do (reference: telemetry 2a)."""


class TooOld(Exception):
    """The installed nvidia-ml-py has no such function; the driver was not asked."""

    value = UNKNOWN_FUNCTION

    def __init__(self, function: str) -> None:
        super().__init__(f"the installed nvidia-ml-py is too old to ask for it ({function})")


def code_of(error: Exception) -> int | None:
    """The return code that an exception of pynvml carries."""
    code = getattr(error, "value", None)
    return code if isinstance(code, int) else None


def absent(error: Exception, age_s: float | None = None) -> Absent:
    """Why a reading failed, as a cell."""
    code = code_of(error)
    if code is None:
        return Absent(state=_ERROR, why=f"{type(error).__name__}: {error}"[:200], age_s=age_s)
    if isinstance(error, TooOld):
        return Absent(state=_NOT, why=str(error), code=code, age_s=age_s)
    state, why = STATES.get(code, (_ERROR, f"the driver answers {code}: {error}"[:200]))
    return Absent(state=state, why=why, code=code, age_s=age_s)


def field_absent(code: int) -> Absent:
    """Why one field of a batch has no value. An unknown field is called a wrong argument (nvml.h)."""
    if code in (INVALID_ARGUMENT, UNKNOWN_FUNCTION):
        return Absent(state=_NOT, why="this driver does not know the field", code=code)
    state, why = STATES.get(code, (_ERROR, f"the driver answers {code}"))
    return Absent(state=state, why=why, code=code)


def open_failure(error: Exception) -> str:
    """Why NVML could not be opened, and what to do; without any NVIDIA hardware, just that."""
    code, there = code_of(error), hardware.count()
    if code == 12 and not there:
        return hardware.none_here()
    what = INIT_WORDS.get(-1 if code is None else code, f"NVML cannot be opened: {error}"[:200])
    return f"{what} ({there} NVIDIA GPUs are there)" if there else what
