"""Whose processes hold the GPUs: user, command, job, container, CPU share; remembered for an hour after their end.

Runs in the sampler child, in a thread of its own that sleeps while no process holds a GPU. What may block for ever is
asked of `slow_reads`. A pid means nothing without its start time: one that is used again is another process.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ...samples import KernelEvent, ProcessSample
from .owner import Owner, Remembered
from .processes import MAX_COMMAND, holds_device, stat
from .slow_reads import SlowReads

PACE_S: Final = 2.0
"""How often the CPU share and memory of a process are read."""

TURN_S: Final = 0.25
"""How often it is looked at whether a slow read came back, while there is one."""

UNLISTED_S: Final = 10.0
"""A process that no driver has listed for so long has left its GPU."""

KEPT_S: Final = 3600.0
MOST: Final = 4096
"""So many processes are followed, and so many that ended are remembered."""


class Owners:
    """Give it the processes that drivers list; it fills in the rest. No method waits but `wait`."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._memory, self._names = SlowReads(), SlowReads(most_lost=1)
        """Reads of processes' own memory, and of users' names: one that hangs in either does not hold up the other."""
        self._listed: dict[int, float] = {}
        self._gpus: dict[int, tuple[str, ...]] = {}
        self._owners: dict[int, Owner] = {}
        self._past = Remembered(KEPT_S, MOST)
        self._exits: list[KernelEvent] = []
        self._nested = _is_nested(proc)
        self._refreshed = self._called_at = float("-inf")
        self._news = self._at_work = False
        self._lock = threading.Condition()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="owners of processes", daemon=True).start()

    def want(self, processes: Iterable[ProcessSample]) -> None:
        """These hold a GPU now: follow them."""
        now = time.monotonic()
        gpus: dict[int, list[str]] = {}
        for process in processes:
            gpus.setdefault(process.pid, []).append(process.gpu_uuid)
        with self._lock:
            self._called_at = now
            room = MOST - len(self._listed)
            for pid, uuids in gpus.items():
                if pid not in self._listed:
                    room -= 1
                    if room < 0:
                        continue
                    self._news = True
                self._listed[pid] = now
                self._gpus[pid] = tuple(dict.fromkeys(uuids))
            if self._news:
                self._lock.notify_all()

    def fill(self, processes: Iterable[ProcessSample]) -> tuple[ProcessSample, ...]:
        """The same processes with what is known of them by now; all are kept."""
        rows = tuple(processes)
        self.want(rows)
        return tuple(self._filled(process) for process in rows)

    def wait(self, seconds: float) -> None:
        """Wait until everything that was asked for is known, or known to hang; at most so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with self._lock:
                if not (self._news or self._at_work or self._is_asking()):
                    return
                self._lock.wait(min(left, 0.01))

    def groups(self, processes: Iterable[ProcessSample]) -> tuple[tuple[str, str, int], ...]:
        """The control groups of these processes: path, job in words ("" if none), and one pid in it."""
        found: dict[str, tuple[str, str, int]] = {}
        for process in processes:
            owner = self._owners.get(process.pid)
            if owner is not None and owner.group:
                job = owner.cells["job"]
                found.setdefault(owner.group, (owner.group, job if isinstance(job, str) else "", owner.pid))
        return tuple(found.values())

    def job_of(self, pid: int, at_ns: int | None = None) -> str:
        """Whose a process is or was (job, else container, else user and command), "" if it was never seen.

        With a time, only the process that had this pid then.
        """
        with self._lock:
            known = [*([self._owners[pid]] if pid in self._owners else []), *self._past.of(pid)]
        owners = (owner for owner in known if owner.lived_at(at_ns))
        return next((owner.words() for owner in owners), "")

    def look_up(self, pid: int) -> str:
        """The same for a process that nobody may have listed yet: by its cgroup, read now. Does not block."""
        known = self.job_of(pid, time.time_ns())
        if known:
            return known
        try:
            found = Owner(pid, stat(self._proc, pid))
        except OSError:
            return ""
        found.read_group(self._proc)
        return found.words()

    def take_exits(self) -> tuple[KernelEvent, ...]:
        """An event for each process that ended or left its GPU since the last call; one for each GPU that it held."""
        with self._lock:
            exits, self._exits = tuple(self._exits), []
        return exits

    def _filled(self, process: ProcessSample) -> ProcessSample:
        owner = self._owners.get(process.pid)
        return process if owner is None else msgspec.structs.replace(process, **owner.cells)

    # --- in its thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                pause = TURN_S if self._is_asking() else PACE_S if self._listed else None
                self._lock.wait_for(lambda: self._news, pause)
                listed, called_at = dict(self._listed), self._called_at
                self._news, self._at_work = False, True
            self._turn(listed, called_at)
            with self._lock:
                self._at_work = False
                self._lock.notify_all()

    def _turn(self, listed: dict[int, float], called_at: float) -> None:
        now = time.monotonic()
        due = now - self._refreshed >= PACE_S
        self._refreshed = now if due else self._refreshed
        for pid, seen_at in listed.items():
            owner = self._owners.get(pid)
            if owner is None or (due and not owner.ended_ns):
                owner = self._look(pid, owner, now)
            if called_at - seen_at > UNLISTED_S:
                self._forget(owner)
        self._memory.turn()
        self._names.turn()

    def _look(self, pid: int, owner: Owner | None, now: float) -> Owner:
        """Read a process anew; the owner of its pid, who may be another by now."""
        try:
            found = stat(self._proc, pid)
        except OSError as error:
            owner = owner or self._take_in(Owner(pid, None))
            was_there = not owner.ended_ns
            owner.miss(error, self._hidden(error) if owner.foreign else "")
            if owner.ended_ns and was_there:
                self._tell(owner, "ended")
            return owner
        if owner is None or (owner.is_another(found) and not self._is_namesake(owner)):
            if owner is not None and not owner.foreign:
                self._end(owner, "ended")
            owner = self._introduce(Owner(pid, found))
        if not owner.foreign:
            owner.measure(found, now, self._proc, self._memory)
        return owner

    def _introduce(self, owner: Owner) -> Owner:
        if self._is_namesake(owner):
            owner.become_foreign()
            owner.miss(OSError(), "")
        else:
            owner.introduce(self._proc, self._names)
        return self._take_in(owner)

    def _is_namesake(self, owner: Owner) -> bool:
        """Whether the process that has this pid here is another than the one that the driver lists.

        Older drivers give a container the host's pids, which mean other processes here or none. One that may be
        looked at and has no accelerator's device file open cannot be the one.
        """
        if not self._nested:
            return False
        try:
            return not holds_device(self._proc, owner.pid)
        except OSError:
            return False

    def _take_in(self, owner: Owner) -> Owner:
        with self._lock:
            self._owners[owner.pid] = owner
        return owner

    def _forget(self, owner: Owner) -> None:
        """No driver lists it any more. One that lives on has only let go of its GPU."""
        if not owner.ended_ns and (owner.foreign or owner.cells["state"] == "zombie"):
            self._end(owner, "left its GPU" if owner.foreign else "ended")
        with self._lock:
            self._past.add(owner)
            self._owners.pop(owner.pid, None)
            self._listed.pop(owner.pid, None)
            self._gpus.pop(owner.pid, None)

    def _end(self, owner: Owner, what: str) -> None:
        owner.end()
        self._tell(owner, what)
        with self._lock:
            self._past.add(owner)

    def _tell(self, owner: Owner, what: str) -> None:
        command = owner.cells["command"]
        words = f": {command}" if isinstance(command, str) else ", of another namespace" if owner.foreign else ""
        with self._lock:
            for uuid in self._gpus.get(owner.pid, ("",)):
                event = KernelEvent(
                    t_ns=owner.ended_ns,
                    kind="exit",
                    source="sampler",
                    gpu_uuid=uuid,
                    pid=owner.pid,
                    process=owner.name,
                    job=owner.words(),
                    text=f"pid {owner.pid} {what}{words}"[:MAX_COMMAND],
                )
                self._exits = [*self._exits, event][-MOST:]

    def _hidden(self, error: OSError) -> str:
        """Why a process of somebody else cannot be seen here, "" if it could be."""
        if error.errno in (errno.EPERM, errno.EACCES):
            return f"another user's process: /proc/PID/stat: {error.strerror}"
        if os.path.exists(f"{self._proc}/1"):
            return ""
        return "another user's process: /proc is mounted with hidepid and hides it, or its pid is of another namespace"

    def _is_asking(self) -> bool:
        return self._memory.busy() or self._names.busy()


def with_jobs(events: Iterable[KernelEvent], owners: Owners) -> tuple[KernelEvent, ...]:
    """The events, with the job of the process that each names, as far as it was known when it happened."""
    return tuple(
        msgspec.structs.replace(event, job=job)
        if event.pid is not None and not event.job and (job := owners.job_of(event.pid, event.t_ns))
        else event
        for event in events
    )


def _is_nested(proc: Path) -> bool:
    """Whether this pid namespace is not the host's (whose pid 2 is a thread of the kernel), on a node with GPUs."""
    try:
        kernel = stat(proc, 2).name == "kthreadd"
    except OSError:
        kernel = False
    dev = proc.parent / "dev"
    return not kernel and any(os.path.exists(dev / name) for name in ("nvidiactl", "kfd"))
