"""How far a rank has come, from the events that its injected heartbeat writes: one table of folds, pure.

Times are the monotonic clock of the host, which the rank and its watcher share.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable
from typing import Final

from ...model import Event
from ...rank_evidence import Progress
from ..verdict.lags import Lag

FIRST_STEPS: Final = 10
"""Steps at the beginning that allocate and compile: their memory says nothing of what comes."""

WINDOW: Final = 200
"""Steps over which memory is told as mean and spread."""

MOST_SECONDS: Final = 1e9
RATE_STEPS: Final = 20
"""Intervals over which the time of a step is told."""


class Tracker:
    """What one rank told so far; `progress` is it as evidence."""

    def __init__(self) -> None:
        self.phase = ""
        self.steps: int | None = None
        self.collective = ""
        self.enqueued: int | None = None
        self.completed: int | None = None
        self.moved_ns = 0
        self.log_ns = 0
        self.told = False
        """Whether it ever told anything by events: silence then means something."""
        self.lag: Lag | None = None
        """How late it comes, where that was measured (`lags`)."""
        self._memory: deque[float] = deque(maxlen=WINDOW)
        self._newest_memory: float | None = None
        self._intervals: deque[float] = deque(maxlen=RATE_STEPS)
        self.longest_s: float | None = None
        self._step_ns = 0

    def take(self, event: Event, now_ns: int) -> None:
        """Take in one event; kinds that tell nothing of its way only show that it lives."""
        self.told = True
        fold = _FOLDS.get(event.ev)
        when = event.m_ns if 0 < event.m_ns <= now_ns else now_ns
        if fold is not None and fold(self, event, when):
            self.moved_ns = max(self.moved_ns, when)

    def progress(self) -> Progress:
        """As evidence."""
        memory = list(self._memory)
        mean = statistics.fmean(memory) if memory else None
        spread = _deviation(memory, mean) / mean if mean and len(memory) > 1 else None
        return Progress(
            phase=self.phase,
            steps=self.steps,
            step_s=statistics.median(self._intervals) if self._intervals else None,
            longest_step_s=self.longest_s,
            collective=self.collective,
            enqueued=self.enqueued,
            completed=self.completed,
            moved_ns=self.moved_ns,
            log_ns=self.log_ns,
            memory_bytes=mean if mean is not None else self._newest_memory,
            memory_spread=spread,
            lag_s=self.lag.lag_s if self.lag else None,
            last_share=self.lag.last_share if self.lag else None,
            lag_calls=self.lag.n if self.lag else None,
            lag_span_s=self.lag.span_s if self.lag else None,
        )

    @property
    def takes_part(self) -> bool:
        """Whether it is seen to take part in collectives, or to step."""
        return bool(self.enqueued or self.steps)

    @property
    def pending(self) -> bool:
        """Whether it has collectives that are not complete."""
        return self.enqueued is not None and self.completed is not None and self.enqueued > self.completed

    # --- folds: each says whether the rank moved -----------------------------------------------------------------

    def set_phase(self, event: Event, _when: int) -> bool:
        """A phase, or the beginning of one."""
        phase = _PHASES.get(event.ev, event.name)
        moved = bool(phase) and phase != self.phase
        self.phase = phase or self.phase
        return moved

    def set_step(self, event: Event, when: int) -> bool:
        """Steps since the last event: how many there are now, the mean time of the new ones, the longest of them."""
        before, self.steps = self.steps, event.n
        seconds = _seconds(event.value)
        if seconds is None and before is not None and event.n > before and self._step_ns:
            seconds = max(0, when - self._step_ns) / 1e9 / (event.n - before)
        if seconds is not None:
            self._intervals.append(seconds)
            longest = _seconds(event.labels.get("longest_s")) or seconds
            self.longest_s = max(longest, self.longest_s or 0.0) if event.n > FIRST_STEPS else None
        self._step_ns = when
        return event.n != before

    def set_collective(self, event: Event, _when: int) -> bool:
        """How many collectives it has enqueued and completed."""
        before = (self.enqueued, self.completed, self.collective)
        self.collective = event.name or self.collective
        enqueued, completed = _integer(event.labels.get("enqueued")), _integer(event.labels.get("completed"))
        self.enqueued = self.enqueued if enqueued is None else enqueued
        self.completed = self.completed if completed is None else completed
        return before != (self.enqueued, self.completed, self.collective)

    def set_memory(self, event: Event, _when: int) -> bool:
        """Device memory after a step."""
        value = event.value
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
            self._newest_memory = float(value)
            if (self.steps or 0) > FIRST_STEPS:
                self._memory.append(float(value))
        return False


_PHASES: Final = {"start": "starting", "end": "ending"}

_FOLDS: Final[dict[str, Callable[[Tracker, Event, int], bool]]] = {
    "start": Tracker.set_phase,
    "hb": Tracker.set_phase,
    "end": Tracker.set_phase,
    "step": Tracker.set_step,
    "coll": Tracker.set_collective,
    "mem": Tracker.set_memory,
}


def _deviation(values: list[float], mean: float) -> float:
    """The standard deviation; `statistics` counts in fractions, at a hundred times the cost."""
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def _seconds(value: object) -> float | None:
    """A time that an event tells as a number or as a text; nothing that is none, or that no step takes."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < MOST_SECONDS else None


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 1 << 62 else None
    text = value if isinstance(value, str) else ""
    return int(text) if text.lstrip("-").isdigit() and text.isascii() and len(text) < 19 else None
