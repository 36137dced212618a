"""Lines with torch's prefix into records, and records into events: one open record for each writer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..events import CompileStarted, Event, Folder, GraphBroke, GraphMade, Recompiled, TorchSeen
from . import code
from .prefix import Head
from .record import Process, Record
from .rows import OLD, Maker, maker_of, needles

WentOn = Callable[[int | None, int], None]
"""(rank, byte of the file): a process of this rank compiles there."""

_WRITERS = 256
"""Processes of one file that are told apart."""
_SOURCES = 8_192
"""Lines of torch's source that are remembered."""
_GOES_ON = (CompileStarted, GraphBroke, GraphMade, Recompiled, Folder)
"""What a program does not do after the traceback that ended it."""


class Records:
    """Puts records together and tells their events into `events`."""

    def __init__(
        self,
        path: str,
        pid: int | None,
        rank: int | None,
        events: list[Event],
        went_on: Callable[[int | None, int], None],
    ) -> None:
        self.events = events
        self.sources: dict[bytes, tuple[bytes, ...]] = {}
        """What lines of a source (`torch/x.py:12]`, `torch.x:`) need to have to matter."""
        self.writers: set[bytes] = set()
        """The pids or thread ids seen in prefixes."""
        self.opened: dict[bytes, tuple[Record, Maker]] = {}
        self._path, self._pid, self._rank = path, pid, rank
        self._went_on = went_on
        self._processes: dict[bytes, Process] = {}
        self._newest: Record | None = None
        self._old = False

    def goes_on(self, line: bytes, end: int) -> bool:
        """Whether a line only goes on with the newest record, which an indented or an empty one does."""
        record = self._newest
        if record is None or not line.startswith(record.head.raw):
            return False
        message = line[len(record.head.raw) :]
        if message[:1] not in (b" ", b"") or b"\x1b" in message or b"] " in message:
            return False
        record.add(message.decode(errors="replace").rstrip(), end)
        return True

    def line(self, at: int, head: Head, raw: bytes, end: int) -> None:
        """A line with its prefix taken off."""
        if head.artefact == "output_code":
            self.events += code.read(raw, Record(head, at, [], end), self._process(head))
        message = raw.decode(errors="replace").rstrip()
        maker = maker_of(message)
        known = self.opened.get(head.writer)
        if known and known[0].head.raw == head.raw and not (maker is known[1] and _is_first(message)):
            known[0].add(message, end)
            return
        if known:
            del self.opened[head.writer]
            self._tell(*known)
        self._learn(head)
        record = Record(head, at, [message], end)
        if head.old and not self._old:
            self._old = True
            self.events.append(TorchSeen(self._process(head).source(record), "2.1-2.2"))
        if maker and len(self.opened) < _WRITERS:
            self.opened[head.writer] = (record, maker)
            self._newest = record

    def loose(self, at: int, head: Head, raw: bytes, end: int) -> Record | None:
        """A record of which only the first line has a prefix, if it matters."""
        message = raw.decode(errors="replace").rstrip()
        return Record(head, at, [message], end) if maker_of(message) else None

    def passed(self, line: bytes, end: int) -> None:
        """A line without what its source's first lines have: it goes on with a record, or shows that one has ended."""
        for writer, (record, maker) in [*self.opened.items()]:
            raw = record.head.raw
            if line.startswith(raw):
                record.add(line[len(raw) :].decode(errors="replace").rstrip(), end)
                return
            mark = b" " + writer.rpartition(b":")[2] + b" "
            if record.head.old or mark in line[:80]:
                del self.opened[writer]
                self._tell(record, maker)

    def rest(self, head: Head, raw: bytes, end: int) -> None:
        """The other half of a torn message."""
        known = self.opened.get(head.writer)
        if known and known[0].head.raw == head.raw:
            record = known[0]
            record.lines[-1] += raw.decode(errors="replace").rstrip()
            record.end = end

    def unended(self, head: Head, raw: bytes) -> None:
        """A last line without its end; of a record that has begun before it, it is used as far as it goes."""
        known = self.opened.get(head.writer)
        if known and known[0].head.raw == head.raw and not known[0].told:
            whole = replace(known[0], lines=[*known[0].lines, raw.decode(errors="replace").rstrip()])
            self._tell(whole, known[1])
            known[0].told = whole.told

    def interrupted(self) -> None:
        """A line of the program's own: of one writer, whose records are written in one go, the open one has ended."""
        if len(self.opened) == 1 and len(self.writers) <= 1:
            _, (record, maker) = self.opened.popitem()
            self._tell(record, maker)

    def finish(self) -> None:
        """Nothing follows for now."""
        for record, maker in self.opened.values():
            self._tell(record, maker)
        for process in self._processes.values():
            self.events += process.held_back()

    def tell(self, record: Record) -> None:
        """A record that was put together elsewhere."""
        maker = maker_of(record.lines[0])
        if maker:
            self._tell(record, maker)

    def _tell(self, record: Record, maker: Maker) -> None:
        if record is self._newest:
            self._newest = None
        if record.told or record.read == len(record.lines):
            return
        process = self._process(record.head)
        item = process.item
        events = [*maker(record, process), *process.recompiled_by(record.head.compile_id)]
        if item and process.item is item:  # another record than the break's own has followed
            process.item = None
            events = [item, *events]
        record.told, record.read = bool(events), len(record.lines)
        self.events += events
        if any(isinstance(event, _GOES_ON) for event in events):
            self._went_on(record.head.rank, record.at)

    def _process(self, head: Head) -> Process:
        process = self._processes.get(head.writer)
        if process is None:
            process = Process(self._path, self._pid, self._rank)
            if len(self._processes) < _WRITERS:
                self._processes[head.writer] = process
        return process

    def _learn(self, head: Head) -> None:
        """Remember what lines of this source need to have."""
        words = head.raw.split(b" ", 4)
        if len(words) < 4 or len(self.sources) >= _SOURCES:
            return
        needed = needles(head.level, head.file, head.artefact)
        if not head.old:
            self.sources.setdefault(words[3], needed)
            if len(self.writers) < _WRITERS:
                self.writers.add(words[2])
        elif words[3].endswith(b":"):  # without a compile id the fourth word is the level
            self.sources.setdefault(words[3], OLD)
            self.sources.setdefault(words[3] + words[4][:3], needed)


def _is_first(message: str) -> bool:
    """Whether a line that could begin a record does, where the line before it has the same prefix."""
    return message[:1] not in ("", " ") and not message.startswith("Graph break: from user code")
