"""What the sampler itself costs."""

from __future__ import annotations

import time
from collections import deque

WINDOW_S = 10.0


class OwnCost:
    """This process's share of one core, all its threads together, over the last WINDOW_S."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque([(time.monotonic(), time.process_time())])

    def percent(self) -> float:
        """The share since the oldest mark in the window, in percent."""
        now, used = time.monotonic(), time.process_time()
        self._marks.append((now, used))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW_S:
            self._marks.popleft()
        since, before = self._marks[0]
        return round(100 * (used - before) / (now - since), 2) if now > since else 0.0
