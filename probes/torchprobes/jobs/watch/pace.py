"""What a watcher does now and then, at a pace that gives way where there is much to look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SHARE: Final = 0.003
"""The part of a core that each kind of look may cost."""

SLOWEST_S: Final = 5.0


@dataclass(slots=True)
class Task:
    """Something to do now and then; one that costs much is done less often."""

    every_s: float
    do: Callable[[], None]
    due: float = 0.0

    def run(self) -> None:
        """Do it, and say when next."""
        begin, cpu = time.monotonic(), time.thread_time()
        self.do()
        cost = time.thread_time() - cpu  # not the time that others kept it waiting: a busy node is no slow look
        self.due = begin + min(max(SLOWEST_S, self.every_s), max(self.every_s, cost / SHARE))
