"""What the kernel's log says of GPUs and their jobs, since boot and live. Runs in the sampler child.

/dev/kmsg is read from the beginning of its ring and then waited on, in a thread of its own that costs nothing until a
line comes. Where it is denied, the journal is asked every half minute; where both are, the state says what would help.

A line's time: the kernel stamps lines with its own clock since boot, which stands still in suspend and is not corrected
as wall time is. So a line that comes while we watch gets the wall time of its coming; one from before we began is
placed by its stamp, and may be off by the time that the machine was suspended, and by seconds after weeks.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from ...cells import UNREAD, Absent, Cell, CellState
from ...samples import KernelEvent
from .lines import Lines
from .pending import MOST_AT_ONCE, take

KMSG: Final = "dev/kmsg"
JOURNAL_S: Final = 30.0
AGAIN_S: Final = 60.0
"""How often a denied /dev/kmsg is tried again: an administrator may have allowed it."""

MOST_PENDING: Final = 20_000

_RECORD_BYTES: Final = 1 << 16
_IDLE_S: Final = 0.2
_KMSG_DEVICE: Final = os.makedev(1, 11)
_RESTRICT: Final = Path("/proc/sys/kernel/dmesg_restrict")

JobOf = Callable[[int], str]


class KernelLog:
    """Start it once; `take` may be called from any thread at any time and never waits.

    `root` is where /dev and the journal are looked for; `journal` the command that shows that, () for the usual one.
    `job_of` is asked for the job of a live event's process, at once and in this class's own thread: the process may be
    gone before the next sample.
    """

    def __init__(self, root: Path = Path("/"), journal: tuple[str, ...] = (), job_of: JobOf | None = None) -> None:
        self.settled = threading.Event()
        """Set when what the log held at the start was read, or when it is known that it cannot be read."""
        self.lost = 0
        """Records that were overwritten, or dropped here, before anybody took them: gaps, each of unknown length."""
        self._root, self._command, self._job_of = root, journal, job_of
        self._source: Cell = UNREAD
        self._pending: deque[KernelEvent] = deque()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="kernel log", daemon=True).start()

    @property
    def state(self) -> Cell:
        """`kmsg` or `journal`, with the gaps if there are any; why neither can be read."""
        if self.lost and isinstance(self._source, str):
            return f"{self._source}, {self.lost} gaps: lines were overwritten before they were read"
        return self._source

    def take(self, most: int = MOST_AT_ONCE) -> tuple[KernelEvent, ...]:
        """The events that came since the last call, oldest first, at most so many."""
        return take(self._pending, most)

    def _run(self) -> None:
        complaint: str | None = None
        while True:
            denied = self._follow_kmsg()
            if complaint is None:
                complaint = self._follow_journal()
            self._source = absent(denied, complaint)
            self.settled.set()
            time.sleep(AGAIN_S)

    def _note(self, event: KernelEvent | None, live: bool) -> None:
        if event is None:
            return
        if live and self._job_of is not None and event.pid is not None and not event.job:
            event = msgspec.structs.replace(event, job=self._job_of(event.pid))
        self._pending.append(event)
        if len(self._pending) > MOST_PENDING:
            self._pending.popleft()
            self.lost += 1

    # --- /dev/kmsg ----------------------------------------------------------------------------------------------

    def _follow_kmsg(self) -> OSError:
        """Read records for ever; returns why it cannot."""
        try:
            handle = os.open(self._root / KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            return error
        try:
            if _is_stand_in(handle):
                return OSError(errno.ENODEV, "a stand-in of the container, not the kernel's log")
            return self._records(handle)
        finally:
            os.close(handle)

    def _records(self, handle: int) -> OSError:
        lines, poll, rest = Lines("kmsg"), select.poll(), b""
        poll.register(handle, select.POLLIN)
        while True:
            try:
                data = os.read(handle, _RECORD_BYTES)
            except OSError as error:
                if error.errno in (errno.EPIPE, errno.EINVAL):  # overwritten under us, or larger than any record
                    self.lost += 1
                elif error.errno == errno.EAGAIN:
                    self._caught_up()
                    poll.poll()
                else:
                    return error
                continue
            if not data:  # the end of a file or of a pipe; the device itself has none
                self._caught_up()
                time.sleep(_IDLE_S)
            *records, rest = (rest + data).split(b"\n")  # the device gives whole records, a file does not
            for record in records:
                self._note(_parsed(lines, record, self.settled.is_set()), self.settled.is_set())

    def _caught_up(self) -> None:
        self._source = "kmsg"
        self.settled.set()

    # --- the journal --------------------------------------------------------------------------------------------

    def _follow_journal(self) -> str:
        """Ask the journal for ever; comes back, with its complaint, if it shows no line at all: no boot is without."""
        from .journal import COMMAND, Journal

        elsewhere = () if self._root == Path("/") else (f"--root={self._root}",)
        journal, lines = Journal(self._command or (*COMMAND, *elsewhere)), Lines("journal")
        while True:
            for line in journal.look():
                self._note(lines.event(line.raw, line.t_ns, line.boot_us), self.settled.is_set())
            if not journal.entries:
                return journal.complaint
            self._source = "journal"
            self.settled.set()
            time.sleep(JOURNAL_S)


def read_once(root: Path = Path("/")) -> tuple[KernelEvent, ...]:
    """All that the kernel's log of this boot holds now, oldest first, for somebody who does not wait for more.

    Raises:
        OSError: /dev/kmsg cannot be read; `absent` says what helps.
    """
    handle = os.open(root / KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if _is_stand_in(handle):
            raise OSError(errno.ENODEV, "a stand-in of the container, not the kernel's log")
        found = deque(_events_of(handle), maxlen=MOST_PENDING)
    finally:
        os.close(handle)
    return tuple(found)


def _events_of(handle: int) -> Iterator[KernelEvent]:
    lines = Lines("kmsg")
    while True:
        try:
            data = os.read(handle, _RECORD_BYTES)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EINVAL):  # overwritten under us, or larger than any record
                continue
            if error.errno == errno.EAGAIN:
                return
            raise
        if not data:
            return
        for record in data.split(b"\n"):
            if (event := _parsed(lines, record, live=False)) is not None:
                yield event


def _parsed(lines: Lines, record: bytes, live: bool) -> KernelEvent | None:
    """The event of a record `priority,sequence,microseconds,flags;text`; lines with a space in front say more of it."""
    if record.startswith(b" "):
        return None
    head, between, text = record.partition(b";")
    fields = head.split(b",")
    if not between or len(fields) < 4 or not fields[2].isdigit() or len(fields[2]) > 18:
        return None
    boot_us = int(fields[2])
    t_ns = time.time_ns() if live else time.time_ns() - time.monotonic_ns() + boot_us * 1000
    return lines.event(text, t_ns, boot_us)


def _is_stand_in(handle: int) -> bool:
    """Whether a device stands where the kernel's log should: some containers put the console or /dev/null there."""
    found = os.fstat(handle)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev != _KMSG_DEVICE


def absent(denied: OSError, complaint: str) -> Absent:
    """Why neither the kernel's log nor the journal can be read, and what helps."""
    forbidden = denied.errno in (errno.EPERM, errno.EACCES)
    restricted = " (kernel.dmesg_restrict is 1)" if forbidden and _is_restricted() else ""
    what = f"needs CAP_SYSLOG{restricted}" if forbidden else f"/{KMSG}: {denied.strerror}"
    helps = "run as root, or as root: sysctl kernel.dmesg_restrict=0, or: usermod -aG systemd-journal USER"
    why = (
        f"{what}; the journal shows no line of the kernel{f' ({complaint})' if complaint else ''}. What helps: {helps}"
    )
    return Absent(state=CellState.PERMISSION, why=why, code=denied.errno)


def _is_restricted() -> bool:
    try:
        return _RESTRICT.read_bytes().strip() != b"0"
    except OSError:
        return False
