"""The cells that a vendor's library does not tell, so that none is left "not read yet" for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...cells import Absent, CellState
from ...samples import LANES
from ..readings import ONCE, Device, Memory, Reading

_PLURAL: Final = frozenset({"links", "migs"})


def untold(rows: Sequence[Reading], why: str) -> Reading:
    """A row for every cell that none of these rows fills: it asks nothing and says why."""
    told = {cell for row in rows for cell in row.cells}
    rest = tuple(cell for cell in LANES if cell not in told and cell not in _PLURAL)
    cells = dict.fromkeys(rest, Absent(state=CellState.NOT_SUPPORTED, why=why))

    def fill(_answer: Any, _memory: Memory, _now_s: float) -> Mapping[str, Any]:
        return cells

    return Reading("what is not told", ONCE, (_nothing,), rest, fill)


def _nothing(_device: Device) -> None:
    return None
