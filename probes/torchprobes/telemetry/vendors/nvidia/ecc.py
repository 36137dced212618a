"""Rows that tell a sick memory: ECC by place, remapped rows, retired pages, repairs."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from ....cells import Absent, CellState
from ...readings import Device, Reading
from .calls import Call, call, columns, each, first, function, number, one, reading
from .fields import fields

DRAM, SRAM = 2, 7
"""Places of nvmlDeviceGetMemoryErrorCounter (nvml.h, nvmlMemoryLocation_t)."""

_KINDS: Final = (
    ("corrected_volatile", 0, 0),
    ("corrected_aggregate", 0, 1),
    ("uncorrected_volatile", 1, 0),
    ("uncorrected_aggregate", 1, 1),
)
"""End of a cell's name -> nvmlMemoryErrorType_t, nvmlEccCounterType_t."""

_NO_THRESHOLD: Final = Absent(state=CellState.NOT_SUPPORTED, why="this driver tells no threshold (R535 does)")


def _named(place: str) -> tuple[str, ...]:
    return tuple(f"{place}_{kind}" for kind, _, _ in _KINDS)


def _by_place(place: int) -> Call:
    """The four counters of one place, each a call of 3 us on an H200."""
    return each(*(call("nvmlDeviceGetMemoryErrorCounter", kind, counter, place) for _, kind, counter in _KINDS))


def _sram(device: Device) -> tuple[Any, ...]:
    """Every SRAM counter and NVIDIA's own threshold in one struct (R535 and later)."""
    status = function("c_nvmlEccSramErrorStatus_v1_t")()
    function("nvmlDeviceGetSramEccErrorStatus")(device.handle, ctypes.byref(status))
    return (
        status.volatileCor,
        status.aggregateCor,
        status.volatileUncParity + status.volatileUncSecDed,
        status.aggregateUncParity + status.aggregateUncSecDed,
        status.bThresholdExceeded,
    )


def _sram_by_place(device: Device) -> tuple[Any, ...]:
    return (*_by_place(SRAM)(device), _NO_THRESHOLD)


ROWS: Final[tuple[Reading, ...]] = (
    fields(
        "ecc",
        30.0,
        {
            "ecc_mode": 1,
            "ecc_pending": 2,
            "ecc_corrected_volatile": 3,
            "ecc_uncorrected_volatile": 4,
            "ecc_corrected_aggregate": 5,
            "ecc_uncorrected_aggregate": 6,
        },
    ),
    columns(
        "remapped rows",
        60.0,
        (call("nvmlDeviceGetRemappedRows"),),
        ("remapped_correctable_rows", "remapped_uncorrectable_rows", "remap_pending", "remap_failure"),
    ),
    fields("reset flags", 60.0, {"reset_status": 226, "drain_and_reset_status": 227}),
    columns("SRAM errors", 60.0, (_sram, _sram_by_place), (*_named("sram"), "sram_threshold_exceeded")),
    columns("DRAM errors", 120.0, (_by_place(DRAM),), _named("dram")),
    reading(
        "remapping headroom",
        120.0,
        (call("nvmlDeviceGetRowRemapperHistogram"),),
        {
            "remap_banks_max": lambda h: number(h.max),
            "remap_banks_high": lambda h: number(h.high),
            "remap_banks_partial": lambda h: number(h.partial),
            "remap_banks_low": lambda h: number(h.low),
            "remap_banks_none": lambda h: number(h.none),
        },
    ),
    fields(
        "retired pages",
        60.0,
        {"retired_single_bit_pages": 29, "retired_double_bit_pages": 30, "retired_pending": 31},
    ),
    one("unrepairable_memory", 120.0, call("nvmlDeviceGetUnrepairableMemoryFlag_v1")),
    one("repair_pending", 120.0, call("nvmlDeviceGetRepairStatus"), take=first(number)),
)
"""The driver's own totals and flags come in batches; what is asked one by one is asked every one or two minutes."""
