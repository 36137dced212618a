"""Reading many sources at once, each on its own: one that hangs costs itself and nothing else."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
D = TypeVar("D")

HUNG = "no answer within the deadline"


class Pending(Generic[T]):
    """What one task will have found. `why` says in words what became of one that found nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.why = HUNG
        self._done = threading.Event()
        self._value: T | None = None
        self._found = False

    def run(self, work: Callable[[], T]) -> None:
        """Do it, in the thread that calls; whatever it raises becomes its reason."""
        try:
            self._value = work()
            self._found, self.why = True, ""
        except Exception as error:  # noqa: BLE001 - a source that fails is told, and fails alone
            self.why = " ".join(str(error).split())[:300] or type(error).__name__
        self._done.set()

    def wait(self, deadline: float) -> bool:
        """Whether it is done, at the latest by then (monotonic)."""
        return self._done.wait(max(0.0, deadline - time.monotonic()))

    def value(self, default: T | D) -> T | D:
        """What it found so far, without waiting."""
        return cast("T", self._value) if self._found else default


class Pool:
    """Threads that take tasks in order. Nobody waits for a thread that hangs, not even the end of this process."""

    def __init__(self, threads: int) -> None:
        self._waiting: queue.SimpleQueue[tuple[Pending[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._all: list[Pending[Any]] = []
        self._threads = threads
        self._closed = False
        for number in range(threads):
            threading.Thread(target=self._work, name=f"evidence {number}", daemon=True).start()

    def start(self, name: str, work: Callable[[], T]) -> Pending[T]:
        """Have this done by the next free thread."""
        pending: Pending[T] = Pending(name)
        self._all.append(pending)
        self._waiting.put((pending, work))
        return pending

    def wait(self, deadline: float, stop: threading.Event | None = None) -> None:
        """Wait until all are done, at the latest until then, or until somebody says stop."""
        for pending in self._all:
            while not pending.wait(min(deadline, time.monotonic() + 0.05)):
                if time.monotonic() >= deadline or (stop is not None and stop.is_set()):
                    return

    def close(self) -> None:
        """Nothing more is begun, and threads that are free end."""
        self._closed = True
        for _ in range(self._threads):
            self._waiting.put(None)

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None and not self._closed:
            pending, work = task
            pending.run(work)
