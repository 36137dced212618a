"""The reader: bytes of a log in, events out, whatever the cuts between reads."""

from __future__ import annotations

from ..events import Counted, Event, TorchSeen
from .cutter import LONGEST, Cutter
from .prefix import Clock, Head, head_of
from .record import Process, Record
from .rows import Maker, maker_of

_WRITERS = 256
"""Processes of one file that are told apart."""


class TextReader:
    """Reads the text that one file holds. `feed` bytes in their order; `finish` when it does not grow for now."""

    def __init__(self, path: str, pid: int | None = None, rank: int | None = None, plain: bool = False) -> None:
        self.counted = Counted()
        self.last_line = ""
        self._path, self._pid, self._rank, self._plain = path, pid, rank, plain
        self._cutter = Cutter()
        self._clock = Clock()
        self._open: dict[bytes, tuple[Record, Maker | None]] = {}
        self._processes: dict[bytes, Process] = {}
        self._events: list[Event] = []
        self._old = False

    @property
    def offset(self) -> int:
        """Bytes taken."""
        return self._cutter.offset

    def feed(self, data: bytes) -> list[Event]:
        """The events of the bytes that follow those fed so far."""
        for at, lines in self._cutter.feed(data):
            for line in lines:
                self._line(at, line[:LONGEST])
                at += len(line) + 1
        return self._taken()

    def finish(self) -> list[Event]:
        """What was held back, as nothing follows for now."""
        for record, maker in self._open.values():
            self._tell(record, maker)
        for process in self._processes.values():
            self._events += process.held_back()
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _line(self, at: int, line: bytes) -> None:
        head = head_of(line, self._clock)
        if head is None:
            if line.strip():
                self.last_line = line.decode(errors="replace").strip()
            return
        self._of_torch(at, head, line[len(head.raw) :].decode(errors="replace").rstrip(), at + len(line) + 1)

    def _of_torch(self, at: int, head: Head, message: str, end: int) -> None:
        known = self._open.get(head.writer)
        if known and known[0].head.raw == head.raw and maker_of(message) is None:
            known[0].add(message, end)
            return
        if known:
            self._tell(*known)
        self.counted.records += 1
        if head.old and not self._old:
            self._old = True
            record = Record(head, at, [message], end)
            self._events.append(TorchSeen(self._process(head).source(record), "2.1-2.2"))
        if len(self._open) < _WRITERS or head.writer in self._open:
            self._open[head.writer] = (Record(head, at, [message], end), maker_of(message))

    def _process(self, head: Head) -> Process:
        process = self._processes.get(head.writer)
        if process is None:
            process = Process(self._path, self._pid, self._rank)
            if len(self._processes) < _WRITERS:
                self._processes[head.writer] = process
        return process

    def _tell(self, record: Record, maker: Maker | None) -> None:
        if maker is None or record.told:
            return
        events = maker(record, self._process(record.head))
        record.told = bool(events)
        self._events += events
