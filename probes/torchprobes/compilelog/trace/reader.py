"""One trace, read as it grows: bytes in, events out."""

from __future__ import annotations

import re
from functools import lru_cache

from ..events import Artefact, Counted, Event, Loss, Lost, Place, Source
from .context import Context, Entry
from .cutter import Cutter, Record
from .envelope import Broken
from .table import HANDLERS, NOT_READABLE, WITHOUT_PAYLOAD, follows_code

MAX_NAMES = 1000
"""Names of records that are counted each for itself."""
PID_MAX = 1 << 22
"""Linux's highest PID_MAX_LIMIT; in torch 2.3 and 2.4 a line has the thread's address where later ones have the pid."""

_HEAD = re.compile(
    rb"V(?P<when>\d{4} \d\d:\d\d:\d\d\.\d{6}) (?P<pid>\d{1,20}) (?:[^\s:]{1,512}|[^\n]{1,1024}?):\d{1,9}\] "
    rb'(?P<body>\{"(?:artifact": \{"name": "(?P<artifact>[^"\\]{1,256})"|(?P<name>[^"\\]{1,256})"))?'
)


class TraceReader:
    """Reads one trace. `path` only names the evidence; `rank` is what the path says, for records that say none."""

    def __init__(self, path: str, rank: int | None = None) -> None:
        self.counted = Counted()
        """Records that made no event, by name."""
        self._cutter = Cutter()
        self._context = Context(path, rank)
        self._junk: tuple[int, int] | None = None
        """Where bytes that are no record begin, and how many there are so far."""
        self._junk_told = 0
        """Up to there it is told."""
        self._told = -1
        """The offset of the record that was last told to be partial."""

    @property
    def offset(self) -> int:
        """Bytes taken."""
        return self._cutter.offset

    def feed(self, data: bytes) -> list[Event]:
        """The events of the records that `data`, the file's next bytes, completes."""
        events: list[Event] = []
        for record in self._cutter.feed(data):
            self._read(record, events)
        return events

    def finish(self) -> list[Event]:
        """The file does not grow for now: what is held back is told as lost, once; feeding may go on."""
        events: list[Event] = []
        offset, size = self._cutter.waiting
        if size and self._told != offset:
            self._told = offset
            if self._cutter.in_junk:
                start, before = self._junk or (offset, 0)
                self._junk, self._junk_told = (start, before + size), offset + size
            else:
                events.append(self._lost(offset, size, Loss.PARTIAL, "the last record has no end"))
        self._end_junk(events)
        return events

    def _read(self, record: Record, events: list[Event]) -> None:
        head = None if record.junk else _HEAD.match(record.head)
        if head is None:
            start, size = self._junk or (record.offset, 0)
            if record.offset + record.size > self._junk_told:
                self._junk = start, size + record.size
            return
        if self._junk is not None:
            self._end_junk(events)
        self.counted.records += 1
        when, pid, body, artifact, name = head.groups()
        if body is None:
            events.append(self._lost(record.offset, record.size, Loss.BROKEN, "a record without a name"))
            return
        context = self._context
        entry = Entry(
            record,
            _text(artifact or name),
            record.head[head.start("body") :],
            context.clock.at(when),
            _pid(pid),
            context,
        )
        self._handle(entry, events)

    def _handle(self, entry: Entry, events: list[Event]) -> None:
        handler = HANDLERS.get(entry.name)
        if not entry.record.payload_size and entry.name not in WITHOUT_PAYLOAD:
            handler = None
        try:
            made = handler(entry) if handler else ()
            if entry.record.payload_size and entry.name not in NOT_READABLE:
                made = (*made, self._artefact(entry))
        except Broken as error:
            record = entry.record
            events.append(self._lost(record.offset, record.size, Loss.BROKEN, f"{entry.name}: {error}"))
            return
        events.extend(made)
        if not made or handler is None:
            self._count(entry.name)

    def _artefact(self, entry: Entry) -> Artefact:
        source = entry.payload_source
        graph = self._context.graphs.get(entry.pid, source.compile_id) if follows_code(entry.name) else None
        return Artefact(source, entry.name, graph or "")

    def _count(self, name: str) -> None:
        names = self.counted.names
        if name not in names and len(names) >= MAX_NAMES:
            name = "..."
        names[name] = names.get(name, 0) + 1

    def _end_junk(self, events: list[Event]) -> None:
        if self._junk is not None:
            events.append(self._lost(*self._junk, Loss.TORN, "bytes that are no record"))
            self._junk = None

    def _lost(self, offset: int, size: int, loss: Loss, words: str) -> Lost:
        return Lost(Source(Place(self._context.path, offset, size), trace=True), loss, words)


@lru_cache(maxsize=64)
def _pid(digits: bytes) -> int | None:
    number = int(digits)
    return number if number <= PID_MAX else None


@lru_cache(maxsize=256)
def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
