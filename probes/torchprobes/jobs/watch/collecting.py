"""Close looks: evidence is collected by a thread, one look at a time; a reason that comes meanwhile is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...distributed import JobIdentity
from ...rank_evidence import NodeEvidence

DEADLINE_S: Final = 2.0
PATIENCE_S: Final = 6.0
"""A look that has not come back by then is left behind: what it looks at hangs harder than its deadline."""

MOST_LEFT: Final = 3

Collect = Callable[[JobIdentity, float], NodeEvidence]


@dataclass(frozen=True, slots=True)
class Looked:
    """What a close look saw, or why it failed; `why` is what it was made for."""

    why: str
    evidence: NodeEvidence | None
    failure: str = ""


class Collector:
    """`ask` and `take` return at once; `wake` is called from the thread when there is something to take."""

    def __init__(self, collect: Collect, wake: Callable[[], None]) -> None:
        self._collect, self._wake = collect, wake
        self._lock = threading.Condition()
        self._done: list[Looked] = []
        self._pending: tuple[JobIdentity, str, float] | None = None
        self._begun = 0.0
        self._running = 0
        self._left = 0

    @property
    def waits(self) -> bool:
        """Whether a look is under way, and another one waits for it."""
        return self._pending is not None

    def ask(self, job: JobIdentity, why: str, deadline_s: float = DEADLINE_S) -> bool:
        """Look closely now; while another look is under way, after it. False if one waits for that already."""
        with self._lock:
            if self._running and time.monotonic() - self._begun > PATIENCE_S and self._left < MOST_LEFT:
                self._left, self._running = self._left + 1, 0
                self._done.append(Looked(why, None, "a look at the job did not come back in time"))
            if self._running:
                waits = self._pending is not None
                self._pending = self._pending or (job, why, deadline_s)
                return not waits
            self._start(job, why, deadline_s)
            return True

    def wait(self, limit_s: float) -> bool:
        """Wait for the look that is under way, not for those after it; whether there is something to take."""
        with self._lock:
            self._pending = None
            self._lock.wait_for(lambda: not self._running, limit_s)
            return bool(self._done)

    def take(self) -> list[Looked]:
        """The looks that ended since the last call."""
        with self._lock:
            done, self._done = self._done, []
        return done

    def _start(self, job: JobIdentity, why: str, deadline_s: float) -> None:
        self._running, self._begun = self._running + 1, time.monotonic()
        token = self._begun
        threading.Thread(target=self._run, args=(job, why, deadline_s, token), name="look", daemon=True).start()

    def _run(self, job: JobIdentity, why: str, deadline_s: float, token: float) -> None:
        try:
            looked = Looked(why, self._collect(job, deadline_s))
        except Exception as error:  # noqa: BLE001 - a look that fails is told; the watch goes on
            looked = Looked(why, None, f"a look at the job failed: {type(error).__name__}: {error}"[:300])
        with self._lock:
            if token != self._begun:
                return  # it was left behind
            self._done.append(looked)
            self._running = 0
            if self._pending is not None:
                pending, self._pending = self._pending, None
                self._start(*pending)
            self._lock.notify_all()
        self._wake()
