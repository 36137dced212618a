"""What the sampler itself costs."""

from __future__ import annotations

import time
from collections import deque

from ...cells import UNREAD, Cell

WINDOW_S = 10.0
LEAST_S = 2.0
"""Over less than this there is no share: a process that only begins uses a whole core."""


class OwnCost:
    """This process's share of one core, all its threads together, over the last WINDOW_S."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque([(time.monotonic(), time.process_time())])

    def percent(self) -> Cell:
        """The share since the oldest mark in the window, in percent; not read yet over less than LEAST_S."""
        now, used = time.monotonic(), time.process_time()
        self._marks.append((now, used))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW_S:
            self._marks.popleft()
        since, before = self._marks[0]
        return round(100 * (used - before) / (now - since), 2) if now - since >= LEAST_S else UNREAD
