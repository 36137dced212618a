"""What the screen takes from the sampler, or from a recording that stands in for it: the newest of it, no more."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from .events import NewestXids

if TYPE_CHECKING:
    from .interfaces import HistoryLike, ReplayLike, SamplerLike, WindowLike

SLOW_SAMPLES_S: Final = 2.0
"""Over a slow line new numbers come this far apart; every sample still goes into the history."""

PACE_SAMPLES: Final = 20
"""The real rate is told over so many samples that the screen took."""


LEAST_S: Final = 1.0
"""A plot is at most this far behind, or the time of one of its columns."""


class Glance:
    """Keeps the windows that were asked for; `now_ns` is the time of the newest sample. One thread uses it."""

    def __init__(self, history: HistoryLike) -> None:
        self.history = history
        self.now_ns = 0
        self._kept: dict[tuple[str, str, float, int], tuple[int, WindowLike | None]] = {}

    def at(self, now_ns: int) -> None:
        """Another sample is the newest; in a recording it may be an older one."""
        if now_ns < self.now_ns:
            self._kept.clear()
        self.now_ns = now_ns

    def window(self, subject: str, metric: str, seconds: float, columns: int) -> WindowLike | None:
        """The last `seconds` of a cell of a subject; None if it was never read."""
        key = (subject, metric, seconds, columns)
        read_ns, kept = self._kept.get(key, (0, None))
        if kept is None or self.now_ns - read_ns >= max(LEAST_S, seconds / max(1, columns)) * 1e9:
            self._forget()
            kept = self.history.window(subject, metric, seconds, columns)
            self._kept[key] = self.now_ns, kept
        return kept

    def _forget(self) -> None:
        """Drop what nobody asks for any more: other widths, other metrics."""
        if len(self._kept) > 256:
            self._kept.clear()


class Live:
    """The screen's end of a sampler. One thread uses it."""

    def __init__(self, sampler: SamplerLike, slow: bool) -> None:
        self.sampler = sampler
        self.taken_s = -SLOW_SAMPLES_S
        self._slow = slow
        self._number = -1
        self._xids = NewestXids()
        self._glance: Glance | None = None
        self._pace: deque[tuple[int, int]] = deque(maxlen=PACE_SAMPLES)

    @property
    def replay(self) -> ReplayLike | None:
        """The recording that is played, None if it is live."""
        return self.sampler if hasattr(self.sampler, "seek") else None  # type: ignore[return-value]

    def changes(self, state: str) -> dict[str, Any]:
        """What is new, as fields of a snapshot whose sampler was in `state`; empty if nothing is."""
        number, sample, health = self.sampler.judged()
        if self._slow and time.monotonic() - self.taken_s < SLOW_SAMPLES_S:
            return {}
        if sample is None or number == self._number:
            return {"sampler": self.sampler.state} if self.sampler.state != state else {}
        self._number, self.taken_s = number, time.monotonic()
        return {
            "sample": sample,
            "sampler": self.sampler.state,
            "findings": health.findings,
            "verdict": health.line,
            "history": self._history(self.sampler.history, sample.m_ns),
            "past": self.sampler.past,
            "xids": self._xids.read(self.sampler.past, sample.gpus),
            "rate_hz": self._rate(number, sample.m_ns),
        }

    def _history(self, history: HistoryLike, now_ns: int) -> Glance:
        """What was read before, folded no more often than one can see."""
        if self._glance is None or self._glance.history is not history:
            self._glance = Glance(history)
        self._glance.at(now_ns)
        return self._glance

    def _rate(self, number: int, m_ns: int) -> float:
        """Samples a second over the newest of them; 0 while there are too few."""
        if self._pace and m_ns <= self._pace[-1][1]:  # a recording was wound back
            self._pace.clear()
        self._pace.append((number, m_ns))
        (first, began), (last, ended) = self._pace[0], self._pace[-1]
        return (last - first) * 1e9 / (ended - began) if last > first else 0.0
