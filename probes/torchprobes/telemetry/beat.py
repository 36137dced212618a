"""One beat for all threads of the sampler: a tick is announced, each GPU takes it, nobody waits for what is late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

TURN_S: Final = 0.05
"""So long one waits for its turn before it goes beside the one that has it."""


class Beat:
    """Numbers of ticks that one thread gives and others wait for.

    Those who take a tick do it one after another as long as nobody is slow: side by side they would only wait for
    each other, in the interpreter and in the driver, and what a call costs could not be told.
    """

    def __init__(self) -> None:
        self.number = 0
        self._change = threading.Condition()
        self._busy: dict[str, int] = {}
        self._turn = threading.Lock()

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

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Have the turn; it is not waited for longer than TURN_S."""
        turn = Turn(self._turn)
        turn.take()
        try:
            yield turn
        finally:
            turn.leave()

    def gather(self, seconds: float, *, late: frozenset[str] = frozenset()) -> bool:
        """Wait until all but the late ones have taken the newest tick, at most so long."""
        with self._change:
            return self._change.wait_for(
                lambda: all(done >= self.number for name, done in self._busy.items() if name not in late), seconds
            )


class Turn:
    """Somebody's turn, if it got it."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock, self._mine = lock, False

    def take(self) -> None:
        """Wait for it, not too long."""
        self._mine = self._lock.acquire(timeout=TURN_S)

    def leave(self) -> None:
        """The next one, please."""
        if self._mine:
            self._lock.release()
        self._mine = False

    def pause(self, seconds: float) -> None:
        """Do nothing for some time, in which others have their turn."""
        self.leave()
        time.sleep(seconds)
        self.take()
