"""The end of a process that is not our child: seen at once, with the kernel's own exit code.

A pidfd becomes readable when the last thread of a process has ended (pidfd_open(2)). Its exit code stands in
/proc/PID/stat until its parent has reaped it (proc(5), field 52); from Linux 6.15 on the kernel tells it through the
pidfd after that too (ioctl PIDFD_GET_INFO, `struct pidfd_info` of linux/pidfd.h; seen on 6.18).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import time
from typing import Final, NamedTuple

import msgspec

from ...rank_evidence import Exit

_INFO: Final = struct.Struct("QQ11Ii")
"""mask, cgroup id, pid tgid ppid and eight ids, exit code: the first version of the structure, 64 bytes."""

_WANTS_EXIT: Final = 1 << 3
_GET_INFO: Final = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11

_CORE: Final = 0x80
_FIRST_REAL_TIME: Final = int(signal.SIGRTMIN)


class _Stat(NamedTuple):
    """Of /proc/PID/stat: the kernel's letter, start in ticks, where the code starts, and the exit status."""

    state: str
    start_ticks: int
    start_code: int
    status: int


class Held:
    """One process, held so that its end is heard; closed by `close`.

    `fd` is readable once it has ended, -1 where the kernel has no pidfds or the process is gone already.
    """

    def __init__(self, pid: int, start_ticks: int) -> None:
        self.pid, self.start_ticks = pid, start_ticks
        self.fd = -1
        with contextlib.suppress(OSError, AttributeError):
            self.fd = os.pidfd_open(pid)
        stat = _stat(pid)
        same = stat is not None and stat.start_ticks == start_ticks
        # The kernel shows 1 for the start of the code, and 0 for the exit code, to whoever may not look closer.
        self._told = bool(same and stat and (stat.start_code != 1 or stat.state in "ZX"))
        if stat is not None and not same:  # the pid is another process's by now
            self.close()

    def ended(self) -> bool:
        """Whether it has ended, asked of /proc: for a kernel without pidfds."""
        stat = _stat(self.pid)
        return stat is None or stat.start_ticks != self.start_ticks or stat.state in "ZX"

    def exit(self) -> Exit:
        """How it ended, to be asked once it has; "gone" where the kernel does not say it (any more)."""
        now, m_ns = time.time_ns(), time.monotonic_ns()
        stat = _stat(self.pid)
        if self._told and stat is not None and stat.start_ticks == self.start_ticks and stat.state in "ZX":
            return of_status(stat.status, "zombie", now, m_ns)
        status = self._from_handle()
        if status is not None:
            return of_status(status, "pidfd", now, m_ns)
        return Exit(t_ns=now, m_ns=m_ns, seen="gone")

    def _from_handle(self) -> int | None:
        if self.fd < 0:
            return None
        buffer = bytearray(_INFO.size)
        struct.pack_into("Q", buffer, 0, _WANTS_EXIT)
        try:
            fcntl.ioctl(self.fd, _GET_INFO, buffer)
        except OSError:
            return None
        fields = _INFO.unpack(buffer)
        return int(fields[-1]) if fields[0] & _WANTS_EXIT else None

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _stat(pid: int) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = (file.read(4096) or b"").rpartition(b")")[2].split()
        return _Stat(fields[0].decode("ascii", "replace"), int(fields[19]), int(fields[23]), int(fields[-1]))
    except (OSError, IndexError, ValueError):
        return None


def of_status(status: int, seen: str, t_ns: int, m_ns: int) -> Exit:
    """What a wait status says (wait(2))."""
    number = status & 0x7F
    if not number:
        return Exit(t_ns=t_ns, m_ns=m_ns, code=status >> 8 & 0xFF, seen=seen)
    return Exit(t_ns=t_ns, m_ns=m_ns, signal=signal_name(number), core_dumped=bool(status & _CORE), seen=seen)


def of_code(code: int, end: Exit) -> Exit:
    """An end whose code nobody saw, with what a parent that is Python told of it: a negative code is a signal."""
    if code < 0:
        return msgspec.structs.replace(end, signal=signal_name(-code), seen="agent")
    return msgspec.structs.replace(end, code=code, seen="agent")


class Ends:
    """The ends of many processes, heard through one epoll. `exits` are those that were heard, by pid and start time."""

    def __init__(self, poll: select.epoll) -> None:
        self.exits: dict[tuple[int, int], Exit] = {}
        self._poll = poll
        self._held: dict[tuple[int, int], Held] = {}
        self._by_fd: dict[int, Held] = {}

    def hold(self, pid: int, start_ticks: int) -> None:
        """Listen to the end of a process; one that ended already is in `exits` at once."""
        key = (pid, start_ticks)
        if key in self._held or key in self.exits:
            return
        held = Held(pid, start_ticks)
        if held.fd >= 0:
            self._held[key] = self._by_fd[held.fd] = held
            self._poll.register(held.fd, select.EPOLLIN)
        elif held.ended():
            self.exits[key] = held.exit()
        else:
            self._held[key] = held

    def heard(self, handle: int) -> tuple[int, int] | None:
        """Whose end a descriptor of the epoll tells, None if it is none of ours."""
        held = self._by_fd.get(handle)
        return self._end(held) if held is not None else None

    def sweep(self) -> list[tuple[int, int]]:
        """The ends of those that there is no handle for: the kernel has no pidfds, or we have no descriptor left."""
        return [self._end(held) for held in list(self._held.values()) if held.fd < 0 and held.ended()]

    def _end(self, held: Held) -> tuple[int, int]:
        key = (held.pid, held.start_ticks)
        self.exits[key] = held.exit()
        if held.fd >= 0:
            self._poll.unregister(held.fd)
            del self._by_fd[held.fd]
        del self._held[key]
        held.close()
        return key


def signal_name(number: int) -> str:
    """The name of a signal; real-time ones are told from the first of them."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - _FIRST_REAL_TIME}" if number > _FIRST_REAL_TIME else f"signal {number}"
