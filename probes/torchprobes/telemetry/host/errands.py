"""Readings that are taken at a pace of their own, and a thread for those that may block.

A mount whose server is gone, a network card whose driver waits for its firmware: a read of theirs can last for ever,
and nothing can end it. So one thread takes such readings one after another, and when one of them holds it up, it is
left with that one and another thread goes on with the others. There are never more threads than readings that hang.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from ...cells import UNREAD, Absent, CellState

T = TypeVar("T")

PATIENCE_S: Final = 1.0
"""So long the other readings wait for one."""

HUNG_S: Final = 3.0
"""After so long without an answer a reading is told as hung."""

SLACK_S: Final = 0.05
"""A reading may come so much early: a tick that is a little early must not put it off to the next."""

WORTH: Final = 1000.0
"""A reading rests for so many times the CPU time that it cost: none takes more than a thousandth of a core. On a node
of two cores that changes nothing, on one of 256 with 20,000 tasks it does."""


class Reading(Generic[T]):
    """Something read at most every `pace_s` seconds; `value` is None until it was read once. `read` sees no other."""

    def __init__(self, read: Callable[[], T], pace_s: float) -> None:
        self.value: T | None = None
        self.failure = ""
        self.due = 0.0
        self.taken = False
        self.began: float | None = None
        self._read = read
        self._pace_s = pace_s

    def is_due(self, now: float) -> bool:
        """Whether it is time, and nobody is at it."""
        return self.began is None and now >= self.due - SLACK_S

    def take(self) -> None:
        """Read it now, on this thread."""
        began = self.began = time.monotonic()
        cost = time.thread_time()
        try:
            self.value, self.failure = self._read(), ""
        except Exception as error:  # noqa: BLE001 - a fault of ours costs these cells, never the others
            self.failure = f"{type(error).__name__}: {error}"[:200]
        self.due = began + max(self._pace_s, WORTH * (time.thread_time() - cost))
        self.taken = True
        self.began = None

    def why_not(self, now: float) -> Absent | None:
        """Why its value is not to be shown, None if it is."""
        began = self.began
        if began is not None and now - began > HUNG_S:
            return _hung(now - began)
        if self.failure:
            return Absent(state=CellState.ERROR, why=self.failure)
        return None if self.taken else UNREAD


def _hung(seconds: float) -> Absent:
    why = f"no answer for {seconds:.0f} s: the file system or the driver behind it does not answer"
    return Absent(state=CellState.HUNG, why=why, age_s=round(seconds, 1))


def _is_settled(reading: Reading[Any], now: float) -> bool:
    began = reading.began
    return now - began > PATIENCE_S if began is not None else reading.taken and not reading.is_due(now)


class Errands:
    """Takes readings that may block on a thread that is not waited for. No method waits but `wait`."""

    def __init__(self) -> None:
        self._readings: list[Reading[Any]] = []
        self._lock = threading.Condition()
        self._at: Reading[Any] | None = None
        self._since = 0.0
        self._worker = 0
        self._working = False

    def add(self, reading: Reading[T]) -> Reading[T]:
        """From now on take this one too."""
        with self._lock:
            self._readings.append(reading)
        return reading

    def drop(self, reading: Reading[Any]) -> None:
        """Take this one no more."""
        with self._lock:
            self._readings.remove(reading)

    def turn(self) -> None:
        """Once a tick: have what is due taken, by another thread if the present one is held up."""
        now = time.monotonic()
        with self._lock:
            if self._at is not None and now - self._since > PATIENCE_S:
                self._at, self._working = None, False
            if not self._working:
                self._start()
            elif self._at is None and any(one.is_due(now) for one in self._readings):
                self._lock.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until each was taken once or holds up its thread, at most so long; whether that is so."""
        end = time.monotonic() + seconds
        while not (settled := self._settled()) and (left := end - time.monotonic()) > 0:
            with self._lock:
                self._lock.wait(min(left, 0.02))
            self.turn()
        return settled

    def _settled(self) -> bool:
        now = time.monotonic()
        with self._lock:
            return all(_is_settled(one, now) for one in self._readings)

    def _start(self) -> None:
        self._worker += 1
        thread = threading.Thread(target=self._run, args=(self._worker,), name="host readings", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the limit of threads is reached; the next tick tries again
            return
        self._working = True

    def _run(self, worker: int) -> None:
        while (reading := self._next(worker)) is not None:
            reading.take()
            with self._lock:
                if worker == self._worker:
                    self._at = None
                self._lock.notify_all()

    def _next(self, worker: int) -> Reading[Any] | None:
        """The next that is due, None if another thread has taken over from this one."""
        with self._lock:
            while worker == self._worker:
                now = time.monotonic()
                found = next((one for one in self._readings if one.is_due(now)), None)
                if found is not None:
                    self._at, self._since = found, now
                    found.began = now
                    return found
                self._lock.wait()
        return None
