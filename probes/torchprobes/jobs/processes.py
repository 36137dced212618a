"""Looks at processes and what descends from them: what /proc says without asking the process, cheap enough for 2 Hz.

Only files of /proc that never wait for a process's memory lock are read (proc(5)): not its command line, not its
environment. A process is held by a handle on its folder: once opened it speaks of that process or of none, so that one
comparison of the start time is enough, whatever becomes of the pid meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..distributed import RankIdentity
from ..rank_evidence import Exit, ProcessReading
from .signs import signal_name

GONE: Final = "gone"

MOST_FAMILY: Final = 256
"""Descendants that are looked at a rank; more is a fork bomb, and is told as this many."""

MOST_CHILDREN: Final = 24
_SMALL: Final = 4096
_STATUS_BYTES: Final = 8192
_FRESH_LOOKS: Final = 20
"""After so many looks every process is read anew: a foreign pid may have been given to a child of a rank."""

_STATUS: Final = re.compile(
    r"^(VmRSS|VmHWM|Threads|SigCgt|TracerPid|(?:non)?voluntary_ctxt_switches):\s*(\w+)", re.MULTILINE
)

_TICK: Final = os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """Fields of /proc/PID/stat: name, the kernel's letter, parent, CPU seconds of all threads, start in ticks."""

    name: str
    state: str
    parent: int
    cpu_s: float
    start_ticks: int


class Processes:
    """Looks again and again at the same ranks; what it learnt of who is whose child makes the next look cheap.

    `proc` and `groups` are where /proc and the control groups are mounted. Not for more than one thread.
    """

    def __init__(self, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc, self._groups = str(proc), str(groups)
        self._parents: dict[int, int] = {}
        self._freezers: dict[tuple[int, int], str] = {}
        self._looks = 0

    def look(self, ranks: Sequence[RankIdentity]) -> tuple[ProcessReading, ...]:
        """One reading a rank, in their order."""
        self._learn()
        children: dict[int, list[int]] = {}
        for pid, parent in self._parents.items():
            children.setdefault(parent, []).append(pid)
        return tuple(self._read(rank, children) for rank in ranks)

    def _learn(self) -> None:
        """Read the parents of processes that are new."""
        if self._looks % _FRESH_LOOKS == 0:
            self._parents.clear()
        self._looks += 1
        try:
            present = {int(name) for name in os.listdir(self._proc) if name.isdigit()}
        except OSError:
            present = set()
        for pid in self._parents.keys() - present:
            del self._parents[pid]
        for pid in present - self._parents.keys():
            stat = _stat_of(self._proc, pid)
            self._parents[pid] = stat.parent if stat else 0

    def _read(self, rank: RankIdentity, children: dict[int, list[int]]) -> ProcessReading:
        now = time.time_ns()
        try:
            with _folder(self._proc, rank.pid) as folder:
                stat = _parsed(_text(folder, "stat"))
                if stat.start_ticks != rank.start_ticks:
                    return ProcessReading(t_ns=now, state=GONE)
                family = self._family(rank.pid, children)
                return self._reading(now, folder, stat, rank, family)
        except OSError as error:
            return ProcessReading(t_ns=now, state=GONE if _is_gone(error, rank.pid) else "")

    def _reading(
        self, now: int, folder: int, stat: Stat, rank: RankIdentity, family: list[tuple[int, Stat]]
    ) -> ProcessReading:
        status, traffic = _status(folder), _traffic(folder)
        moved = [sum(traffic)] if traffic else []
        moved += [sum(found) for pid, _ in family if (found := _traffic_of(self._proc, pid))]
        return ProcessReading(
            t_ns=now,
            state=stat.state,
            wchan=_wchan(folder),
            cpu_s=stat.cpu_s,
            tree_cpu_s=stat.cpu_s + sum(one.cpu_s for _, one in family),
            tree_processes=1 + len(family),
            read_bytes=traffic[0] if traffic else None,
            written_bytes=traffic[1] if traffic else None,
            tree_bytes=sum(moved) if moved else None,
            switches=_sum(status, "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"),
            rss_bytes=_kib(status, "VmRSS"),
            peak_rss_bytes=_kib(status, "VmHWM"),
            threads=_number(status, "Threads"),
            signals_caught=_number(status, "SigCgt", 16),
            tracer_pid=_number(status, "TracerPid"),
            frozen=self._is_frozen(folder, rank),
            children=tuple(one.name for _, one in family[:MOST_CHILDREN]),
        )

    def _family(self, pid: int, children: dict[int, list[int]]) -> list[tuple[int, Stat]]:
        """The living descendants, nearest first; one that was handed to another parent by now is none."""
        found: list[tuple[int, Stat]] = []
        pending = [(child, pid) for child in sorted(children.get(pid, ()))]
        while pending and len(found) < MOST_FAMILY:
            one, parent = pending.pop(0)
            stat = _stat_of(self._proc, one)
            if stat is None or stat.state in "ZXx":
                continue
            if stat.parent != parent:
                self._parents[one] = stat.parent
                continue
            found.append((one, stat))
            pending += [(child, one) for child in sorted(children.get(one, ()))]
        return found

    def _is_frozen(self, folder: int, rank: RankIdentity) -> bool:
        """Whether its control group is frozen: cgroup.events of version 2, freezer.state of version 1."""
        key = (rank.pid, rank.start_ticks)
        if key not in self._freezers:
            self._freezers[key] = _freezer(self._groups, folder)
        try:
            return bool(self._freezers[key]) and bool(_FROZEN & set(_bytes(self._freezers[key]).splitlines()))
        except OSError:
            return False


_FROZEN: Final = frozenset({b"frozen 1", b"FROZEN"})


def look(ranks: Sequence[RankIdentity], proc: Path = Path("/proc")) -> tuple[ProcessReading, ...]:
    """One look at each rank, by somebody who looks only once."""
    return Processes(proc).look(ranks)


def ended(rank: RankIdentity, reading: ProcessReading, proc: Path = Path("/proc")) -> Exit | None:
    """How a process ended that only waits to be reaped, or is gone; None while it lives, or if nobody may look.

    The kernel shows the exit code of a zombie to those who might trace it, and 0 to others: a 0 from somebody else's
    process is no exit code.
    """
    if reading.state == GONE:
        return Exit(t_ns=reading.t_ns, seen="gone")
    if reading.state not in ("Z", "X", "x"):
        return None
    try:
        with _folder(str(proc), rank.pid) as folder:
            data = _text(folder, "stat")
            owner = os.fstat(folder).st_uid
        status = int(data.rpartition(b")")[2].split()[49]) if _parsed(data).start_ticks == rank.start_ticks else -1
    except (OSError, IndexError, ValueError):
        return Exit(t_ns=reading.t_ns, seen="gone")
    if status < 0 or (status == 0 and os.geteuid() not in (0, owner)):
        return Exit(t_ns=reading.t_ns, seen="gone")
    return exit_of(status, reading.t_ns)


def exit_of(status: int, t_ns: int) -> Exit:
    """An exit from a wait status (wait(2))."""
    number = status & 0x7F
    if not number:
        return Exit(t_ns=t_ns, code=status >> 8 & 0xFF)
    return Exit(t_ns=t_ns, signal=signal_name(number), core_dumped=bool(status & 0x80))


# --- files of /proc --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _folder(proc: str, pid: int) -> Iterator[int]:
    handle = os.open(f"{proc}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _text(folder: int, name: str, most: int = _SMALL) -> bytes:
    return _bytes(name, most, folder)


def _bytes(path: str, most: int = _SMALL, folder: int | None = None) -> bytes:
    """What one read(2) gives: the kernel answers a file of /proc whole."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(handle, most)
    finally:
        os.close(handle)


def _stat_of(proc: str, pid: int) -> Stat | None:
    try:
        return _parsed(_bytes(f"{proc}/{pid}/stat"))
    except OSError:
        return None


def _parsed(data: bytes) -> Stat:
    """A line of /proc/PID/stat; a program's name may hold anything, even `)`."""
    head, _, tail = data.rpartition(b")")
    fields = tail.split()
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    try:
        return Stat(
            "".join(c if c.isprintable() else "?" for c in name),
            fields[0].decode("ascii", "replace"),
            int(fields[1]),
            (int(fields[11]) + int(fields[12])) / _TICK,
            int(fields[19]),
        )
    except (IndexError, ValueError):
        raise OSError(errno.EIO, "a line of /proc/PID/stat is not understood") from None


def _status(folder: int) -> dict[str, str]:
    """The rows of /proc/PID/status that are used, {} if it is denied."""
    try:
        text = _text(folder, "status", _STATUS_BYTES).decode("utf-8", "replace")
    except OSError:
        return {}
    return dict(_STATUS.findall(text))


def _traffic(folder: int) -> tuple[int, int] | None:
    """Bytes that it read and wrote through system calls, of files, pipes and sockets; None if denied (ptrace right)."""
    try:
        return _counts(_text(folder, "io", 512))
    except OSError:
        return None


def _traffic_of(proc: str, pid: int) -> tuple[int, int] | None:
    try:
        return _counts(_bytes(f"{proc}/{pid}/io", 512))
    except OSError:
        return None


def _counts(data: bytes) -> tuple[int, int] | None:
    """The first two rows of /proc/PID/io: rchar and wchar."""
    words = data.split(None, 4)
    if words[:1] != [b"rchar:"] or words[2:3] != [b"wchar:"]:
        return None
    return int(words[1]), int(words[3])


def _wchan(folder: int) -> str:
    """The kernel function in which its main thread waits; "" if it runs, or if that is hidden (the kernel says 0)."""
    try:
        text = _text(folder, "wchan", 128).decode("ascii", "replace")
    except OSError:
        return ""
    return "" if text == "0" else "".join(c for c in text if c.isprintable())


def _number(rows: dict[str, str], key: str, base: int = 10) -> int | None:
    try:
        return int(rows[key], base)
    except (KeyError, ValueError):
        return None


def _kib(rows: dict[str, str], key: str) -> int | None:
    value = _number(rows, key)
    return None if value is None else value * 1024


def _sum(rows: dict[str, str], *keys: str) -> int | None:
    values = [_number(rows, key) for key in keys]
    return None if None in values else sum(value for value in values if value is not None)


def _freezer(groups: str, folder: int) -> str:
    """The file that says whether its control group is frozen; "" if there is none."""
    try:
        lines = _text(folder, "cgroup", _STATUS_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    paths = {
        controllers: path for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1)
    }
    first = next((path for controllers, path in paths.items() if "freezer" in controllers.split(",")), None)
    places = [] if first is None else [f"{groups}/freezer{first}/freezer.state"]
    if "" in paths:
        places += [f"{groups}{paths['']}/cgroup.events", f"{groups}/unified{paths['']}/cgroup.events"]
    return next((place for place in places if os.path.exists(place)), "")


def _is_gone(error: OSError, pid: int) -> bool:
    """Whether a process that /proc does not show has ended: with hidepid it may be hidden only, as pidfd_open tells."""
    if error.errno not in (errno.ENOENT, errno.ESRCH):
        return False
    try:
        os.close(os.pidfd_open(pid))
    except OSError as refused:
        return refused.errno == errno.ESRCH
    except AttributeError:
        return True
    return False
