"""What came before the newest sample, as the rules of health and the screen need it.

Counters are followed from the first sample on, over resets (a counter that runs backwards begins anew at 0), so that
"since boot", "since start" and "in the last minute" stay three figures. Conditions are timed. Events are kept, all
of them, each once: the same XID told by the driver and by the kernel's log is one event.

One thread adds; any thread may ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ..samples import Cell, GpuSample, KernelEvent, Sample
from .bus import short_bus_id

HOST: Final = "host"
"""The key of the host among the subjects of counters; GPUs have their UUID, ports `device/port`."""

COUNTERS: Final = tuple(
    name
    for name in GpuSample.__struct_fields__
    if name.endswith(("_volatile", "_aggregate", "_rows", "_pages", "_errors", "_recoveries", "_replays", "_tlps"))
    or name.startswith(("aer_", "pcie_naks_", "pcie_bad_", "remap_banks_"))
)
"""Cells of a GPU that count upwards."""

MINUTE_NS: Final = 60_000_000_000
SAME_EVENT_NS: Final = 5_000_000_000
"""The driver and the kernel's log tell of the same XID within this time."""

ONSETS_NS: Final = 600_000_000_000
MOST_EVENTS: Final = 20_000
"""A node that logs more than this has one fault many times; the oldest are dropped and counted."""

Condition = Callable[[GpuSample, bool], bool]
"""Whether something holds of a GPU now; the second argument says whether a process is on it."""


class _Counter:
    """One counter: what it came to since the first sample, and the steps of the last minute."""

    __slots__ = ("_steps", "last", "start_ns", "total")

    def __init__(self, value: float, now_ns: int) -> None:
        self.last, self.total, self.start_ns = value, 0.0, now_ns
        self._steps: deque[tuple[int, float]] = deque()

    def add(self, value: float, now_ns: int) -> None:
        step = value - self.last if value >= self.last else value
        self.last = value
        self.total += step
        self._steps.append((now_ns, step))
        while self._steps and self._steps[0][0] < now_ns - MINUTE_NS:
            self._steps.popleft()

    def last_minute(self, now_ns: int) -> float:
        return sum(step for at, step in tuple(self._steps) if at >= now_ns - MINUTE_NS)


class Past:
    """Fold samples into it with `add`; it answers for the time of the last of them."""

    def __init__(self, conditions: Mapping[str, Condition] | None = None) -> None:
        self.events: list[KernelEvent] = []
        self.events_dropped = 0
        self.began_ns = 0
        self.now_ns = 0
        self.began_wall_ns = 0
        self._conditions = dict(conditions or {})
        self._counters: dict[tuple[str, str], _Counter] = {}
        self._since: dict[tuple[str, str], int] = {}
        self._onsets: dict[tuple[str, str], deque[int]] = {}

    def add(self, sample: Sample) -> None:
        """Take in the next sample."""
        self.now_ns = sample.m_ns
        if not self.began_ns:
            self.began_ns, self.began_wall_ns = sample.m_ns, sample.t_ns
        held = {process.gpu_uuid for process in sample.processes}
        for gpu in sample.gpus:
            for cell in COUNTERS:
                self._count(gpu.uuid, cell, getattr(gpu, cell))
            self._time(gpu, gpu.uuid in held)
        self._count(HOST, "oom_kills", sample.host.oom_kills)
        for port in sample.host.ports:
            for cell in ("link_downed", "symbol_errors"):
                self._count(f"{port.device}/{port.port}", cell, getattr(port, cell))
        for event in sample.events:
            self._note(event)

    # --- asking -------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long samples have been taken in."""
        return (self.now_ns - self.began_ns) / 1e9

    def since_start(self, subject: str, cell: str) -> float | None:
        """What a counter came to since the first sample, None if it was never read."""
        counter = self._counters.get((subject, cell))
        return None if counter is None else counter.total

    def last_minute(self, subject: str, cell: str) -> float | None:
        """What a counter came to in the last minute, None before half a minute was seen."""
        counter = self._counters.get((subject, cell))
        if counter is None or self.now_ns - counter.start_ns < MINUTE_NS / 2:
            return None
        return counter.last_minute(self.now_ns)

    def held_s(self, uuid: str, condition: str) -> float:
        """For how many seconds a condition has held of a GPU without a break; 0 if it does not hold now."""
        since = self._since.get((uuid, condition))
        return 0.0 if since is None else (self.now_ns - since) / 1e9

    def onsets_per_minute(self, uuid: str, condition: str) -> float:
        """How often a condition began, a minute, over the last ten minutes or what there is of them (at least one)."""
        onsets = tuple(self._onsets.get((uuid, condition), ()))
        recent = [at for at in onsets if at >= self.now_ns - ONSETS_NS]
        return len(recent) / max(1.0, min(self.seconds, ONSETS_NS / 1e9) / 60)

    def events_of(self, gpu: GpuSample) -> list[KernelEvent]:
        """The events that name this GPU, oldest first."""
        where = short_bus_id(gpu.bus_id)
        return [e for e in tuple(self.events) if e.gpu_uuid == gpu.uuid or (where and where == short_bus_id(e.bus_id))]

    # --- taking in ----------------------------------------------------------------------------------------------

    def _count(self, subject: str, cell: str, value: Cell) -> None:
        if not isinstance(value, (int, float)):
            return
        counter = self._counters.get((subject, cell))
        if counter is None:
            self._counters[subject, cell] = _Counter(value, self.now_ns)
        elif value != counter.last:
            counter.add(value, self.now_ns)

    def _time(self, gpu: GpuSample, busy: bool) -> None:
        for name, holds in self._conditions.items():
            key = (gpu.uuid, name)
            if not holds(gpu, busy):
                self._since.pop(key, None)
            elif key not in self._since:
                self._since[key] = self.now_ns
                self._onsets.setdefault(key, deque(maxlen=1000)).append(self.now_ns)

    def _note(self, event: KernelEvent) -> None:
        for place in range(len(self.events) - 1, max(-1, len(self.events) - 50), -1):
            if _same(self.events[place], event):
                self.events[place] = _merged(self.events[place], event)
                return
        self.events.append(event)
        if len(self.events) > MOST_EVENTS:
            del self.events[0]
            self.events_dropped += 1


def _same(one: KernelEvent, other: KernelEvent) -> bool:
    """Whether two sources tell of one event."""
    return (
        one.kind == other.kind
        and one.code == other.code
        and one.source != other.source
        and one.kind != "exit"
        and abs(one.t_ns - other.t_ns) < SAME_EVENT_NS
        and short_bus_id(one.bus_id) == short_bus_id(other.bus_id)
        and "+" not in one.source
    )


def _merged(one: KernelEvent, other: KernelEvent) -> KernelEvent:
    """What both know together."""
    return msgspec.structs.replace(
        one,
        source=f"{one.source}+{other.source}",
        gpu_uuid=one.gpu_uuid or other.gpu_uuid,
        pid=one.pid if one.pid is not None else other.pid,
        process=one.process or other.process,
        job=one.job or other.job,
        text=max(one.text, other.text, key=len),
    )
