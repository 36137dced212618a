"""What was read before: rings of fixed size, so that a console that stays open for a week is as small as at first."""

from __future__ import annotations

import math
from array import array
from typing import Final

from ..samples import Cell, GpuSample, Sample

FULL_S: Final = 600.0
"""So long every sample is kept."""

COARSE_S: Final = 3600.0
STEP_S: Final = 5.0
"""After that, so long, the smallest, mean and largest of each step."""

METRICS: Final = (
    "utilization_percent",
    "memory_used_bytes",
    "power_w",
    "temperature_c",
    "sm_clock_mhz",
)


class Ring:
    """The newest `size` numbers; NaN where nothing was read."""

    def __init__(self, size: int) -> None:
        self._values = array("d", [math.nan]) * size
        self._next = 0
        self.count = 0

    def push(self, value: float) -> None:
        """Add one, forgetting the oldest when full."""
        self._values[self._next] = value
        self._next = (self._next + 1) % len(self._values)
        self.count = min(self.count + 1, len(self._values))

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


class History:
    """The rings of every GPU that was ever seen, by UUID."""

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._series: dict[tuple[str, str], Series] = {}

    def append(self, sample: Sample) -> None:
        """Add one sample; a GPU that it lacks gets a gap."""
        gpus = {gpu.uuid: gpu for gpu in sample.gpus}
        for uuid in {*gpus, *(uuid for uuid, _ in self._series)}:
            for metric in METRICS:
                series = self._series.setdefault((uuid, metric), Series(self.rate_hz))
                series.push(_value(gpus.get(uuid), metric))

    def series(self, uuid: str, metric: str) -> Series | None:
        """One metric of one GPU, None if it was never read."""
        return self._series.get((uuid, metric))


def _value(gpu: GpuSample | None, metric: str) -> float:
    cell: Cell | None = None if gpu is None else getattr(gpu, metric)
    return float(cell) if isinstance(cell, (int, float)) else math.nan
