"""Processes as /proc tells of them: who descends from whom, and an end for all of ours and for nobody else's.

Standard library only and Python 3.8 syntax: the guardian runs it without site-packages, and behind a launcher
prefix it travels into the target.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Container, Iterable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

TOKEN = "TORCHDOCTOR_TOKEN"  # noqa: S105 - a name
"""The environment variable that marks every process of one start of one probe."""

_ROUNDS_STABLE = 2
_PAUSE_S = 0.005


class Entry:
    """One process, identified by pid and start time (clock ticks since boot): a pid alone is reused."""

    __slots__ = ("group", "parent", "pid", "session", "start", "state")

    def __init__(self, pid: int, start: int, session: int, group: int = 0, parent: int = 0, state: str = "?") -> None:
        self.pid, self.start, self.session = pid, start, session
        self.group, self.parent, self.state = group, parent, state

    @property
    def key(self) -> tuple[int, int]:
        """(pid, start time)."""
        return self.pid, self.start

    @property
    def dead(self) -> bool:
        """Whether it has ended and only waits to be reaped."""
        return self.state in "ZXx"


def read(pid: int) -> Entry | None:
    """What /proc tells of `pid` now, None if there is none (proc(5), /proc/pid/stat)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return Entry(
            pid, int(fields[19]), int(fields[3]), int(fields[2]), int(fields[1]), fields[0].decode("ascii", "replace")
        )
    except (OSError, IndexError, ValueError):
        return None


def pids() -> list[int]:
    """All pids that /proc shows."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def proc_is_ours() -> bool:
    """Whether /proc speaks of our own pid namespace: behind `unshare --pid` it may still be the outer one."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def command_line(pid: int, limit: int = 160) -> str:
    """The command of `pid` on one line, control characters replaced, at most `limit` characters; "" if unread."""
    for name in ("cmdline", "comm"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                text = file.read(4096).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        if text:
            return "".join(c if c.isprintable() else "?" for c in text)[:limit]
    return ""


def descends(pid: int, ancestors: Container[int], depth: int = 64) -> bool:
    """Whether `pid` is one of `ancestors` or descends from one."""
    for _ in range(depth):
        if pid in ancestors:
            return True
        process = read(pid) if pid > 1 else None
        if process is None:
            return False
        pid = process.parent
    return False


class Census:
    """All descendants of `root`, found by reading only what is new in /proc.

    `root` is a subreaper, so an orphan's parent becomes `root` itself (or a nearer subreaper of ours): whoever
    descends from it can be told from the parent alone. Children in `keep`, and what descends from them, do not count.
    """

    def __init__(self, root: int, keep: frozenset[int] = frozenset()) -> None:
        self.root = root
        self.keep = keep
        self.known: dict[int, Entry] = {}
        self._foreign: set[int] = set()

    def scan(self) -> list[Entry]:
        """Look once; the processes that are new since the last scan."""
        present = set(pids())
        self._foreign &= present
        for pid in [p for p in self.known if p not in present]:
            del self.known[pid]
        unread = present - self.known.keys() - self._foreign - self.keep - {self.root}
        by_parent: dict[int, list[Entry]] = {}
        for process in filter(None, map(read, unread)):
            by_parent.setdefault(process.parent, []).append(process)
        found: list[Entry] = []
        ancestors = [self.root, *self.known]
        while ancestors:
            ours = by_parent.pop(ancestors.pop(), [])
            found += ours
            ancestors += [p.pid for p in ours]
        self.known.update((p.pid, p) for p in found)
        self._foreign.update(p.pid for rest in by_parent.values() for p in rest)
        return found

    def living(self) -> list[Entry]:
        """All descendants that live now, read afresh: the slow, whole answer that an end needs."""
        self._foreign.clear()
        self.known.clear()
        self.scan()
        return [p for p in self.known.values() if not p.dead]


def send(process: Entry, number: int) -> bool:
    """Send a signal to exactly this process; False if it is gone, is another one by now, or may not be reached."""
    try:
        if not hasattr(os, "pidfd_open"):
            now = read(process.pid)
            if now is None or now.start != process.start:
                return False
            os.kill(process.pid, number)
            return True
        handle = os.pidfd_open(process.pid)
        try:
            now = read(process.pid)
            if now is None or now.start != process.start:
                return False
            signal.pidfd_send_signal(handle, number)
            return True
        finally:
            os.close(handle)
    except OSError:
        return False


def send_group(processes: Iterable[Entry], number: int) -> None:
    """Signal the process groups of `processes`, each in one step, so that no fork slips through.

    A group lies in one session, and only descendants of a session's leader are in it: every session but our own
    that one of our descendants is in was made by one of them.
    """
    for group, session in {(p.group, p.session) for p in processes}:
        if group > 1 and session > 0 and session != os.getsid(0) and group != os.getpgrp():
            try:
                os.killpg(group, number)
            except OSError:
                continue


def freeze(living: Callable[[], list[Entry]], deadline: float) -> None:
    """SIGSTOP all until two looks in a row show the same set: what is stopped cannot fork or hide."""
    stopped: set[tuple[int, int]] = set()
    same = 0
    while same < _ROUNDS_STABLE and time.monotonic() < deadline:
        new = [p for p in living() if p.key not in stopped]
        same = same + 1 if not new else 0
        _signal_all(new, signal.SIGSTOP)
        stopped.update(p.key for p in new)


def end_all(living: Callable[[], list[Entry]], none_left: Callable[[], bool], limit_s: float = 5.0) -> list[Entry]:
    """Freeze, then SIGKILL everything that `living` tells of, again and again until `none_left`.

    Returns:
        The processes that are still there after `limit_s`: in uninterruptible sleep, or another user's.
    """
    if none_left():
        return []
    deadline = time.monotonic() + limit_s
    freeze(living, time.monotonic() + limit_s / 2)
    while True:
        left = living()
        _signal_all(left, signal.SIGKILL)
        if none_left():
            return []
        if time.monotonic() > deadline:
            return left
        time.sleep(_PAUSE_S)


def _signal_all(processes: list[Entry], number: int) -> None:
    send_group(processes, number)
    for process in processes:
        send(process, number)


def reap_all(but: int = 0) -> bool:
    """Reap every ended child except `but`, whose status belongs to its launcher; False if no child is left."""
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        if info is None or info.si_pid == but:
            return True
        os.waitpid(info.si_pid, os.WNOHANG)


def reap_children(keep: Container[int]) -> bool:
    """Reap every ended child outside `keep`; False if no child outside it is left."""
    left = False
    while not left and (children := [pid for pid in _children() if pid not in keep]):
        left = bool(list(filter(_lives, children)))  # all of them are looked at: what has ended is reaped
    return left


def _lives(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def _children() -> list[int]:
    """The children of this process, which has one thread; from all of /proc where the kernel keeps no list of them."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except (OSError, ValueError):
        return [p.pid for p in map(read, pids()) if p is not None and p.parent == me]


def prctl(option: int, value: int) -> bool:
    """Set an attribute of this process; False where that is not to be had (it is Linux's)."""
    try:
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def become_subreaper() -> bool:
    """Adopt every orphan below this process, so that a daemon of a payload stays ours."""
    return prctl(PR_SET_CHILD_SUBREAPER, 1)
