"""What came before the newest sample, as the rules of health and the screen need it.

Counters are followed from the first sample on, over resets (a counter that runs backwards begins anew at 0), so that
"since boot", "since start" and "in the last minute" stay three figures. Conditions are timed. Events are kept, all
of them, each once: the same XID told by the driver and by the kernel's log is one event, and so is the kernel's log
that a sampler tells again after it was restarted.

One thread adds; any thread may ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from ..samples import GpuSample, KernelEvent, PortSample, ProcessSample, Sample
from .told import Told, same, together

HOST: Final = "host"
"""The key of the host among the subjects of counters and conditions; GPUs have their UUID, ports `device/port`."""

COUNTERS: Final = tuple(
    name
    for name in GpuSample.__struct_fields__
    if name.endswith(("_volatile", "_aggregate", "_rows", "_pages", "_errors", "_recoveries", "_replays", "_tlps"))
    or name.startswith(("aer_", "pcie_naks_", "pcie_bad_", "remap_banks_"))
)
"""Cells of a GPU that count upwards."""

PORT_COUNTERS: Final = ("link_downed", "symbol_errors")

MINUTE_NS: Final = 60_000_000_000
ONSETS_NS: Final = 600_000_000_000
MOST_EVENTS: Final = 20_000
"""A node that logs more than this has one fault many times; the oldest are dropped and counted."""

Condition = Callable[[GpuSample, Sequence[ProcessSample]], bool]
"""Whether something holds of a GPU now, given the processes on it."""

NodeCondition = Callable[[Sample], bool]


def getter(names: Sequence[str]) -> Callable[[object], tuple[object, ...]]:
    """What reads these attributes, dotted ones too, as one tuple: at a tenth of the cost of asking for each."""
    if len(names) > 1:
        return attrgetter(*names)
    one = attrgetter(*names) if names else None
    return lambda subject: () if one is None else (one(subject),)


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


class _Row:
    """The counters of one subject. Nearly always none has moved, which one comparison tells."""

    __slots__ = ("_cells", "_names", "_seen", "moved", "of")

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names, self._cells = names, getter(names)
        self._seen: object = None
        self.moved = False
        self.of: dict[str, _Counter] = {}

    def add(self, subject: object, now_ns: int) -> None:
        values = self._cells(subject)
        if values == self._seen:
            return
        self._seen = values
        for name, value in zip(self._names, values, strict=True):
            self._count(name, value, now_ns)

    def _count(self, name: str, value: object, now_ns: int) -> None:
        if not isinstance(value, (int, float)):
            return
        counter = self.of.get(name)
        if counter is None:
            self.of[name] = _Counter(value, now_ns)
        elif value != counter.last:
            counter.add(value, now_ns)
            self.moved = True


class Past:
    """Fold samples into it with `add`; it answers for the time of the last of them."""

    def __init__(
        self,
        conditions: Mapping[str, Condition] | None = None,
        node_conditions: Mapping[str, NodeCondition] | None = None,
    ) -> None:
        self.events: list[KernelEvent] = []
        self.events_dropped = 0
        self.began_ns = 0
        self.now_ns = 0
        self.began_wall_ns = 0
        self.told = Told()
        self._conditions = dict(conditions or {})
        self._node_conditions = dict(node_conditions or {})
        self._rows: dict[str, _Row] = {}
        self._since: dict[tuple[str, str], int] = {}
        self._onsets: dict[tuple[str, str], deque[int]] = {}

    def add(self, sample: Sample) -> None:
        """Take in the next sample."""
        self.now_ns = sample.m_ns
        if not self.began_ns:
            self.began_ns, self.began_wall_ns = sample.m_ns, sample.t_ns
        for gpu in sample.gpus:
            self._row(gpu.uuid, COUNTERS).add(gpu, self.now_ns)
        self._row(HOST, ("oom_kills",)).add(sample.host, self.now_ns)
        for port in sample.host.ports:
            self._row(port_key(port), PORT_COUNTERS).add(port, self.now_ns)
        self._time(sample)
        for event in self.told.new(sample.events):
            self._note(event)

    # --- asking -------------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long samples have been taken in."""
        return (self.now_ns - self.began_ns) / 1e9

    def since_start(self, subject: str, cell: str) -> float | None:
        """What a counter came to since the first sample, None if it was never read."""
        counter = self._counter(subject, cell)
        return None if counter is None else counter.total

    def last_minute(self, subject: str, cell: str) -> float | None:
        """What a counter came to in the last minute, None before half a minute was seen."""
        counter = self._counter(subject, cell)
        if counter is None or self.now_ns - counter.start_ns < MINUTE_NS / 2:
            return None
        return counter.last_minute(self.now_ns)

    def has_moved(self, subject: str) -> bool:
        """Whether any counter of a subject has advanced since start."""
        row = self._rows.get(subject)
        return row is not None and row.moved

    @property
    def has_timed(self) -> bool:
        """Whether any condition has held since start, of whatever subject."""
        return bool(self._onsets)

    def held_s(self, subject: str, condition: str) -> float:
        """For how many seconds a condition has held without a break; 0 if it does not hold now."""
        since = self._since.get((subject, condition))
        return 0.0 if since is None else (self.now_ns - since) / 1e9

    def holds(self, subject: str, condition: str) -> bool:
        """Whether a condition holds now, be it for the first time."""
        return (subject, condition) in self._since

    def onsets_per_minute(self, subject: str, condition: str) -> float:
        """How often a condition began, a minute, over the last ten minutes or what there is of them (at least one)."""
        onsets = tuple(self._onsets.get((subject, condition), ()))
        recent = [at for at in onsets if at >= self.now_ns - ONSETS_NS]
        return len(recent) / max(1.0, min(self.seconds, ONSETS_NS / 1e9) / 60)

    def events_of(self, gpu: GpuSample) -> list[KernelEvent]:
        """The events that name this GPU, oldest first."""
        return [event for event in tuple(self.events) if self.told.is_of(event, gpu)]

    # --- taking in ----------------------------------------------------------------------------------------------

    def _row(self, subject: str, cells: tuple[str, ...]) -> _Row:
        row = self._rows.get(subject)
        if row is None:
            row = self._rows[subject] = _Row(cells)
        return row

    def _counter(self, subject: str, cell: str) -> _Counter | None:
        row = self._rows.get(subject)
        return None if row is None else row.of.get(cell)

    def _time(self, sample: Sample) -> None:
        on: dict[str, list[ProcessSample]] = {}
        for process in sample.processes:
            on.setdefault(process.gpu_uuid, []).append(process)
        for gpu in sample.gpus:
            for name, holds in self._conditions.items():
                self._mark((gpu.uuid, name), holds(gpu, on.get(gpu.uuid, ())))
        for name, node_holds in self._node_conditions.items():
            self._mark((HOST, name), node_holds(sample))

    def _mark(self, key: tuple[str, str], holds: bool) -> None:
        if not holds:
            self._since.pop(key, None)
        elif key not in self._since:
            self._since[key] = self.now_ns
            self._onsets.setdefault(key, deque(maxlen=1000)).append(self.now_ns)

    def _note(self, event: KernelEvent) -> None:
        for place in range(len(self.events) - 1, max(-1, len(self.events) - 50), -1):
            before = self.events[place]
            if same(before, event):
                self.events[place] = together(before, event)
                self.told.completed(before, self.events[place])
                return
        self.events.append(event)
        self.told.count(event)
        if len(self.events) > MOST_EVENTS:
            del self.events[0]
            self.events_dropped += 1


def port_key(port: PortSample) -> str:
    """The key of a port's counters."""
    return f"{port.device}/{port.port}"
