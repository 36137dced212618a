"""What the node's GPUs and its kernel log say while a job is watched: the sampler child, or the kernel's log alone."""

from __future__ import annotations

import os
from collections import deque
from typing import Final

import msgspec

from ...distributed import JobIdentity
from ...rank_evidence import GpuReading
from ...samples import KernelEvent, Sample
from ...telemetry import hardware
from ...telemetry.kernel.log import KernelLog
from ...telemetry.source import Sampler
from ..collect.machine import gpus
from ..find.gpus import with_gpus

RATE_HZ: Final = 1.0
MOST_EVENTS: Final = 500
_OTHER_DRIVERS: Final = ("/dev/kfd", "/dev/dri/renderD128")


class _Feed(Sampler):
    """A sampler of which only the newest sample and the events are kept: nothing is judged here."""

    def __init__(self) -> None:
        super().__init__(RATE_HZ)
        self.newest: Sample | None = None
        self.came: deque[KernelEvent] = deque(maxlen=MOST_EVENTS)

    def take(self, line: bytes) -> bool:
        """Take in one line of the child, in its reader's thread."""
        try:
            sample = msgspec.json.decode(line, type=Sample)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        self.newest = sample
        self.came.extend(sample.events)
        return True


class Gpus:
    """Start it once; nothing in it waits. `since_ns` is the wall clock before which no event is of the job."""

    def __init__(self, since_ns: int, sampler: bool = True) -> None:
        self._since_ns = since_ns
        self._feed = _Feed() if sampler and has_gpu() else None
        self._log = None if self._feed else KernelLog()
        self.events: deque[KernelEvent] = deque(maxlen=MOST_EVENTS)

    def start(self) -> None:
        """Begin."""
        for source in (self._feed, self._log):
            if source is not None:
                source.start()

    @property
    def newest(self) -> Sample | None:
        """The newest sample, None where there is no sampler or none came yet."""
        return self._feed.newest if self._feed else None

    def take(self) -> list[KernelEvent]:
        """The events of the job's time that came since the last call; they are kept in `events` too."""
        if self._feed is not None:
            came = [self._feed.came.popleft() for _ in range(len(self._feed.came))]
        else:
            came = list(self._log.take()) if self._log else []
        fresh = [event for event in came if event.t_ns >= self._since_ns]
        self.events.extend(fresh)
        return fresh

    @property
    def note(self) -> str:
        """Why there is no telemetry, "" if there is, or if there is no GPU."""
        return self._feed.state if self._feed else ""

    def look(self, job: JobIdentity) -> tuple[JobIdentity, dict[int, GpuReading]]:
        """The job with the GPUs that its ranks hold, and what the newest sample says of those, by rank."""
        sample = self.newest
        if sample is None or not job.ranks:
            return job, {}
        located = with_gpus(job, sample)
        found = gpus(located.ranks, sample)
        return located, {rank: one for rank, one in found.items() if isinstance(one, GpuReading)}

    def stop(self) -> None:
        """Let the child end."""
        if self._feed is not None:
            self._feed.stop()


def has_gpu() -> bool:
    """Whether there is a GPU that a sampler could read."""
    return hardware.count() > 0 or any(os.path.exists(path) for path in _OTHER_DRIVERS)
