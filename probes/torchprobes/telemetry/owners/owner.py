"""One process that holds a GPU, as far as this node's /proc knows it: its cells, and how they are come by."""

from __future__ import annotations

import errno
import functools
import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...cells import UNREAD, Absent, Cell, CellState
from . import processes, workload
from .processes import Stat
from .slow_reads import SlowReads

COMMAND_S: Final = 30.0
"""How often a command line is read again: launchers and servers rename themselves."""

SLACK_NS: Final = 5_000_000_000
"""The kernel's clock for starts and ours may differ, and an end is noticed late: by no more than this."""

GONE: Final = frozenset({errno.ENOENT, errno.ESRCH})
CELLS: Final = (
    "user", "command", "cpu_percent", "host_memory_bytes", "container", "job", "state", "parent", "started",
)  # fmt: skip
"""Cells of a `ProcessSample` that are filled here."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGESIZE")
_NO_JOB: Final = Absent(
    state=CellState.NOT_SUPPORTED, why="no batch job: neither its cgroup nor its environment names one"
)
_NO_CONTAINER: Final = Absent(
    state=CellState.NOT_SUPPORTED, why="in no container that its cgroup or its environment names"
)


class Owner:
    """Followed from the first time that a driver lists its pid. One thread calls its methods; any may read `cells`."""

    def __init__(self, pid: int, found: Stat | None) -> None:
        self.pid = pid
        self.name = found.name if found else ""
        self.started = found.started if found else None
        self.began_ns = _wall_ns(found.started) if found else time.time_ns()
        self.ended_ns = self.left_ns = 0
        """When it was gone from /proc, and when it was put among those that are remembered; 0 before that."""
        self.group = ""
        """The path of its control group, "" if that is not known."""
        self.cells: dict[str, Cell] = dict.fromkeys(CELLS, UNREAD)
        self._measured: tuple[float, int] | None = None
        self._asked_at = float("-inf")
        self._asking = self._introduced = False
        self._seen = 0

    @property
    def foreign(self) -> bool:
        """Whether its pid is of another namespace: nothing but its number is known."""
        return self.started is None

    def is_another(self, found: Stat) -> bool:
        """Whether this pid belongs to somebody else by now."""
        return found.started != self.started

    def lived_at(self, at_ns: int | None) -> bool:
        """Whether this process had the pid at that time; at any, if None."""
        if at_ns is None:
            return True
        return self.began_ns - SLACK_NS <= at_ns and (not self.ended_ns or at_ns <= self.ended_ns + SLACK_NS)

    def words(self) -> str:
        """Whose it is: its job, else its container, else user and command; "" if none of them is known."""
        for cell in (self.cells["job"], self.cells["container"]):
            if isinstance(cell, str):
                return cell
        user, command = self.cells["user"], self.cells["command"]
        return f"{user}: {command if isinstance(command, str) else self.name}"[:100] if isinstance(user, str) else ""

    # --- what is known at once ----------------------------------------------------------------------------------

    def introduce(self, proc: Path, names: SlowReads) -> None:
        """Read what does not block, and ask for the rest."""
        self.cells["started"] = self.started or 0
        self.read_group(proc)
        try:
            uid = processes.real_uid(proc, self.pid)
        except OSError as error:
            self.cells["user"] = _why_not(error, "its user")
        else:
            self.cells["user"] = str(uid)
            names.ask("the name of a user", functools.partial(_user_name, uid), self._settle_user)

    def read_group(self, proc: Path) -> None:
        """Job and container, as far as its control groups name them."""
        try:
            paths = processes.cgroup(proc, self.pid)
        except OSError:
            return
        named = sorted(paths, key=lambda path: path == "/")
        self.group = named[0] if named else ""
        for cell, find in (("job", workload.job_of_group), ("container", workload.container_of_group)):
            self.cells[cell] = next((words for path in paths if (words := find(path))), UNREAD)

    def measure(self, found: Stat, now: float, proc: Path, memory: SlowReads) -> None:
        """Take in a new reading of its /proc/PID/stat."""
        self.cells["state"], self.cells["parent"] = found.state, found.parent
        self.cells["host_memory_bytes"] = found.resident_pages * _PAGE
        if self._measured is not None and now > self._measured[0]:
            used_s = (found.cpu_ticks - self._measured[1]) / _TICKS
            self.cells["cpu_percent"] = round(max(0.0, 100 * used_s / (now - self._measured[0])), 1)
        self._measured = (now, found.cpu_ticks)
        if not self._asking and (found.name != self.name or now - self._asked_at >= COMMAND_S):
            self.name, self._asked_at, self._asking = found.name, now, True
            what = f"pid {self.pid} ({self.name}, {found.state}) does not let its memory be read"
            memory.ask(what, functools.partial(self._read_memory, proc), self._settle_memory)

    def miss(self, error: OSError, hidden: str) -> None:
        """It is not in /proc: it has ended, or it never was there. `hidden` says why others cannot be seen at all."""
        if error.errno not in GONE and not self.foreign:
            return  # it is there and could not be read this time
        if not self.foreign:
            self.end()
            return
        self._seen += 1
        why = hidden or f"pid {self.pid}, another namespace{'' if self._seen > 1 else ', or it has just ended'}"
        state = CellState.PERMISSION if hidden else CellState.NOT_SUPPORTED
        self.cells.update(dict.fromkeys(CELLS, Absent(state=state, why=why)))

    def end(self) -> None:
        """It is gone; what was known of it stays."""
        if not self.ended_ns:
            self.ended_ns = time.time_ns()
            self.cells["state"] = "ended"

    def become_foreign(self) -> None:
        """The process that has this pid here is not the one that the driver lists."""
        self.started, self.name, self.group, self._seen = None, "", "", 1

    # --- what may block -----------------------------------------------------------------------------------------

    def _read_memory(self, proc: Path) -> Mapping[str, str] | Exception | None:
        line = processes.command(proc, self.pid)
        if line or not isinstance(self.cells["command"], str):  # one that is dying has lost its memory, not its name
            self.cells["command"] = line or f"[{self.name}]"
        if self._introduced:
            return None
        try:
            return processes.environment(proc, self.pid)
        except OSError as error:
            return error

    def _settle_memory(self, answer: Any) -> None:
        self._asking = False
        if self._introduced:  # what it was started with does not change
            return
        self._introduced = not isinstance(answer, Absent)
        missing = _missing(answer)
        if missing is not None and self.cells["command"] is UNREAD:
            self.cells["command"] = missing
        environment: Mapping[str, str] = {} if missing is not None else answer
        parent = self.cells["parent"]
        job = workload.job_of_environment(environment, parent if isinstance(parent, int) else 0)
        pod = workload.pod_name(environment)
        known = self.cells["job"]
        if not isinstance(known, str):
            self.cells["job"] = job or missing or _NO_JOB
        elif pod and known.startswith("pod ") and not known.endswith(f" {pod}"):
            self.cells["job"] = f"{known} {pod}"[: workload.MAX_WORD]
        if not isinstance(self.cells["container"], str):
            self.cells["container"] = workload.container_of_environment(environment) or missing or _NO_CONTAINER

    def _settle_user(self, answer: Any) -> None:
        if isinstance(answer, str):  # else its number stays
            self.cells["user"] = answer


class Remembered:
    """Owners that are followed no more, by pid: at most so many, for at most so long."""

    def __init__(self, kept_s: float, most: int) -> None:
        self._kept_ns, self._most = int(kept_s * 1e9), most
        self._order: deque[Owner] = deque()
        self._of: dict[int, list[Owner]] = {}

    def add(self, owner: Owner) -> None:
        """Remember one, once."""
        now = time.time_ns()
        if not owner.left_ns:
            owner.left_ns = now
            self._order.append(owner)
            self._of.setdefault(owner.pid, []).append(owner)
        while self._order and (len(self._order) > self._most or self._order[0].left_ns < now - self._kept_ns):
            oldest = self._order.popleft()
            self._of[oldest.pid].remove(oldest)
            if not self._of[oldest.pid]:
                del self._of[oldest.pid]

    def of(self, pid: int) -> tuple[Owner, ...]:
        """Those that had this pid, the newest first."""
        return tuple(reversed(self._of.get(pid, ())))


@functools.cache
def _user_name(uid: int) -> str:
    import pwd  # a directory server may be asked: only on a thread that may be lost

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _wall_ns(ticks: int) -> int:
    """The wall time of a start that the kernel counted in ticks since boot."""
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot_ns + ticks * (1_000_000_000 // _TICKS)


def _missing(answer: Any) -> Absent | None:
    """Why there is no environment, None if there is one."""
    if isinstance(answer, Absent):
        return answer
    return _why_not(answer, "its environment") if isinstance(answer, Exception) else None


def _why_not(error: Exception, what: str) -> Absent:
    number = getattr(error, "errno", None)
    if number in (errno.EPERM, errno.EACCES):
        return Absent(state=CellState.PERMISSION, why=f"{what} may be read by its owner and root only", code=number)
    if number in GONE:
        return Absent(state=CellState.ERROR, why="it has just ended", code=number)
    return Absent(state=CellState.ERROR, why=f"{what}: {error}"[:200], code=number)
