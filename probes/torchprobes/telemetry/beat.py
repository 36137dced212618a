"""One beat for all threads of the sampler: a tick is announced, each GPU takes it, nobody waits for what is late.

They take it one after another, as long as nobody is slow: side by side they would only wait for each other, in the
interpreter and in the driver, and what a call costs could not be told. Each wakes the next one, which is also what
costs least: a thread is woken once a tick, and for nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

TURN_S: Final = 0.05
"""Who has its turn for longer than this is no longer waited for by the next one."""


class Member:
    """Somebody who takes the ticks; `times` is how many ticks go by for one that it takes."""

    def __init__(self, beat: Beat) -> None:
        self.times = 1
        self.gate = threading.Lock()
        """Shut, but for the moment in which its turn comes."""
        self.gate.acquire()
        self._beat = beat

    def take(self) -> None:
        """Wait for a tick and for its turn in it."""
        self.gate.acquire()

    def pause(self, seconds: float) -> None:
        """Do nothing for some time, in which the others have their turn."""
        self._beat.leave(self)
        time.sleep(seconds)

    def done(self) -> None:
        """It has taken the tick."""
        self._beat.leave(self, done=True)


class Beat:
    """Ticks that one thread gives and others take."""

    def __init__(self) -> None:
        self.number = 0
        self._members: list[Member] = []
        self._waiting: deque[Member] = deque()
        """Those whose turn in this tick has not come."""
        self._busy: dict[Member, int] = {}
        """Those who have not done with a tick, and with which."""
        self._holder: Member | None = None
        self._held_since = 0.0
        self._lock = threading.Lock()
        self._all_done = threading.Event()

    def join(self) -> Member:
        """Somebody new, who takes every tick from the present one on."""
        member = Member(self)
        with self._lock:
            self._members.append(member)
            if self.number:
                self._all_done.clear()
                self._waiting.append(member)
                if self._holder is None:
                    self._next()
        return member

    def give(self) -> None:
        """The next tick begins, for all who have done with those before."""
        with self._lock:
            self.number += 1
            absent = {*self._busy, *self._waiting}
            self._waiting.extend(m for m in self._members if m not in absent and self.number % m.times == 0)
            self._all_done.clear()
            self._next()

    def nudge(self) -> None:
        """Who has its turn for too long is slow, or hangs: the next one goes beside it. To be called now and then."""
        with self._lock:
            if self._holder is not None and time.monotonic() - self._held_since >= 0.9 * TURN_S:
                self._next()

    def gather(self, seconds: float) -> bool:
        """See that all have their turn, and wait until they have done with it, at most so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._all_done.wait(min(TURN_S, left)):
                return True
            self.nudge()
        with self._lock:
            while self._waiting:
                self._next()
        return False

    def leave(self, member: Member, *, done: bool = False) -> None:
        """A member gives its turn to the next one."""
        with self._lock:
            if done:
                self._busy.pop(member, None)
            if self._holder is member or self._holder is None:
                self._next()

    def _next(self) -> None:
        """The turn of the next one; with the lock held."""
        self._holder = self._waiting.popleft() if self._waiting else None
        if self._holder is not None:
            self._held_since = time.monotonic()
            self._busy[self._holder] = self.number
            self._holder.gate.release()
        elif self.number not in self._busy.values():
            self._all_done.set()
