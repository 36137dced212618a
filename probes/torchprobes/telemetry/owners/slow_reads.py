"""Reads that may never come back, taken by threads that may be lost. Runs in the sampler child.

The command line of a process that is stuck in the kernel, a user's name on a directory server that is gone: such a read
cannot be ended. One thread takes them one after another; one that is held up is left behind with its read, and
another goes on. At most `MOST_LOST` are left behind; after that a read is refused, which is told as hung too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...cells import Absent, CellState

PATIENCE_S: Final = 1.0
MOST_LOST: Final = 4


class _Errand(NamedTuple):
    read: Callable[[], Any]
    settle: Callable[[Any], None]
    what: str


class SlowReads:
    """Ask for reads from one thread, and call `turn` from it now and then. No method waits."""

    def __init__(self, patience_s: float = PATIENCE_S, most_lost: int = MOST_LOST) -> None:
        self.lost = 0
        """How many threads are left behind with a read that has not come back."""
        self._patience_s, self._most_lost = patience_s, most_lost
        self._waiting: deque[_Errand] = deque()
        self._lock = threading.Condition()
        self._at: tuple[_Errand, float] | None = None
        self._worker = 0
        self._working = False

    def ask(self, what: str, read: Callable[[], Any], settle: Callable[[Any], None]) -> None:
        """Have something read: `settle` gets what it returned, the exception that it raised, or an `Absent` (hung).

        It is called on another thread, and once more should a read come back that was given up.
        """
        with self._lock:
            self._waiting.append(_Errand(read, settle, what))
            self._lock.notify_all()

    def busy(self) -> bool:
        """Whether something was asked for and is not settled."""
        with self._lock:
            return bool(self._waiting) or self._at is not None

    def turn(self) -> None:
        """Give up a read that takes too long, and see that a thread goes on with the others."""
        given_up: list[_Errand] = []
        with self._lock:
            if self._at is not None and time.monotonic() - self._at[1] > self._patience_s:
                given_up.append(self._at[0])
                self._at, self._working = None, False
                self._worker += 1  # whoever has the old number is on its own
                self.lost += 1
            if self.lost >= self._most_lost:
                given_up += self._waiting
                self._waiting.clear()
            elif self._waiting and not self._working:
                self._start()
        for errand in given_up:
            errand.settle(self._hung(errand.what))

    def _hung(self, what: str) -> Absent:
        return Absent(state=CellState.HUNG, why=f"no answer in {self._patience_s:g} s: {what}")

    def _start(self) -> None:
        self._worker += 1
        thread = threading.Thread(target=self._run, args=(self._worker,), name="slow reads", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the limit of threads is reached; the next turn tries again
            return
        self._working = True

    def _run(self, worker: int) -> None:
        while (errand := self._next(worker)) is not None:
            try:
                answer = errand.read()
            except Exception as error:  # noqa: BLE001 - whoever asked gets it, and the next errand is not lost
                answer = error
            errand.settle(answer)
            with self._lock:
                if worker == self._worker:
                    self._at = None
                else:
                    self.lost -= 1
                    return

    def _next(self, worker: int) -> _Errand | None:
        """The next errand; None if there is none, so that no thread lives on for nothing."""
        with self._lock:
            if worker != self._worker or not self._waiting:
                self._working = self._working and worker != self._worker
                return None
            errand = self._waiting.popleft()
            self._at = (errand, time.monotonic())
            return errand
