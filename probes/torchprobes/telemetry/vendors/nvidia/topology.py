"""How GPUs are connected, in the words of `nvidia-smi topo -m`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ...bus import short_bus_id
from ...readings import Device
from .calls import function
from .links import SWITCH, ends_of, states_of

LEVELS: Final = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
"""nvmlGpuTopologyLevel_t in words; 0 is two GPUs of one board."""

UNKNOWN: Final = "?"
_READ, _NVLINK, _OK = 0, 2, 0
"""nvmlGpuP2PCapsIndex_t and nvmlGpuP2PStatus_t (nvml.h)."""

PEERS: Final = {
    _OK: "yes",
    1: "no: the chipset does not support it",
    2: "no: the GPU does not support it",
    3: "no: the way over the CPU's bridges does not support it",
    4: "no: switched off by a key of the driver's registry",
    5: "no: not supported",
}
"""nvmlGpuP2PStatus_t in words (nvml.h); 6 and later ones are unknown."""


def matrix(devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
    """A row a GPU: X, NV and the number of links between two, else what lies between them on PCIe."""
    ends = [_ends(device) for device in devices]
    rows = [["X"] * len(devices) for _ in devices]
    for i, one in enumerate(devices):
        for j in range(i + 1, len(devices)):
            rows[i][j] = rows[j][i] = _between(one, devices[j], ends[i], ends[j])
    return tuple(tuple(row) for row in rows)


def peers(devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
    """A row a GPU: X, whether it may read the memory of the other and else why not, or that it is unknown."""
    rows = [["X"] * len(devices) for _ in devices]
    for i, one in enumerate(devices):
        for j in range(i + 1, len(devices)):
            rows[i][j] = rows[j][i] = _peer(one, devices[j])
    return tuple(tuple(row) for row in rows)


def _peer(one: Device, other: Device) -> str:
    try:
        status = int(function("nvmlDeviceGetP2PStatus")(one.handle, other.handle, _READ))
    except Exception:  # noqa: BLE001 - what is not known is told as such
        return UNKNOWN
    return PEERS.get(status, UNKNOWN)


def _ends(device: Device) -> Counter[str]:
    """What its active links lead to: a bus id, or a kind -> how many."""
    try:
        states, ends = states_of(device), ends_of(device)
    except Exception:  # noqa: BLE001 - a GPU without NVLink, or one that does not answer: PCIe is asked below
        return Counter()
    return Counter(str(ends[link][1]) for link, state in enumerate(states) if state == 1)


def _between(one: Device, other: Device, its: Counter[str], others: Counter[str]) -> str:
    direct = sum(n for end, n in its.items() if short_bus_id(end) and short_bus_id(end) == short_bus_id(other.bus_id))
    links = direct or (min(its[SWITCH], others[SWITCH]) if _reaches(one, other) else 0)
    return f"NV{links}" if links else _pcie(one, other)


def _reaches(one: Device, other: Device) -> bool:
    """Whether the switches let one reach the other; a driver that does not tell is not taken for a no."""
    try:
        return bool(function("nvmlDeviceGetP2PStatus")(one.handle, other.handle, _NVLINK) == _OK)
    except Exception:  # noqa: BLE001 - see above
        return True


def _pcie(one: Device, other: Device) -> str:
    try:
        level = int(function("nvmlDeviceGetTopologyCommonAncestor")(one.handle, other.handle))
    except Exception:  # noqa: BLE001 - what is not known is told as such
        return UNKNOWN
    return LEVELS.get(level, UNKNOWN)
