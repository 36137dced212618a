"""One beat for all GPUs of the sampler: a tick is announced, each GPU takes it, nobody waits for what is late.

They take it one after another and on one thread, as long as nobody is slow: side by side they would only wait for each
other, in the interpreter and in the driver, what a call costs could not be told, and each thread that wakes finds its
stack and the processor's caches cold. Who is slow keeps the thread, and another one goes on with the others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

TURN_S: Final = 0.05
"""Who has its turn for longer than this is no longer waited for by the next one."""

Play = Callable[["Member"], None]
"""What a member does in its turn. It raises nothing."""


class Member:
    """Somebody who takes the ticks; `times` is how many ticks go by for one that it takes."""

    def __init__(self, beat: Beat, play: Play) -> None:
        self.times = 1
        self.play = play
        self._beat = beat

    def pause(self, seconds: float) -> None:
        """Do nothing for some time, in which the others have their turn. Only within its own turn."""
        self._beat.yield_turn(self)
        time.sleep(seconds)


class _Worker:
    """A thread that gives members their turn."""

    def __init__(self) -> None:
        self.gate = threading.Lock()
        """Shut, but for the moment in which there is a member for it."""
        self.gate.acquire()
        self.member: Member | None = None


class Beat:
    """Ticks that one thread gives and members take. There are never more workers than members."""

    def __init__(self) -> None:
        self.number = 0
        self._members: list[Member] = []
        self._waiting: deque[Member] = deque()
        """Those whose turn in this tick has not come."""
        self._busy: dict[Member, int] = {}
        """Those who have not done with a tick, and with which."""
        self._holder: Member | None = None
        self._held_since = 0.0
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._all_done = threading.Event()

    def join(self, play: Play) -> Member:
        """Somebody new, who takes every tick from the present one on."""
        member = Member(self, play)
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
            late = self._holder is not None and time.monotonic() - self._held_since >= 0.9 * TURN_S
            if late or (self._holder is None and self._waiting):
                self._next()

    def gather(self, seconds: float) -> bool:
        """See that all have their turn, and wait until they have done with it, at most so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._all_done.wait(min(TURN_S, left)):
                return True
            self.nudge()
        with self._lock:
            while self._waiting and self._next():
                pass
        return False

    def yield_turn(self, member: Member) -> None:
        """A member that goes on lets the next one have its turn beside it."""
        with self._lock:
            if self._holder is member:
                self._next()

    # --- with the lock held -------------------------------------------------------------------------------------

    def _next(self) -> bool:
        """The turn of the next one, on a thread that is free; False where there is none to be had."""
        member = self._pop()
        if member is None:
            return True
        worker = self._idle.pop() if self._idle else self._hire()
        if worker is None:
            del self._busy[member]
            self._waiting.appendleft(member)
            self._holder = None
            return False
        worker.member = member
        worker.gate.release()
        return True

    def _pop(self) -> Member | None:
        self._holder = self._waiting.popleft() if self._waiting else None
        if self._holder is not None:
            self._held_since = time.monotonic()
            self._busy[self._holder] = self.number
        elif self.number not in self._busy.values():
            self._all_done.set()
        return self._holder

    def _hire(self) -> _Worker | None:
        worker = _Worker()
        try:
            threading.Thread(target=self._work, args=(worker,), name="gpu readings", daemon=True).start()
        except RuntimeError:  # the limit of threads is reached; the next tick or nudge tries again
            return None
        return worker

    # --- in a worker's thread -----------------------------------------------------------------------------------

    def _work(self, worker: _Worker) -> None:
        while True:
            worker.gate.acquire()
            member = worker.member
            while member is not None:
                member.play(member)
                member = self._done(member, worker)

    def _done(self, member: Member, worker: _Worker) -> Member | None:
        """It has taken the tick: who comes next on the same thread, None if others see to that."""
        with self._lock:
            del self._busy[member]
            following = self._pop() if self._holder in (member, None) else None
            if following is None:
                self._idle.append(worker)
            return following
