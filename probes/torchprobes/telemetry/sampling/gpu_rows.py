"""Rows of GPUs as a sample shows them: those that are read, and those that the driver does not show or answer for.

A GPU that is read and well is a row of JSON, made of what its rows have said; any other is a `GpuSample`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import LANES, GpuSample
from ..bus import short_bus_id
from .driver import Driver
from .gpu_reader import NAMES, GpuReader
from .inventory import Inventory, Known
from .said import PARTS, inside

Row = GpuSample | msgspec.Raw
"""One GPU of a sample. Only one that is ok is Raw."""

_CELLS = tuple(name for name in LANES if name not in PARTS)


def rows_of(drivers: Sequence[Driver], inventory: Inventory, now: float) -> tuple[Row, ...]:
    """Every GPU that is there or should be, in the order of their indices; vendors one after another."""
    rows: list[Row] = []
    for driver in drivers:
        found = _rows(driver, inventory, now) if driver.is_nvidia else _read_rows(driver.gpus, {}, now)
        rows += [row for _, row in sorted(found, key=lambda indexed: indexed[0])]
    return tuple(rows)


def _rows(driver: Driver, inventory: Inventory, now: float) -> list[tuple[int, Row]]:
    """NVIDIA's: for them the kernel and the inventory of the boot are witnesses beside the driver."""
    named = [(gpu.device.uuid, gpu.device.bus_id) for gpu in driver.gpus if gpu.device is not None]
    gone = inventory.missing(named)
    claims = claim([gpu.index for gpu in driver.gpus if gpu.device is None], gone)
    by_uuid = {known.uuid: known for known in inventory.known if known.uuid}
    seen = {gpu.index: by_uuid[gpu.device.uuid] for gpu in driver.gpus if gpu.device and gpu.device.uuid in by_uuid}
    rows = _read_rows(driver.gpus, {**seen, **claims}, now)
    rest = [known for known in gone if known not in claims.values()]
    if rest and all(gpu.device is not None or gpu.index in claims for gpu in driver.gpus):
        taken = {gpu.index for gpu in driver.gpus}
        rows += [(index, standin(index, known, *_why_unread(driver, known))) for index, known in _numbered(rest, taken)]
    return rows


def claim(unnamed: Sequence[int], gone: Sequence[Known]) -> dict[int, Known]:
    """Which of the missing GPUs those are that gave no handle, by index -> GPU.

    The index that a GPU had tells it, and when as many are left of both, the order of their bus ids, which is the
    driver's own order.
    """
    by_index = {known.index: known for known in gone if known.index is not None}
    claims = {index: by_index[index] for index in unnamed if index in by_index}
    left = [index for index in unnamed if index not in claims]
    rest = [known for known in gone if known not in claims.values()]
    if len(left) != len(rest):
        return claims
    return {**claims, **dict(zip(sorted(left), sorted(rest, key=lambda known: known.bus_id), strict=True))}


def _numbered(rest: Iterable[Known], taken: set[int]) -> list[tuple[int, Known]]:
    """Each with the index that it had, or else with one that nobody has."""
    numbered, taken = [], set(taken)
    for known in sorted(rest, key=lambda known: known.index is None):
        index = known.index
        if index is None or index in taken:
            index = max(taken, default=-1) + 1
        taken.add(index)
        numbered.append((index, known))
    return numbered


def _why_unread(driver: Driver, known: Known) -> tuple[str, Cell]:
    """State and cells of a GPU that the driver does not show: because it is lost, or as nobody could ask yet."""
    if waited := driver.hung_s():
        return "hung", Absent(state=CellState.HUNG, why="the driver does not answer", age_s=round(waited, 1))
    if driver.opened:
        return "lost", Absent(state=CellState.LOST, why=f"the driver does not show it; {known.when()}")
    if driver.settled.is_set():
        return "starting", Absent(state=CellState.ERROR, why=driver.state)
    return "starting", UNREAD


def standin(index: int, known: Known, state: str, cell: Cell) -> GpuSample:
    """The row of a GPU that cannot be read: what names it, and in every cell why there is no more."""
    cells: dict[str, Any] = {**dict.fromkeys(_CELLS, cell), **_static(known)}
    age = cell.age_s if isinstance(cell, Absent) and cell.age_s is not None else 0.0
    return GpuSample(index=index, uuid=_uuid(index, known), bus_id=_long(known.bus_id), state=state, age_s=age, **cells)


def _read_rows(gpus: Sequence[GpuReader], known: Mapping[int, Known], now: float) -> list[tuple[int, Row]]:
    rows = [(gpu.index, _text(gpu, known.get(gpu.index), now) or _row(gpu, known.get(gpu.index), now)) for gpu in gpus]
    return [(index, row) for index, row in rows if row is not None]


def _text(gpu: GpuReader, known: Known | None, now: float) -> msgspec.Raw | None:
    """The newest of one GPU that is ok and says itself all that is known of it; None of any other."""
    looked, device = gpu.looked, gpu.device
    if looked is None or device is None or looked.state != "ok" or gpu.hung():
        return None
    if known is not None and not looked.is_named:
        return None
    head = {
        "index": gpu.index,
        "uuid": device.uuid,
        "bus_id": device.bus_id,
        "vendor": gpu.vendor.name,
        "age_s": round(max(0.0, now - looked.at), 3),
        "ages_s": {lane: round(now - at, 1) for lane, at in looked.read_at.items()},
        "cost_ms": round(looked.cost_ms, 3),
    }
    return msgspec.Raw(b"{%b}" % b",".join(filter(None, (inside(head), looked.fast.json, looked.slow.json))))


def _row(gpu: GpuReader, known: Known | None, now: float) -> GpuSample | None:
    """The newest of one GPU; None as long as nobody knows which one it is."""
    looked, device, why = gpu.looked, gpu.device, gpu.hung()
    if looked is None and device is None and known is None and not why:
        return None
    since = looked.at if looked is not None else gpu.began
    age = round(max(0.0, now - since), 3)
    cells: dict[str, Any] = looked.cells if looked is not None else {}
    state = looked.state if looked is not None else "starting"
    if why:
        state, hung = "hung", Absent(state=CellState.HUNG, why=why, age_s=round(age, 1))
        cells = {name: hung if LANES[name] != "static" or _is_unknown(cells, name) else cells[name] for name in _CELLS}
    if known is not None:
        cells.update((name, cell) for name, cell in _static(known).items() if _is_unknown(cells, name))
    return GpuSample(
        index=gpu.index,
        uuid=device.uuid if device is not None else _uuid(gpu.index, known),
        bus_id=device.bus_id if device is not None else _long(known.bus_id if known is not None else ""),
        vendor=gpu.vendor.name,
        state=state,
        age_s=age,
        ages_s={lane: round(now - at, 1) for lane, at in looked.read_at.items()} if looked is not None else {},
        cost_ms=round(looked.cost_ms, 3) if looked is not None else 0.0,
        **cells,
    )


def _is_unknown(cells: Mapping[str, Any], name: str) -> bool:
    return isinstance(cells.get(name, UNREAD), Absent)


def _static(known: Known) -> dict[str, Any]:
    """What is known of a GPU although nobody can read it."""
    cells: dict[str, Any] = {"name": known.name} if known.name else {}
    return cells if known.minor is None else {**cells, "minor_number": known.minor}


def _uuid(index: int, known: Known | None) -> str:
    """What names a GPU that has not said who it is."""
    if known is None:
        return f"index-{index}"
    return known.uuid or f"pci-{known.bus_id}"


def _long(bus_id: str) -> str:
    """A bus id as the driver writes it."""
    return f"0000{bus_id}.0".upper() if bus_id else ""


def healthy(drivers: Iterable[Driver]) -> tuple[Known, ...]:
    """Those that the inventory should know: read by the driver now, with all that names them."""
    gpus = [gpu for driver in drivers if driver.is_nvidia for gpu in driver.gpus if not gpu.hung()]
    return tuple(known for gpu in gpus if (known := _healthy(gpu)) is not None)


def _healthy(gpu: GpuReader) -> Known | None:
    looked, device = gpu.looked, gpu.device
    if looked is None or device is None or looked.state != "ok":
        return None
    cells = looked.cells
    name, minor = (cells.get(cell) for cell in NAMES)
    return Known(
        bus_id=short_bus_id(device.bus_id),
        uuid=device.uuid,
        index=gpu.index,
        name=name if isinstance(name, str) else "",
        minor=minor if isinstance(minor, int) else None,
        seen=time.time() - (time.monotonic() - looked.at),
    )
