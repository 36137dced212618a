"""What was read before: rings of fixed size, so that a console that stays open for a week is as small as at first.

Every sample is kept for ten minutes, then low, mean and high of each five seconds for an hour. A window goes by the
time of the samples, not by their number: a sampler that backs off or is started anew shows as what it is.

One thread appends; any thread may look, one at a time.
"""

from __future__ import annotations

import math
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from ..samples import HostSample, Sample
from .past import HOST, getter

FULL_S: Final = 600.0
"""So long every sample is kept."""

COARSE_S: Final = 3600.0
STEP_S: Final = 5.0
"""After that, so long, the smallest, mean and largest of each step."""

METRICS: Final = (
    "utilization_percent", "memory_used_bytes", "memory_utilization_percent", "power_w", "temperature_c",
    "memory_temperature_c", "sm_clock_mhz", "memory_clock_mhz", "power_capped_percent_1m", "thermal_percent_1m",
    "pcie_rx_bytes_per_s", "pcie_tx_bytes_per_s", "nvlink_rx_bytes_per_s", "nvlink_tx_bytes_per_s",
)  # fmt: skip
"""Cells of a GPU whose past is kept."""

HOST_CELLS: Final = ("cpu_percent", "memory_used_bytes", "load_1m", "shm_used_bytes", "swap_used_bytes")
HOST_METRICS: Final = (*HOST_CELLS, "network_rx_bytes_per_s", "network_tx_bytes_per_s", "fabric_rx_bytes_per_s",
                       "fabric_tx_bytes_per_s")  # fmt: skip
"""What is kept of the host, under the subject HOST; network and fabric are sums over interfaces and ports."""

_STEP_NS: Final = int(STEP_S * 1e9)
_HOLD: Final = 2.5
"""A reading stands for this many sampling periods; what lies further from one is a gap."""

_Fold = tuple[float, float, float]
_N = TypeVar("_N", int, float)


class Window(NamedTuple):
    """A series over a time, in columns of equal time, oldest first; None where nothing was read.

    `low` and `high` are the smallest and largest value that went into a column; a column of one sample has all three
    alike. Columns begin at multiples of their width, whenever they are asked for: a plot moves but does not shimmer.
    """

    low: tuple[float | None, ...] = ()
    mean: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


class _Clock:
    """When the entries of some rings were made; `count` is of all that ever were."""

    __slots__ = ("_times", "count", "size")

    def __init__(self, size: int) -> None:
        self.size, self.count = size, 0
        self._times = array("q", [0]) * size

    def tick(self, t_ns: int) -> None:
        self._times[self.count % self.size] = t_ns
        self.count += 1

    def since(self, t_ns: int) -> tuple[int, list[int]]:
        """The entry before the first that is not older than a time, and the times from it on."""
        begin = max(0, self.count - self.size)
        times = _part(self._times, begin, self.count)
        place = max(0, bisect_left(times, t_ns) - 1)
        return begin + place, times[place:]


class _Subject:
    """The rings of one GPU or of the host."""

    __slots__ = ("full", "high", "low", "mean", "names", "read")

    def __init__(self, names: Sequence[str], read: Callable[[object], Sequence[object]], full: int, steps: int) -> None:
        self.names = {name: place for place, name in enumerate(names)}
        self.read = read
        self.full = [array("f", [math.nan]) * full for _ in names]
        self.low, self.mean, self.high = ([array("f", [math.nan]) * steps for _ in names] for _ in range(3))

    def put(self, place: int, subject: object | None) -> None:
        """One sample; a GPU that it lacks gets gaps."""
        if subject is None:
            for ring in self.full:
                ring[place] = math.nan
            return
        for ring, value in zip(self.full, self.read(subject), strict=True):
            ring[place] = value if isinstance(value, (int, float)) else math.nan

    def close(self, place: int, begin: int, end: int) -> None:
        """One step, of the samples that fell into it."""
        for metric, ring in enumerate(self.full):
            fold = _fold(_part(ring, begin, end)) or (math.nan, math.nan, math.nan)
            self.low[metric][place], self.mean[metric][place], self.high[metric][place] = fold


class History:
    """The rings of every GPU that was ever seen, by UUID, and those of the host."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._lock = threading.Lock()
        self._full = _Clock(16 + math.ceil(FULL_S * rate_hz))
        self._steps = _Clock(16 + math.ceil(COARSE_S / STEP_S))
        self._subjects: dict[str, _Subject] = {}
        self._read_gpu = getter(METRICS)
        self._step_begin = 0
        self._now_ns = self._shift_ns = self._wall_ns = 0
        self._cuts: tuple[tuple[int, float, int], list[tuple[int, int]]] = ((-1, 0.0, 0), [])

    # --- taking in ----------------------------------------------------------------------------------------------

    def append(self, sample: Sample) -> None:
        """Add one sample; a GPU that it lacks gets a gap."""
        with self._lock:
            self._append(sample)

    def _append(self, sample: Sample) -> None:
        self._go_on(sample)
        gpus = {gpu.uuid: gpu for gpu in sample.gpus}
        for uuid in gpus.keys() - self._subjects.keys():
            self._subjects[uuid] = self._new(METRICS, self._read_gpu)
        if HOST not in self._subjects:
            self._subjects[HOST] = self._new(HOST_METRICS, _read_host)
        place = self._full.count % self._full.size
        for name, subject in self._subjects.items():
            subject.put(place, sample.host if name == HOST else gpus.get(name))
        self._full.tick(self._now_ns)

    def _go_on(self, sample: Sample) -> None:
        """Bring the time up to a sample and close the step before it. A recording may go on after a reboot."""
        if sample.m_ns + self._shift_ns <= self._now_ns and self._full.count:
            passed = max(sample.t_ns - self._wall_ns, int(1e9 / self.rate_hz))
            self._shift_ns = self._now_ns + passed - sample.m_ns
        before, self._now_ns, self._wall_ns = self._now_ns, sample.m_ns + self._shift_ns, sample.t_ns
        if before // _STEP_NS == self._now_ns // _STEP_NS or not self._full.count:
            return
        for subject in self._subjects.values():
            subject.close(self._steps.count % self._steps.size, self._step_begin, self._full.count)
        self._steps.tick(before)
        self._step_begin = self._full.count

    def _new(self, names: Sequence[str], read: Callable[[object], Sequence[object]]) -> _Subject:
        return _Subject(names, read, self._full.size, self._steps.size)

    # --- looking ------------------------------------------------------------------------------------------------

    def window(self, subject: str, metric: str, seconds: float, columns: int) -> Window | None:
        """The last `seconds` of a cell of a GPU (by UUID) or of HOST in so many columns; None if it is not kept."""
        rings = self._subjects.get(subject)
        place = None if rings is None else rings.names.get(metric)
        if rings is None or place is None:
            return None
        with self._lock:
            return self._window(rings, place, seconds, columns)

    def _window(self, rings: _Subject, place: int, seconds: float, columns: int) -> Window:
        fine = seconds <= FULL_S
        cuts = self._columns(self._full if fine else self._steps, seconds, max(1, columns))
        if fine:
            return _columned([_fold(values) for values in _cut(rings.full[place], cuts)])
        rest = _fold(_part(rings.full[place], self._step_begin, self._full.count))
        parts = (_cut(ring[place], cuts) for ring in (rings.low, rings.mean, rings.high))
        folds = [_fold_steps(*of_column) for of_column in zip(*parts, strict=True)]
        return _columned([*folds[:-1], _joined(folds[-1], rest)])

    def _columns(self, clock: _Clock, seconds: float, columns: int) -> list[tuple[int, int]]:
        """Which entries fall into each column; the same for every series, so that the last answer is kept."""
        now_ns = self._now_ns
        key = (now_ns, seconds, columns)
        kept = self._cuts
        if kept[0] == key:
            return kept[1]
        width = max(1, int(seconds * 1e9 / columns))
        last = now_ns // width
        edges = [column * width for column in range(last - columns + 1, last + 2)]
        begin, times = clock.since(edges[0])
        cuts, hold = [bisect_left(times, edge) for edge in edges], self._hold_ns(clock)
        found = [
            (begin + low, begin + high) if high > low else _held(begin, low, times, min(edge, now_ns) - hold)
            for (low, high), edge in zip(pairwise(cuts), edges[1:], strict=True)
        ]
        self._cuts = (key, found)
        return found

    def _hold_ns(self, clock: _Clock) -> int:
        """For how long an entry stands: by the rate that samples have come at of late."""
        _, times = self._full.since(0)
        late = sorted(after - before for before, after in pairwise(times[-10:]))
        period = max(1e9 / self.rate_hz, late[len(late) // 2] if late else 0.0)
        return int(max(_HOLD * period, 2 * _STEP_NS if clock is self._steps else 0))


def _held(begin: int, place: int, times: Sequence[int], oldest_ns: int) -> tuple[int, int]:
    """A column that is narrower than the samples lie apart shows the one before it, if that is not too old."""
    if place and times[place - 1] >= oldest_ns:
        return begin + place - 1, begin + place
    return begin + place, begin + place


def _part(ring: array[_N], begin: int, end: int) -> list[_N]:
    """The entries from one count to another, of a ring."""
    size = len(ring)
    low, high = begin % size, (end - 1) % size + 1
    if end <= begin:
        return []
    return ring[low:high].tolist() if low < high else ring[low:].tolist() + ring[:high].tolist()


def _cut(ring: array[float], cuts: Sequence[tuple[int, int]]) -> list[list[float]]:
    """The entries of each column."""
    first = cuts[0][0]
    values = _part(ring, first, cuts[-1][1])
    return [values[begin - first : end - first] for begin, end in cuts]


def _fold(values: Sequence[float]) -> _Fold | None:
    """Low, mean and high of those that were read, None if none was."""
    total = sum(values)
    if math.isnan(total):
        values = [value for value in values if not math.isnan(value)]
        total = sum(values)
    return (min(values), total / len(values), max(values)) if values else None


def _fold_steps(lows: Sequence[float], means: Sequence[float], highs: Sequence[float]) -> _Fold | None:
    """The same of steps; one that has a mean has the others."""
    if math.isnan(sum(means)):
        lows, means, highs = ([v for v in values if not math.isnan(v)] for values in (lows, means, highs))
    return (min(lows), sum(means) / len(means), max(highs)) if means else None


def _joined(one: _Fold | None, other: _Fold | None) -> _Fold | None:
    """A column and the step that is not over yet."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), (one[1] + other[1]) / 2, max(one[2], other[2])


def _columned(folds: Sequence[_Fold | None]) -> Window:
    low, mean, high = zip(*((None, None, None) if fold is None else fold for fold in folds), strict=True)
    return Window(low, mean, high)


_host_cells = getter(HOST_CELLS)


def _read_host(host: object) -> tuple[object, ...]:
    if not isinstance(host, HostSample):
        return (math.nan,) * len(HOST_METRICS)
    return (
        *_host_cells(host),
        _sum([one.rx_bytes_per_s for one in host.network]),
        _sum([one.tx_bytes_per_s for one in host.network]),
        _sum([port.rx_bytes_per_s for port in host.ports]),
        _sum([port.tx_bytes_per_s for port in host.ports]),
    )


def _sum(cells: Sequence[object]) -> float:
    """The sum of those that were read, NaN if none was."""
    read = [cell for cell in cells if isinstance(cell, (int, float))]
    return float(sum(read)) if read else math.nan
