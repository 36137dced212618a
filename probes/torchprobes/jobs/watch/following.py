"""Follows what ranks and launcher write: logs and events, read as they grow by a thread of its own.

A log may lie on a file system that gives no answer: that costs its lines, never an exit edge. Each log is read through
a held descriptor, in bounded slices, to its end: lines are counted, marked with the time of their coming, and looked
through for signs. The pace gives way where there is so much to look at that a tick would cost more than its share.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...compilelog.logfile import Change, LogFile, why
from ...model import Event
from ...rank_evidence import Sign
from ...runner.events import EventTail
from ..signs import Scanner
from .marks import Mark, MarkWriter

TICK_S: Final = 0.1
SHARE: Final = 0.01
"""The part of a core that looking for new bytes may cost while there are none."""

SLOWEST_S: Final = 1.0
SLICE: Final = 1 << 18
"""Bytes read and looked through in one piece: some milliseconds of the interpreter's lock."""

SLICES: Final = 32
"""Slices of one log before the others have their turn: 8 MiB."""

LONGEST_LINE: Final = 1 << 16
ATTACHED_BYTES: Final = 1 << 20
"""What is read of a log that was there before we came: its end."""

TAIL_LINES: Final = 20

LogKey = tuple[int, int, str]
"""Whose log: pid and start time of the writer, 0 where that is not one rank, and which of its logs."""


@dataclass(slots=True)
class Heard:
    """What was heard of one log since it was last asked: bytes, lines, signs, and the wall clock of the last bytes."""

    lines: int = 0
    bytes: int = 0
    grown_ns: int = 0
    """The monotonic time at which it last grew, 0 for never."""
    signs: list[Sign] = field(default_factory=list)
    tail: tuple[str, ...] = ()
    cause: str = ""
    """Why it cannot be read, in words."""

    def add(self, later: Heard) -> None:
        """What was heard after this."""
        self.lines += later.lines
        self.bytes += later.bytes
        self.grown_ns = later.grown_ns or self.grown_ns
        self.signs += later.signs
        self.tail, self.cause = later.tail, later.cause


@dataclass(slots=True)
class Look:
    """All that a thread heard since the last look at it."""

    logs: dict[LogKey, Heard]
    events: list[Event]
    broken: int


class LogTail:
    """One log. `whole` reads it from its beginning, else from its last MiB on."""

    def __init__(self, path: str, rank: int | None, marks: Path | None, *, whole: bool) -> None:
        self.heard = Heard()
        self._told = ""
        self._file = LogFile(path, links=False)
        self._scanner = Scanner(rank)
        self._marks = MarkWriter(marks) if marks is not None else None
        self._whole, self._opened = whole, False
        self._offset = 0
        self._rest = b""
        self._last: list[bytes] = []
        self._looked_ns = 0

    def look(self) -> bool:
        """Read what is new, at most some MiB; whether there is more."""
        try:
            change = self._file.look(self._offset)
            if change is not Change.NONE:
                self._begin(change)
            more = self._read()
        except OSError as error:
            self.heard.cause = why(error)
            return False
        self.heard.cause = self._file.cause
        return more

    @property
    def news(self) -> bool:
        """Whether there is something to take."""
        return bool(self.heard.bytes) or self.heard.cause != self._told

    def _begin(self, change: Change) -> None:
        """It was opened, truncated or replaced: all of the new content counts, but for what was there before us."""
        old = change is Change.OPENED and not self._whole and not self._opened
        self._offset = max(0, self._file.size - ATTACHED_BYTES) if old else 0
        self._rest = b""
        if self._marks is not None and change is not Change.OPENED:
            self._marks.restart()
        if not self._opened and self._whole:  # it is as young as its rank: nothing in it is old
            self._looked_ns = time.time_ns()
        self._opened = True

    def _read(self) -> bool:
        begin = self._offset
        for _ in range(SLICES):
            data = self._file.pread(SLICE, self._offset)
            if not data:
                break
            self._offset += len(data)
            self._take(data)
        if self._offset != begin:
            self._grew(self._offset - begin)
        self._looked_ns = time.time_ns()
        return self._offset < self._file.size

    def _grew(self, count: int) -> None:
        now = time.time_ns()
        since = max(1, (now - self._looked_ns) // 1_000_000) if self._looked_ns else 0
        self.heard.bytes += count
        self.heard.grown_ns = time.monotonic_ns()
        if self._marks is not None:
            self._marks.add(Mark(now, self._offset, since))

    def _take(self, data: bytes) -> None:
        """Count lines, keep the last ones, and look through those that can mean something."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._rest = (self._rest + rest)[:LONGEST_LINE]
            return
        self.heard.lines += whole.count(b"\n") + 1
        block = self._rest + whole
        self._rest = rest[:LONGEST_LINE]
        self._keep(block)
        # What was there before we came has no time but the one that it prints.
        self.heard.signs += self._scanner.feed_lines(block, time.time_ns() if self._looked_ns else 0)

    def _keep(self, block: bytes) -> None:
        self._last = (self._last + block[-(TAIL_LINES << 8) :].split(b"\n"))[-TAIL_LINES:]

    def take(self) -> Heard:
        """What was heard since the last call."""
        heard, self.heard = self.heard, Heard(cause=self.heard.cause)
        heard.tail = tuple(line[:400].decode(errors="replace") for line in self._last)
        self._told = heard.cause
        return heard

    def close(self) -> None:
        """Let go of its files."""
        self._file.close()
        if self._marks is not None:
            self._marks.close()


class Follower:
    """The thread. `wake` is called from it when a sign was seen, which nobody wants to wait a tick for.

    What it heard lies in a box that is locked for microseconds only: nobody waits for a file.
    """

    def __init__(self, events: Path | None, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._events = EventTail(events) if events is not None else None
        self._tails: dict[LogKey, LogTail] = {}
        self._box = Look({}, [], 0)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._flushed = threading.Event()
        self._asked = threading.Event()
        threading.Thread(target=self._run, name="follower", daemon=True).start()

    def follow(self, key: LogKey, tail: LogTail) -> None:
        """Follow one more log, from the next tick on."""
        with self._lock:
            self._tails[key] = tail

    def forget(self, key: LogKey) -> None:
        """Follow it no more; what was heard of it stays to be taken."""
        with self._lock:
            self._tails.pop(key, None)

    def take(self) -> Look:
        """What was heard since the last call."""
        with self._lock:
            box, self._box = self._box, Look({}, [], self._box.broken)
        return box

    def nudge(self) -> None:
        """Look at once."""
        self._asked.set()

    def flush(self, limit_s: float) -> bool:
        """Have everything read that is there now; whether it was in time."""
        self._flushed.clear()
        self._asked.set()
        return self._flushed.wait(limit_s)

    def stop(self) -> None:
        """Let the thread end. Does not wait."""
        self._stopped.set()
        self._asked.set()

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        owed = False
        while not self._stopped.is_set():
            owed = self._asked.is_set() or owed
            self._asked.clear()
            begin = time.thread_time()
            more = self._look()
            cost = time.thread_time() - begin
            if more:
                continue
            if owed:
                owed = False
                self._flushed.set()
            self._asked.wait(min(SLOWEST_S, max(TICK_S, cost / SHARE)))

    def _look(self) -> bool:
        """One round over everything; whether some log has more."""
        with self._lock:
            tails = dict(self._tails)
        more = False
        for key, tail in tails.items():
            more = tail.look() or more
            if tail.news:
                self._put(key, tail.take())
        events = self._events.poll() if self._events is not None else []
        if self._events is not None and (events or self._events.broken != self._box.broken):
            with self._lock:
                self._box.events += events
                self._box.broken = self._events.broken
        return more

    def _put(self, key: LogKey, heard: Heard) -> None:
        with self._lock:
            known = self._box.logs.setdefault(key, heard)
            if known is not heard:
                known.add(heard)
        if heard.signs:
            self._wake()
