"""Finds the ranks of a job as they come: the children of their launcher, by what their environment says.

An environment lies behind a lock of its process's memory, which a process that is stuck in the kernel may hold. So it
is read by a thread that is left behind when one process holds it up, and the end of a process is listened to from the
moment that its pid is known, whoever it turns out to be.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Container
from typing import Final, NamedTuple

from ...distributed import JobIdentity, RankIdentity
from ...masking import mask_text
from ...runner.processes import descends
from ..find import Finder as JobFinder
from ..find import logs, programs, reading, told
from ..find.gpus import UNSET
from ..find.reading import Seen
from ..find.scan import Census

PATIENCE_S: Final = 0.5
"""How long one process may hold up the others."""

MOST_LEFT: Final = 8
"""Readers that may be left behind; after so many nothing more is read."""

SHIM: Final = "rank_shim.py"
"""Our own shim becomes the rank: same process, same environment, same logs."""

YOUNG_S: Final = 20.0
"""So long a child of the launcher may still become a rank: a shell, a shim, an interpreter from a slow disk."""


class Says(NamedTuple):
    """What a process told of itself by its events."""

    rank: int
    attempt: int


class Found(NamedTuple):
    """What a process turned out to be: a rank, or none (yet). `world_size` is what it was told; `why` in words."""

    pid: int
    start_ticks: int
    rank: RankIdentity | None
    world_size: int | None = None
    why: str = ""


class Finder:
    """Reads who processes are. `ask` and `take` return at once. `key` is the job whose ranks count, "" for any."""

    def __init__(self, host: str, key: str = "", proc: str = "/proc") -> None:
        self._host, self._key, self._proc = host, key, proc
        self._queue: deque[tuple[int, int, Says | None]] = deque()
        self._found: deque[Found] = deque()
        self._ready = threading.Semaphore(0)
        self._at: tuple[int, int] | None = None
        self._since = 0.0
        self._generation = 0
        self._begin()

    def ask(self, pid: int, start_ticks: int, says: Says | None = None) -> None:
        """Ask who this process is; `says` is what it said of itself."""
        self._queue.append((pid, start_ticks, says))
        self._ready.release()

    def take(self) -> list[Found]:
        """The answers since the last call; a process that holds up the reader is answered as unreadable."""
        at = self._at
        if at is not None and time.monotonic() - self._since > PATIENCE_S and self._generation < MOST_LEFT:
            self._found.append(Found(*at, None, why="its memory is locked: stuck in the kernel"))
            self._begin()
        return [self._found.popleft() for _ in range(len(self._found))]

    def _begin(self) -> None:
        self._generation += 1
        self._at = None
        threading.Thread(target=self._run, args=(self._generation,), name="finder", daemon=True).start()

    def _run(self, generation: int) -> None:
        while True:
            self._ready.acquire()
            if generation != self._generation:  # left behind: its successor takes this one
                self._ready.release()
                return
            try:
                pid, start_ticks, says = self._queue.popleft()
            except IndexError:
                continue
            self._at, self._since = (pid, start_ticks), time.monotonic()
            found = identify(pid, start_ticks, self._host, self._key, says, self._proc)
            if generation != self._generation:
                return
            self._at = None
            self._found.append(found)


def children(pid: int, known: Container[int] = (), proc: str = "/proc") -> list[tuple[int, int]]:
    """The children of a process, but for those whose pid is known, with their start times. Waits for none of them."""
    pids = reading.children(proc, Seen(pid, 0, 0)) or _by_parent(pid, proc)
    found = [reading.stat(proc, child) for child in pids if child not in known]
    return [(child.pid, child.start) for child in found if child is not None and child.parent == pid]


def _by_parent(pid: int, proc: str) -> list[int]:
    """The same on a kernel without lists of children (CONFIG_PROC_CHILDREN)."""
    if os.path.exists(f"{proc}/{pid}/task/{pid}/children"):
        return []
    found = [reading.stat(proc, one) for one in reading.pids(proc)]
    return [one.pid for one in found if one is not None and one.parent == pid]


def identify(
    pid: int, start_ticks: int, host: str, key: str = "", says: Says | None = None, proc: str = "/proc"
) -> Found:
    """Who a process is, by its environment, its logs, or what it says itself.

    May wait for its memory lock, and for the file system of its logs.
    """
    seen = reading.stat(proc, pid)
    if seen is None or seen.start != start_ticks:
        return Found(pid, start_ticks, None, why="gone")
    reading.memory(proc, seen)
    if says is None and programs.is_wrapper(seen) and programs.program(seen.words) != SHIM:
        return Found(pid, start_ticks, None, why="it only runs another program")
    said = told.told(seen)
    if key and said is not None and told.key(said, seen.parent) != key:
        return Found(pid, start_ticks, None, why="it is of another job")
    places = logs.places(Census(proc, {pid: seen}), seen)
    number, local, attempt, how = -1, None, 0, "environ"
    if said is not None and said.scheme == "torch":
        number, local, attempt = said.rank, said.local, said.attempt
    elif seen.denied and (layout := _LAYOUT.search(places["stdout"] or places["stderr"])):
        number, local, attempt, how = int(layout[2]), int(layout[2]), int(layout[1]), "log-path"
    elif says is not None:
        number, attempt, how = says.rank, says.attempt, "command"
    if number < 0:
        return Found(pid, start_ticks, None, why=seen.denied)
    uid, inner = reading.status(proc, pid)
    rank = RankIdentity(
        rank=number, pid=pid, start_ticks=start_ticks, host=host, local_rank=local, attempt=attempt,
        visible_devices=None if seen.denied else seen.told.get("CUDA_VISIBLE_DEVICES", UNSET),
        inner_pid=inner if inner != pid else None, uid=uid, command=mask_text(" ".join(seen.words))[:400], how=(how,),
        **places,
    )  # fmt: skip
    return Found(pid, start_ticks, rank, said.world if said is not None else None)


_LAYOUT: Final = re.compile(r"/attempt_(\d{1,5})/(\d{1,6})/std(?:out|err)\.log$")
"""torchrun's layout of logs names attempt and local rank; on one node that is the rank."""


class Rescan:
    """Looks through all processes for the job's ranks, in a thread, when it is asked to."""

    def __init__(self, job: JobIdentity, ours: bool) -> None:
        self.fault = ""
        """What went wrong with the last look, in words."""
        self._job, self._ours = job, ours
        self._finder = JobFinder()
        self._found: JobIdentity | None = None
        self._asked = threading.Event()
        threading.Thread(target=self._run, name="rescan", daemon=True).start()

    def ask(self) -> None:
        """Look again, soon."""
        self._asked.set()

    def take(self) -> JobIdentity | None:
        """The job as it was found since the last call, None if it was not."""
        found, self._found = self._found, None
        return found

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                found = [job for job in self._finder.find().jobs if self._is(job)]
            except Exception as error:  # noqa: BLE001 - told; the thread lives on for the next time
                self.fault = f"looking for ranks failed: {type(error).__name__}: {error}"[:300]
                continue
            self.fault = ""
            if found:
                self._found = found[0]

    def _is(self, job: JobIdentity) -> bool:
        """Whether it is the watched one. What we launched descends from its agent, whatever name it has."""
        launcher = self._job.launcher_pid
        if self._ours and launcher is not None:
            return any(descends(rank.pid, (launcher,)) for rank in job.ranks)
        return job.key == self._job.key and job.launcher_pid in (None, launcher)
