"""What the kernel's log and the driver have told, counted: how often, when first, when last, and by whom.

Rules ask at every sample; a node with a sick GPU logs thousands of lines, so that nothing here is searched for.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from ..samples import GpuSample, KernelEvent
from .bus import short_bus_id

SAME_EVENT_NS: Final = 5_000_000_000
"""The driver and the kernel's log tell of the same XID within this time."""

SAME_FAULT_NS: Final = 60_000_000_000
"""One fault writes many lines; those of one XID within this time are one occurrence. torchdoctor's own rule."""

MOST_LINES: Final = 20_000
MOST_TIMES: Final = 1_000

Kind = tuple[str, "int | None"]
"""Kind and code: ("xid", 79), ("oom", None)."""

_K = TypeVar("_K")

_place = lru_cache(maxsize=4096)(short_bus_id)


class Group:
    """All events of one kind and code at one place. `occurrences` counts bursts of lines, `count` every line."""

    __slots__ = ("code", "count", "first", "kind", "last", "occurrences", "times_ns")

    def __init__(self, event: KernelEvent) -> None:
        self.kind, self.code, self.first, self.last = event.kind, event.code, event, event
        self.count = self.occurrences = 1
        self.times_ns: deque[int] = deque((event.t_ns,), maxlen=MOST_TIMES)

    def add(self, event: KernelEvent) -> None:
        """One more."""
        self.count += 1
        self.occurrences += event.t_ns - self.last.t_ns > SAME_FAULT_NS
        self.last = event
        self.times_ns.append(event.t_ns)

    def since(self, t_ns: int) -> int:
        """How many came since this time."""
        return sum(at >= t_ns for at in self.times_ns)


class Told:
    """Groups of events by the GPU that they name, and by their kind on the whole node."""

    def __init__(self) -> None:
        self._of_place: dict[str, dict[Kind, Group]] = {}
        self._of_kind: dict[str, Group] = {}
        self._lines: OrderedDict[tuple[object, ...], None] = OrderedDict()

    def of_gpu(self, gpu: GpuSample) -> Mapping[Kind, Group]:
        """What was told of this GPU."""
        if not self._of_place:
            return {}
        return self._of_place.get(_place(gpu.bus_id) or gpu.uuid) or self._of_place.get(gpu.uuid, {})

    def of_kind(self, kind: str) -> Group | None:
        """What was told of this kind on the whole node, whatever its code."""
        return self._of_kind.get(kind)

    def is_of(self, event: KernelEvent, gpu: GpuSample) -> bool:
        """Whether an event names this GPU."""
        return event.gpu_uuid == gpu.uuid or bool(event.bus_id and _place(event.bus_id) == _place(gpu.bus_id) != "")

    def new(self, events: Iterable[KernelEvent]) -> list[KernelEvent]:
        """Those that no earlier sample told: a sampler that was started again reads the log from its beginning."""
        fresh = [event for event in events if event.boot_us is None or _line(event) not in self._lines]
        for event in fresh:
            if event.boot_us is not None:
                self._lines[_line(event)] = None
        while len(self._lines) > MOST_LINES:
            self._lines.popitem(last=False)
        return fresh

    def count(self, event: KernelEvent) -> None:
        """Take in a new event."""
        _add(self._of_kind, event.kind, event)
        place = _place(event.bus_id) or event.gpu_uuid
        if place:
            _add(self._of_place.setdefault(place, {}), (event.kind, event.code), event)

    def completed(self, before: KernelEvent, after: KernelEvent) -> None:
        """A second source told more of an event."""
        place = _place(before.bus_id) or before.gpu_uuid
        groups = (self._of_kind.get(before.kind), self._of_place.get(place, {}).get((before.kind, before.code)))
        for group in groups:
            if group is not None and group.last is before:
                group.last = after
            if group is not None and group.first is before:
                group.first = after


def _add(groups: dict[_K, Group], key: _K, event: KernelEvent) -> None:
    group = groups.get(key)
    if group is None:
        groups[key] = Group(event)
    else:
        group.add(event)


def _line(event: KernelEvent) -> tuple[object, ...]:
    """What makes a line the same line: the kernel's own stamp, whoever read it."""
    return (event.boot_us, event.kind, event.code, event.bus_id)


def same(one: KernelEvent, other: KernelEvent) -> bool:
    """Whether two sources tell of one event."""
    return (
        one.kind == other.kind
        and one.code == other.code
        and one.source != other.source
        and one.kind != "exit"
        and abs(one.t_ns - other.t_ns) < SAME_EVENT_NS
        and _place(one.bus_id) == _place(other.bus_id)
        and "+" not in one.source
    )


def together(one: KernelEvent, other: KernelEvent) -> KernelEvent:
    """What both know."""
    return msgspec.structs.replace(
        one,
        source=f"{one.source}+{other.source}",
        gpu_uuid=one.gpu_uuid or other.gpu_uuid,
        pid=one.pid if one.pid is not None else other.pid,
        process=one.process or other.process,
        job=one.job or other.job,
        text=max(one.text, other.text, key=len),
    )
