"""When each reading of a GPU is asked: fast ones on every tick, slow ones spread so that no tick costs much.

Pure bookkeeping over times that the caller gives, so that a minute can be played in a test. Each GPU has a schedule
of its own; those of one node know of each other only by their seats, so that no two ask for the same at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

from ..readings import ONCE

TICK_MS: Final = 20.0
"""What the calls of one tick may cost, all GPUs together; a GPU has its seat's share of it for slow readings."""

GUESS_MS: Final = 1.0
"""What a reading costs that was never asked."""

RETRY_S: Final = 10.0
"""When a reading that is asked once is asked again after a failure that may pass."""

MOST_TIMES: Final = 10
"""A slow driver is never asked less often than every so many ticks."""

_NOW: Final = float("-inf")

_GOLDEN: Final = 0.6180339887498949
"""Multiples of it, modulo 1, lie as far from each other as they can, however many there are."""


class Row(Protocol):
    """What a schedule needs to know of a reading."""

    @property
    def name(self) -> str:
        """What it is called, once in a schedule."""
        ...

    @property
    def every_s(self) -> float:
        """Seconds from one time to the next; 0 for every tick, ONCE for never again."""
        ...

    @property
    def after_s(self) -> float:
        """Seconds from the first tick to the first time, at least, and at most twice as many."""
        ...

    @property
    def again_s(self) -> float:
        """The same from the first time to the second, 0 for the usual."""
        ...


R = TypeVar("R", bound=Row)


class Schedule(Generic[R]):
    """Which rows of one GPU are due; `seat` is its place among `seats` GPUs. One thread at a time."""

    def __init__(self, rows: Sequence[R], seat: int = 0, seats: int = 1, tick_ms: float = TICK_MS) -> None:
        self._fast = [row for row in rows if row.every_s == 0]
        self._slow = _rotated([row for row in rows if row.every_s > 0], seat, seats)
        self._order = {row.name: place for place, row in enumerate(self._slow)}
        self._seat, self._seats = seat, max(1, seats)
        self._tick_ms = tick_ms
        self._due = {row.name: _NOW for row in self._slow}
        self._late = [row for row in self._slow if row.after_s]
        """Rows whose first time is not set yet."""
        self._cost_ms: dict[str, float] = {}
        self._next_due = _NOW
        """No row is due before this; it is found when a tick has asked all that were."""
        self._spent_ms = 0.0
        self._ticks = 0

    def tick(self, now_s: float) -> Iterator[R]:
        """The rows of the next tick, one by one; tell `done` of each before asking for the next.

        Slow rows come as long as the GPU's share of the tick lasts, or what fast ones left of it, the most overdue
        first. One that costs more than what is left has its turn in every `seats`-th tick, so that no two GPUs have an
        expensive one at once.
        """
        self._spent_ms = 0.0
        while self._late:
            row = self._late.pop()
            self._due[row.name] = now_s + row.after_s * (1 + self._phase(row))
        yield from tuple(self._fast)
        share_ms = max(0.0, min(self._tick_ms / self._seats, self._tick_ms - self._spent_ms))
        turn = self._ticks % self._seats == self._seat
        self._ticks += 1
        self._spent_ms = 0.0
        if now_s < self._next_due:
            return
        for row in self._overdue(now_s):
            cost = self._cost_ms.get(row.name, min(GUESS_MS, share_ms))
            if self._spent_ms > share_ms:
                return
            if turn or self._spent_ms + cost <= share_ms:
                yield row
        self._next_due = min(self._due.values(), default=ONCE)

    def done(self, row: R, now_s: float, cost_ms: float, *, failed: bool = False) -> None:
        """A row was asked; it is due again after its time, one that is asked once only if it failed.

        All begin at once; the second time comes later by a part of the period that is the row's own, and so they are
        spread from then on, and the minute in which everything static is asked has fewer of the others.
        """
        self._spent_ms += cost_ms
        if row.every_s == 0:
            return
        self._cost_ms[row.name] = max(cost_ms, 0.7 * self._cost_ms.get(row.name, 0.0))
        if row.every_s == ONCE:
            self._due[row.name] = now_s + (RETRY_S if failed else ONCE)
        elif self._due[row.name] == _NOW:
            again_s, most = row.again_s or 1.25 * row.every_s, row.again_s or row.every_s
            self._due[row.name] = now_s + again_s + most * self._phase(row)
        else:
            late = now_s - self._due[row.name]
            self._due[row.name] = now_s + row.every_s - late % row.every_s

    def drop(self, row: R) -> None:
        """Never ask this row again."""
        self._fast = [other for other in self._fast if other.name != row.name]
        self._due[row.name] = ONCE

    def all_due(self) -> None:
        """Everything that is not asked once is due now: the GPU is back."""
        self._next_due = _NOW
        self._due.update((row.name, _NOW) for row in self._slow if self._due[row.name] < ONCE)

    def _overdue(self, now_s: float) -> list[R]:
        due = [row for row in self._slow if self._due[row.name] <= now_s]
        return sorted(due, key=lambda row: (self._due[row.name], row.every_s != ONCE, self._order[row.name]))

    def _phase(self, row: R) -> float:
        return (self._order[row.name] * self._seats + self._seat) * _GOLDEN % 1.0


def _rotated(rows: list[R], seat: int, seats: int) -> list[R]:
    """The same rows, static ones first, the others in another order for each seat: GPUs begin with different ones."""
    once, often = [row for row in rows if row.every_s == ONCE], [row for row in rows if row.every_s != ONCE]
    start = len(often) * seat // max(1, seats)
    return once + often[start:] + often[:start]


class BackOff:
    """How often a slow driver is asked: when the fast readings of a tick cost more than TICK_MS, less often.

    Slow readings have a limit of their own. It goes by the median of three ticks, so that one hiccup changes nothing
    and two quick ticks end it.
    """

    def __init__(self, limit_ms: float = TICK_MS) -> None:
        self._limit_ms = limit_ms
        self._costs: list[float] = []
        self.times = 1
        """Every so many ticks it is asked; 1 when it is quick."""

    def add(self, cost_ms: float) -> None:
        """What the fast calls of one tick cost."""
        self._costs = [*self._costs[-2:], cost_ms]
        usual = sorted(self._costs)[(len(self._costs) - 1) // 2] if len(self._costs) > 1 else 0.0
        self.times = max(1, math.ceil(min(MOST_TIMES, usual / self._limit_ms)))
