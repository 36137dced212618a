"""Asking every row of a vendor as the sampler does, without threads: for tests of what the rows make of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchprobes.cells import Absent
from torchprobes.samples import LANES
from torchprobes.telemetry.readings import ONCE, Device, Memory, Reading, Vendor


def ask(vendor: Vendor, row: Reading, device: Device, memory: Memory, now_s: float) -> Mapping[str, Any]:
    """The cells of one row: its calls in order until one is known."""
    failed: Exception | None = None
    for call in row.calls:
        try:
            return row.fill(call(device), memory, now_s)
        except Exception as error:
            failed = error
            if not vendor.is_unknown(error):
                break
    assert failed is not None
    return dict.fromkeys(row.cells, vendor.absent(failed))


def read_all(
    vendor: Vendor, device: Device, memory: Memory | None = None, now_s: float = 1000.0, *, static: bool = True
) -> dict[str, Any]:
    """The cells of all rows, or of those that are not asked once."""
    memory = memory or Memory()
    rows = [row for row in vendor.readings if static or row.every_s != ONCE]
    return {cell: value for row in rows for cell, value in ask(vendor, row, device, memory, now_s).items()}


def check_tables(vendor: Vendor) -> None:
    """Every cell of a GPU is filled by exactly one row, each row by one lane, and each call is told apart."""
    cells = [cell for row in vendor.readings for cell in row.cells]
    assert sorted(cells) == sorted(set(cells)), "a cell that two rows fill"
    assert set(LANES) - {"links", "migs"} <= set(cells) <= set(LANES)
    for row in vendor.readings:
        lanes = {LANES[cell] for cell in row.cells}
        assert len(lanes) == 1 or row.name == "what is not told", f"{row.name} fills lanes {lanes}"
        if row.every_s in (0, ONCE) and row.name != "what is not told":
            assert lanes == {"fast" if row.every_s == 0 else "static"}, row.name
    names = [row.name for row in vendor.readings] + [row.name for row in vendor.processes]
    assert len(names) == len(set(names))


def absent(cell: Any) -> Absent:
    assert isinstance(cell, Absent), cell
    return cell
