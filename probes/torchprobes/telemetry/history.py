"""What was read before: rings of fixed size, so that a console that stays open for a week is as small as at first."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ..samples import Cell, GpuSample, HostSample, Sample
from .past import HOST

FULL_S: Final = 600.0
"""So long every sample is kept."""

COARSE_S: Final = 3600.0
STEP_S: Final = 5.0
"""After that, so long, the smallest, mean and largest of each step."""

METRICS: Final = (
    "utilization_percent",
    "memory_used_bytes",
    "memory_utilization_percent",
    "power_w",
    "temperature_c",
    "memory_temperature_c",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "power_capped_percent_1m",
    "thermal_percent_1m",
    "pcie_rx_bytes_per_s",
    "pcie_tx_bytes_per_s",
    "nvlink_rx_bytes_per_s",
    "nvlink_tx_bytes_per_s",
)
"""Cells of a GPU whose past is kept."""

HOST_METRICS: Final = ("cpu_percent", "memory_used_bytes")
"""Cells of the host whose past is kept, under the subject HOST."""


@dataclass(frozen=True, slots=True)
class Window:
    """A series over a time, in columns, oldest first; None where nothing was read.

    `low` and `high` are the smallest and largest value that went into a column; a column of one sample has all three
    alike. Columns begin at the same samples whenever they are asked for, so that a plot moves but does not shimmer.
    """

    low: tuple[float | None, ...] = ()
    mean: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


class Ring:
    """The newest `size` numbers; NaN where nothing was read."""

    def __init__(self, size: int) -> None:
        self._values = array("d", [math.nan]) * size
        self._next = 0
        self.count = 0
        self.total = 0
        """How many were ever pushed."""

    def push(self, value: float) -> None:
        """Add one, forgetting the oldest when full."""
        self._values[self._next] = value
        self._next = (self._next + 1) % len(self._values)
        self.count = min(self.count + 1, len(self._values))
        self.total += 1

    def last(self, count: int) -> tuple[float | None, ...]:
        """The newest `count`, oldest first; None where nothing was read."""
        size = len(self._values)
        taken = min(count, self.count)
        values = (self._values[(self._next - taken + i) % size] for i in range(taken))
        return tuple(None if math.isnan(value) else value for value in values)


class Series:
    """One metric of one GPU at both grains."""

    def __init__(self, rate_hz: float) -> None:
        self.full = Ring(max(1, round(FULL_S * rate_hz)))
        self.low, self.mean, self.high = (Ring(round(COARSE_S / STEP_S)) for _ in range(3))
        self._step: list[float] = []
        self._pending = 0
        self._per_step = max(1, round(STEP_S * rate_hz))

    def push(self, value: float) -> None:
        """Add one sample's value, NaN for a cell without a number."""
        self.full.push(value)
        self._pending += 1
        if not math.isnan(value):
            self._step.append(value)
        if self._pending < self._per_step:
            return
        read = self._step or [math.nan]
        self.low.push(min(read))
        self.mean.push(sum(read) / len(read))
        self.high.push(max(read))
        self._step, self._pending = [], 0

    def window(self, seconds: float, columns: int, rate_hz: float) -> Window:
        """The last `seconds` in at most `columns`: of every sample where those reach back far enough, else of steps."""
        if seconds <= FULL_S:
            wanted = max(1, round(seconds * rate_hz))
            return _binned((self.full, self.full, self.full), wanted, columns)
        return _binned((self.low, self.mean, self.high), max(1, round(seconds / STEP_S)), columns)


def _binned(rings: tuple[Ring, Ring, Ring], wanted: int, columns: int) -> Window:
    """The newest `wanted` of low, mean and high in columns of equally many."""
    per = max(1, math.ceil(wanted / columns))
    total = rings[1].total
    # a column begins where the count of all samples is a multiple of its size: the first one may be incomplete
    taken = min(rings[1].count, (columns - 1) * per + (total % per or per), wanted)
    series = [ring.last(taken) for ring in rings]
    if per == 1:
        return Window(*series)
    first = total - taken
    cuts = [0, *range(per - first % per, taken, per), taken]
    folded = [
        tuple(_fold(how, values[begin:end]) for begin, end in pairwise(cuts) if end > begin)
        for how, values in zip(_FOLDS, series, strict=True)
    ]
    return Window(*folded)


_FOLDS: Final[tuple[Callable[[list[float]], float], ...]] = (min, lambda read: sum(read) / len(read), max)


def _fold(how: Callable[[list[float]], float], values: tuple[float | None, ...]) -> float | None:
    read = [value for value in values if value is not None]
    return how(read) if read else None


class History:
    """The rings of every GPU that was ever seen, by UUID, and those of the host."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._series: dict[tuple[str, str], Series] = {}

    def append(self, sample: Sample) -> None:
        """Add one sample; a GPU that it lacks gets a gap."""
        gpus = {gpu.uuid: gpu for gpu in sample.gpus}
        for uuid in {*gpus, *(subject for subject, _ in tuple(self._series) if subject != HOST)}:
            for metric in METRICS:
                series = self._series.setdefault((uuid, metric), Series(self.rate_hz))
                series.push(_value(gpus.get(uuid), metric))
        for metric in HOST_METRICS:
            series = self._series.setdefault((HOST, metric), Series(self.rate_hz))
            series.push(_value(sample.host, metric))

    def series(self, uuid: str, metric: str) -> Series | None:
        """One metric of one GPU, None if it was never read."""
        return self._series.get((uuid, metric))

    def window(self, subject: str, metric: str, seconds: float, columns: int) -> Window | None:
        """The last `seconds` of a cell of a GPU (by UUID) or of HOST, in at most `columns`; None if never read."""
        series = self._series.get((subject, metric))
        return None if series is None else series.window(seconds, columns, self.rate_hz)


def _value(subject: GpuSample | HostSample | None, metric: str) -> float:
    cell: Cell | None = None if subject is None else getattr(subject, metric)
    return float(cell) if isinstance(cell, (int, float)) else math.nan
