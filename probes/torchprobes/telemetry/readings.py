"""Readings as rows: what is asked of a device, how often, and which cells the answer fills. The same for every vendor.

Runs in the sampler child only. A row is asked in the turn of its GPU, when it is due; NotSupported and an unknown
function are final for that GPU, everything else is asked again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..cells import UNREAD, Absent, Cell
from ..samples import ProcessSample

ONCE: Final = float("inf")
"""`every_s` of what does not change."""

MINUTE_S: Final = 60.0
LEAST_S: Final = 4.0
"""A share of the last minute is told after this much of it was seen."""


class Memory:
    """What a GPU's readings remember from one time to the next: the last values of counters. One thread at a time."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}
        self._steps: dict[str, deque[tuple[float, float]]] = {}
        self.notes: dict[str, Any] = {}
        """Whatever else a row wants to keep, such as which link comes next."""

    def per_second(self, key: str, value: float, now_s: float) -> Cell:
        """The rate of a counter since it was read last; not yet a number at first, and after it ran backwards."""
        before = self._last.get(key)
        self._last[key] = (now_s, value)
        if before is None or now_s <= before[0] or value < before[1]:
            return UNREAD
        return (value - before[1]) / (now_s - before[0])

    def share_of_minute(self, key: str, seconds: float, now_s: float) -> Cell:
        """Percent of the last minute (of what was seen of it) by which a counter of seconds advanced."""
        steps = self._steps.setdefault(key, deque())
        if steps and seconds < steps[-1][1]:
            steps.clear()
        steps.append((now_s, seconds))
        while len(steps) > 2 and steps[1][0] <= now_s - MINUTE_S:
            steps.popleft()
        span = now_s - steps[0][0]
        if span < LEAST_S:
            return UNREAD
        return round(min(100.0, 100 * (seconds - steps[0][1]) / span), 1)


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its readings know it: the library's handle, and what names it whatever its index becomes.

    `notes` is what its calls keep from one time to the next, such as which link comes next. One thread at a time.
    `pause` is how a call waits: time that is not the driver's, and in which other GPUs are read.
    """

    handle: Any
    index: int
    uuid: str
    bus_id: str
    notes: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """One row. `calls` are tried in order, the newest first, until one is known to the library.

    `fill` makes cells of the answer (it gets the GPU's memory and the time, for rates); `cells` names them all, so
    that each can say why there is none when the call fails. `every_s` is 0 for every tick, ONCE for never again.
    `after_s` is how long the first time waits, for what is too slow for a single look; `again_s`, if it is not 0, how
    soon the second time follows the first, for what needs two readings to say anything. Both may take twice as long,
    so that GPUs do not come together.
    """

    name: str
    every_s: float
    calls: tuple[Callable[[Device], Any], ...]
    cells: tuple[str, ...]
    fill: Callable[[Any, Memory, float], Mapping[str, Any]]
    after_s: float = 0.0
    again_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """A list of processes of a device, without their names: `calls` as in `Reading`, answers as `ProcessSample`s.

    One that does not list (`lists` is False) only fills cells of processes that others have listed, and is asked
    only while there are some. `after_s` and `again_s` as in `Reading`.
    """

    name: str
    every_s: float
    calls: tuple[Callable[[Device], Any], ...]
    fill: Callable[[Any, Device], Sequence[ProcessSample]]
    lists: bool = True
    after_s: float = 0.0
    again_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What a vendor's library said when it was opened."""

    version: Cell
    cuda: Cell
    count: int


class Vendor(Protocol):
    """One vendor's library: how it is opened, which rows it answers, and what its errors mean."""

    name: str
    readings: tuple[Reading, ...]
    processes: tuple[ProcessReading, ...]

    def open(self) -> Opened:
        """Open the library and count its devices; raises whatever the library raises."""
        ...

    def count(self) -> int:
        """Count its devices again, one call; raises what the library raises."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    def identify(self, index: int) -> Device:
        """The device of an index; raises what the library raises."""
        ...

    def absent(self, error: Exception) -> Absent:
        """Why a call failed, as a cell."""
        ...

    def is_final(self, cell: Absent) -> bool:
        """Whether it will fail in the same way for ever on this device."""
        ...

    def is_unknown(self, error: Exception) -> bool:
        """Whether the library does not know this call, so that an older one is to be tried."""
        ...

    def wants_reopening(self, cell: Absent) -> bool:
        """Whether the library must be opened anew (the driver was reloaded under it)."""
        ...

    def open_failure(self, error: Exception) -> str:
        """Why it could not be opened, in words, with what to do."""
        ...

    def topology(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """How its devices are connected, as `Sample.topology` says it; () where the library does not tell."""
        ...

    def peers(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        """Which of them may read another's memory, as `Sample.peers` says it; () where the library does not tell."""
        ...
