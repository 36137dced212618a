"""Rows of NVLink and of the fabric behind it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ....cells import UNREAD, Absent, Cell, CellState
from ....samples import LinkSample
from ...readings import Device, Memory, Reading
from . import calls
from .calls import first_known, function, number
from .codes import NOT_SUPPORTED, OF_THE_DEVICE, absent, code_of
from .fields import ALL_LINKS, ask, fields

MOST_LINKS: Final = 64
"""More than any GPU has (18 on an H200): a driver's odd answer is not taken at its word."""

COUNT, SPEED, STATE, VERSION = 91, 164, 165, 166
REPLAY, RECOVERY, CRC = 161, 162, 163

SWITCH: Final = "NVSwitch"
_ENDS: Final = {1: "NPU", 2: SWITCH, 0xFF: "unknown"}
"""What is at the other end (nvml.h, nvmlIntNvLinkDeviceType_t); a GPU is told by its bus id."""

# --- how many, and which are active ---------------------------------------------------------------------------


def count_of(device: Device) -> int:
    """How many links this GPU has, asked once.

    Raises:
        NVMLError: it has none (not supported), or what the driver says.
    """
    if "links" not in device.notes:
        (count,) = ask(device, (COUNT,))
        if isinstance(count, Absent):
            raise calls.error(count.code or NOT_SUPPORTED)
        device.notes["links"] = min(int(count), MOST_LINKS)
    if not device.notes["links"]:
        raise calls.error(NOT_SUPPORTED)
    return int(device.notes["links"])


def _look(device: Device) -> tuple[tuple[Cell, ...], Cell, dict[int, tuple[Cell, Cell]]]:
    """Of each link whether it is active, the speed of one that is, and what never changes."""
    states = states_of(device)
    active = next((link for link, state in enumerate(states) if state == 1), 0)
    return states, _asked(_speed, device, active), ends_of(device)


def states_of(device: Device) -> tuple[Cell, ...]:
    """Of each link 1 where it is active."""
    states: tuple[Cell, ...] = first_known(_states_by_batch, _states_one_by_one)(device)
    return states


def ends_of(device: Device) -> dict[int, tuple[Cell, Cell]]:
    """Link -> its version and what is at its other end, asked once."""
    if "ends" not in device.notes:
        device.notes["ends"] = dict(enumerate(zip(versions_of(device), _remotes(device), strict=True)))
    ends: dict[int, tuple[Cell, Cell]] = device.notes["ends"]
    return ends


def versions_of(device: Device) -> tuple[Cell, ...]:
    """The version of each link, in one call where the driver has the field."""
    links = range(count_of(device))
    versions: tuple[Cell, ...] = first_known(
        lambda d: ask(d, [(VERSION, link) for link in links]),
        lambda d: tuple(_asked(_version, d, link) for link in links),
    )(device)
    return versions


def _remotes(device: Device) -> tuple[Cell, ...]:
    """What is at the other ends. Where the first link goes to a switch, all do: no board has both."""
    links = range(count_of(device))
    first = _remote(device, 0)
    if first == SWITCH:
        return (first,) * len(links)
    return (first, *(_remote(device, link) for link in links[1:]))


def _states_by_batch(device: Device) -> tuple[Cell, ...]:
    return ask(device, [(STATE, link) for link in range(count_of(device))])


def _states_one_by_one(device: Device) -> tuple[Cell, ...]:
    return tuple(
        _asked(lambda d, n: number(function("nvmlDeviceGetNvLinkState")(d.handle, n)), device, link)
        for link in range(count_of(device))
    )


def _version(device: Device, link: int) -> Cell:
    return number(function("nvmlDeviceGetNvLinkVersion")(device.handle, link))


def _speed(device: Device, link: int) -> Cell:
    return ask(device, ((SPEED, link),))[0]


def _remote(device: Device, link: int) -> Cell:
    """The bus id of the other end; behind a switch, and in a virtual machine, only its kind is known."""
    kind = _asked(lambda d, n: function("nvmlDeviceGetNvLinkRemoteDeviceType")(d.handle, n), device, link)
    if isinstance(kind, int) and kind != 0:
        return _ENDS.get(kind, f"unknown ({kind})")
    end = _asked(lambda d, n: function("nvmlDeviceGetNvLinkRemotePciInfo")(d.handle, n).busId, device, link)
    return calls.text(end) if not isinstance(end, Absent) else end


def _asked(question: Any, device: Device, link: int) -> Any:
    try:
        return question(device, link)
    except Exception as failed:
        if code_of(failed) in OF_THE_DEVICE:
            raise
        return absent(failed)


def _links(answer: Any, memory: Memory, _now_s: float) -> Mapping[str, Any]:
    states, speed, ends = answer
    errors = memory.notes.get(ERRORS, {})
    return {
        "nvlinks": len(states),
        "nvlinks_active": _unless_absent(states, sum(state == 1 for state in states)),
        "nvlink_speed_mbytes_per_s": speed,
        "links": tuple(
            LinkSample(
                link=link, state=state, **dict(zip(_OF_A_LINK, (*ends[link], *errors.get(link, ())), strict=False))
            )
            for link, state in enumerate(states)
        ),
    }


_OF_A_LINK: Final = ("version", "remote", "replay_errors", "recovery_errors", "crc_errors")


def _unless_absent(cells: Sequence[Cell], value: int) -> Cell:
    """A figure over several cells, or the first that is absent: a sum over a part of them would be wrong."""
    return next((cell for cell in cells if isinstance(cell, Absent)), value)


# --- their errors ---------------------------------------------------------------------------------------------

ERRORS: Final = "errors of links"
TURN_S: Final = 0.006
"""A link's three counters cost 2.4 ms on an H200: as many links are asked at a time as take this long."""


def _errors(device: Device) -> tuple[int, dict[int, tuple[Cell, ...]]]:
    """How many links there are, and the error counters of the next few: replay, recovery, CRC."""
    count, notes = count_of(device), device.notes
    turn = [(notes.get("next link", 0) + step) % count for step in range(notes.get("links at a time", 1))]
    begin = time.monotonic()
    found = first_known(lambda d: _errors_by_batch(d, turn), lambda d: _errors_one_by_one(d, turn))(device)
    took = max(1e-6, time.monotonic() - begin)
    notes["next link"] = (turn[-1] + 1) % count
    notes["links at a time"] = max(1, min(count, int(len(turn) * TURN_S / took)))
    return count, found


def _errors_by_batch(device: Device, turn: list[int]) -> dict[int, tuple[Cell, ...]]:
    kinds = (REPLAY, RECOVERY, CRC)
    cells = ask(device, [(field, link) for link in turn for field in kinds])
    return {link: cells[3 * place : 3 * place + 3] for place, link in enumerate(turn)}


def _errors_one_by_one(device: Device, turn: list[int]) -> dict[int, tuple[Cell, ...]]:
    """The counters of drivers without the fields: 0 replay, 1 recovery, 2 CRC of flits (nvml.h)."""
    count = function("nvmlDeviceGetNvLinkErrorCounter")
    return {
        link: tuple(_asked(lambda d, n, k=kind: number(count(d.handle, n, k)), device, link) for kind in (0, 1, 2))
        for link in turn
    }


def _error_sums(answer: Any, memory: Memory, _now_s: float) -> Mapping[str, Cell]:
    """Sums over all links, once each was read: a part of them would look like errors that come in."""
    count, found = answer
    errors = memory.notes.setdefault(ERRORS, {})
    errors.update(found)
    names = ("nvlink_replay_errors", "nvlink_recovery_errors", "nvlink_crc_errors")
    if len(errors) < count:
        return dict.fromkeys(names, UNREAD)
    return {name: _sum([cells[place] for cells in errors.values()]) for place, name in enumerate(names)}


def _sum(cells: Sequence[Cell]) -> Cell:
    return _unless_absent(cells, sum(int(cell) for cell in cells if not isinstance(cell, Absent)))


# --- bytes a second -------------------------------------------------------------------------------------------

_THROUGHPUT: Final = ((139, 138, 1024), (204, 202, 1))
"""Received and sent over all links: data in KiB up to NVLink 4, bytes from NVLink 5 on (nvml.h)."""


def _moved(device: Device) -> tuple[Cell, ...]:
    """Bytes received and sent since the counters began."""

    def of(received: int, sent: int, unit: int) -> calls.Call:
        def look(device: Device) -> tuple[Cell, ...]:
            cells = ask(device, ((received, ALL_LINKS), (sent, ALL_LINKS)))
            return tuple(cell * unit if isinstance(cell, int) else cell for cell in cells)

        return look

    count_of(device)
    answer: tuple[Cell, ...] = first_known(*(of(*row) for row in _THROUGHPUT))(device)
    return answer


def _rates(answer: Any, memory: Memory, now_s: float) -> Mapping[str, Cell]:
    names = ("nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s")
    return {
        name: memory.per_second(name, value, now_s) if isinstance(value, (int, float)) else value
        for name, value in zip(names, answer, strict=True)
    }


# --- fabric ---------------------------------------------------------------------------------------------------

FABRIC_STATES: Final = {1: "not started", 2: "in progress", 3: "completed"}
_NO_FABRIC: Final = Absent(state=CellState.NOT_SUPPORTED, why="this GPU is on no NVLink fabric")
_NO_MASK: Final = Absent(state=CellState.NOT_SUPPORTED, why="this driver tells no health of the fabric")


def _fabric(struct: str, name: str) -> calls.Call:
    def look(device: Device) -> Any:
        info = function(struct)()
        function(name)(device.handle, ctypes.byref(info))
        return info

    return look


def _fabric_cells(info: Any, _memory: Memory, _now_s: float) -> Mapping[str, Cell]:
    state = int(info.state)
    if not state:
        return dict.fromkeys(_FABRIC_CELLS, _NO_FABRIC)
    mask = getattr(info, "healthMask", None)
    cells = (FABRIC_STATES.get(state, f"unknown ({state})"), int(info.status), int(info.cliqueId))
    return dict(zip(_FABRIC_CELLS, (*cells, _NO_MASK if mask is None else int(mask)), strict=True))


_FABRIC_CELLS: Final = ("fabric_state", "fabric_status", "fabric_clique", "fabric_health_mask")

# --- rows -----------------------------------------------------------------------------------------------------

COUNTERS: Final[tuple[Reading, ...]] = (
    Reading("NVLink bytes", 15.0, (_moved,), ("nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s"), _rates),
)

HEALTH: Final[tuple[Reading, ...]] = (
    Reading(
        "fabric",
        60.0,
        (
            _fabric("c_nvmlGpuFabricInfo_v3_t", "nvmlDeviceGetGpuFabricInfoV"),
            _fabric("c_nvmlGpuFabricInfo_v2_t", "nvmlDeviceGetGpuFabricInfoV"),
            _fabric("c_nvmlGpuFabricInfo_t", "nvmlDeviceGetGpuFabricInfo"),
        ),
        _FABRIC_CELLS,
        _fabric_cells,
    ),
    Reading("NVLink", 60.0, (_look,), ("nvlinks", "nvlinks_active", "nvlink_speed_mbytes_per_s", "links"), _links),
    Reading(
        "NVLink errors",
        20.0,
        (_errors,),
        ("nvlink_replay_errors", "nvlink_recovery_errors", "nvlink_crc_errors"),
        _error_sums,
    ),
    fields(
        "NVLink 5 errors",
        60.0,
        {"nvlink_receive_errors": (208, ALL_LINKS), "nvlink_failed_recoveries": (214, ALL_LINKS)},
    ),
)
