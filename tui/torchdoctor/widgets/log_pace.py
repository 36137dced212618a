"""How often a followed log is drawn anew, so that a slow line carries it: a budget of bytes a second, never of keys."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SHARE = 0.7
"""Of the terminal's budget that a followed log may use; the rest is for what stands around it, and for keys."""

DEBT_S = 2.0
"""What keys had drawn is owed for so long at most: then the log goes on."""


class Pace:
    """Bytes that may be sent now: they grow with time and are spent by drawing. One thread uses it."""

    def __init__(self, bytes_s: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = bytes_s * SHARE
        self._clock = clock
        self._left = 0.0
        self._at_s = clock()

    @property
    def limited(self) -> bool:
        """Whether bytes need to be counted at all."""
        return self._rate < math.inf

    @property
    def ready(self) -> bool:
        """Whether a redraw that nobody asked for by a key may be made now."""
        return not self.limited or self._settled() >= 0

    def spend(self, count: int) -> None:
        """So many bytes were drawn."""
        if self.limited:
            self._left = max(self._settled() - count, -DEBT_S * self._rate)

    def _settled(self) -> float:
        """What is left now. Nothing is saved up: after a pause there are no two redraws at once."""
        now = self._clock()
        self._left = min(0.0, self._left + (now - self._at_s) * self._rate)
        self._at_s = now
        return self._left
