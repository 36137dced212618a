"""The newest XID of each GPU, found once: a kernel log that is flooded costs the screen nothing a second time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torchprobes.samples import GpuSample, KernelEvent

    from .interfaces import PastLike

OF_A_GPU: Final = ("xid", "off-bus")
"""Kinds of events that mark a GPU's row."""


class NewestXids:
    """Reads on from where it stopped. One thread uses it."""

    def __init__(self) -> None:
        self._past: PastLike | None = None
        self._seen = 0
        self._found: dict[str, KernelEvent] = {}

    def read(self, past: PastLike, gpus: Iterable[GpuSample]) -> Mapping[str, KernelEvent]:
        """UUID -> its newest event; the same object as before where nothing came."""
        if past is not self._past or past.events_dropped + len(past.events) < self._seen:
            self._past, self._seen, self._found = past, 0, {}
        new = tuple(past.events[max(0, self._seen - past.events_dropped) :])
        if new:
            self._seen = past.events_dropped + len(past.events)
            self._found = {**self._found, **_of(new, gpus)}
        return self._found


def _of(events: Iterable[KernelEvent], gpus: Iterable[GpuSample]) -> dict[str, KernelEvent]:
    names = {gpu.uuid: gpu.uuid for gpu in gpus} | {place(gpu.bus_id): gpu.uuid for gpu in gpus}
    found = {}
    for event in events:
        uuid = names.get(event.gpu_uuid) or names.get(place(event.bus_id))
        if uuid and event.kind in OF_A_GPU:
            found[uuid] = event
    return found


def place(bus_id: str) -> tuple[int, str, str] | None:
    """Domain, bus and device of a PCI bus id, however many digits its domain is written with; None if it is none."""
    domain, _, rest = bus_id.lower().removeprefix("pci:").partition(".")[0].rpartition(":")[0].rpartition(":")
    bus, device = rest, bus_id.lower().partition(".")[0].rpartition(":")[2]
    try:
        return (int(domain or "0", 16), bus, device) if bus and device else None
    except ValueError:
        return None
