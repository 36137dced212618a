"""One beat for all threads of the sampler: a tick is announced, each GPU takes it, nobody waits for what is late."""

from __future__ import annotations

import threading


class Beat:
    """Numbers of ticks that one thread gives and others wait for."""

    def __init__(self) -> None:
        self.number = 0
        self._change = threading.Condition()
        self._busy: dict[str, int] = {}

    def join(self, name: str) -> None:
        """Somebody will take every tick from the next one on."""
        with self._change:
            self._busy[name] = self.number

    def give(self) -> int:
        """The next tick begins."""
        with self._change:
            self.number += 1
            self._change.notify_all()
            return self.number

    def take(self, name: str, seen: int) -> int:
        """Wait for a tick after the one that was seen; those that were missed are skipped."""
        with self._change:
            self._busy[name] = seen
            self._change.notify_all()
            self._change.wait_for(lambda: self.number > seen)
            return self.number

    def gather(self, seconds: float, *, late: frozenset[str] = frozenset()) -> bool:
        """Wait until all but the late ones have taken the newest tick, at most so long."""
        with self._change:
            return self._change.wait_for(
                lambda: all(done >= self.number for name, done in self._busy.items() if name not in late), seconds
            )
