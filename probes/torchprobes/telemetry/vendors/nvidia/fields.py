"""Field values: many numbers by one call, each with a return code of its own."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from ....cells import Absent, Cell, CellState
from ...readings import Device, Reading
from . import calls
from .calls import Call, columns, finite, function, number, raise_if_final
from .codes import OF_THE_DEVICE, field_absent

Field = int | tuple[int, int]
"""A field's id (nvml.h, NVML_FI_*), or its id and its scope, such as the number of a link."""

ALL_LINKS: Final = 0xFFFFFFFF
"""The scope that sums a counter over all links (nvml.h)."""

_FORMATS: Final = tuple(struct.Struct(letter) for letter in "dILQqiH")
"""How the union holds a value, by its nvmlValueType_t. Read from its bytes: an older pynvml lacks some members."""


def batch(*ids: Field) -> Call:
    """Ask for all of them in one call: a tuple of cells in their order.

    The call raises what concerns the whole GPU, and "not supported" if no field will ever be answered.
    """
    scoped = [one if isinstance(one, tuple) else (one, 0) for one in ids]
    return lambda device: ask(device, scoped)


def ask(device: Device, ids: Sequence[Field]) -> tuple[Cell, ...]:
    """The same, at once."""
    values = function("nvmlDeviceGetFieldValues")(device.handle, list(ids))
    cells = [cell_of(value) for value in values]
    if not any(isinstance(cell, Absent) for cell in cells):
        return tuple(cells)
    for cell in cells:
        if isinstance(cell, Absent) and cell.code in OF_THE_DEVICE:
            raise calls.error(cell.code)
    raise_if_final(cells)
    return tuple(cells)


def cell_of(value: Any) -> Cell:
    """One field's value by its type, or why it has none."""
    code, kind = value.nvmlReturn, value.valueType
    if code:
        return field_absent(code)
    if not 0 <= kind < len(_FORMATS):
        return Absent(state=CellState.ERROR, why=f"the driver answers in a type that is not known ({kind})")
    (plain,) = _FORMATS[kind].unpack_from(value.value)
    return finite(plain) if isinstance(plain, float) else number(plain)


def fields(name: str, every_s: float, cells: dict[str, Field]) -> Reading:
    """A row of a batch: cell -> field."""
    return columns(name, every_s, (batch(*cells.values()),), tuple(cells))
