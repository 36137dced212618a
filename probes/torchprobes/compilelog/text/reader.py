"""The reader: bytes of a log in, events out, whatever the cuts between reads.

99 % of a full log are lines that do not matter. A line's fourth word is the file and line of torch that wrote it
(2.3+) or its logger (2.1, 2.2): what lines of a source must have to matter is looked up by that word alone, and the
rest is passed over unread.
"""

from __future__ import annotations

from ..events import Counted, Event
from .cutter import Cutter
from .lines import Lines
from .own import LOUD, Streams
from .prefix import INSIDE
from .records import Records
from .rows import OLD


class TextReader:
    """Reads the text of one file. `feed` its bytes in their order; `finish` when it does not grow for now.

    `plain`: a debug.log, whose messages have no prefix (torch/_dynamo/utils.py, add_file_handler).
    """

    def __init__(self, path: str, pid: int | None = None, rank: int | None = None, plain: bool = False) -> None:
        self.counted = Counted()
        """How many of torch's records and lines were read or passed over."""
        self._cutter = Cutter()
        self._events: list[Event] = []
        self._streams = Streams(path, pid, rank, self._events)
        self._records = Records(path, pid, rank, self._events, self._streams.went_on)
        self._split = Lines(path, self._records, self._streams, plain=plain)

    @property
    def offset(self) -> int:
        """Bytes taken."""
        return self._cutter.offset

    @property
    def last_line(self) -> str:
        """The last line that the program itself said: neither torch's nor of a traceback."""
        return self._streams.last_line

    def feed(self, data: bytes) -> list[Event]:
        """The events of the bytes that follow those fed so far."""
        for at, block in self._cutter.feed(data):
            if not self._is_quiet(at, block):
                self._lines(at, block.split(b"\n"))
        return self._taken()

    def _is_quiet(self, at: int, block: bytes) -> bool:
        """Whether nothing is to be learnt of a block of lines, all of them the program's."""
        if not (self._streams.idle and self._split.idle) or LOUD.search(block):
            return False
        if last := block.rstrip():
            self._streams.said(at + last.rfind(b"\n") + 1, last[last.rfind(b"\n") + 1 :])
        return True

    def finish(self) -> list[Event]:
        """What was held back, as nothing follows for now; feeding may go on."""
        self._split.finish(self._cutter.rest_at, self._cutter.rest)
        self._records.finish()
        self._streams.finish()
        return self._taken()

    def _taken(self) -> list[Event]:
        events = self._events[:]
        self._events.clear()
        return events

    def _lines(self, at: int, lines: list[bytes]) -> None:
        """The hot loop: a line that does not matter costs a split and a look into a dictionary."""
        records, split, streams = self._records, self._split, self._streams
        needles_of, writers, opened = records.sources.get, records.writers, records.opened
        read = 0
        several = len(writers) > 1
        for line in lines:
            start, at = at, at + len(line) + 1
            words = line.split(b" ", 4)
            needed = needles_of(words[3]) if len(words) == 5 else None
            if needed is OLD:
                needed = needles_of(words[3] + words[4][:3])
            elif needed is not None and words[2] not in writers:
                needed = None
            if needed is None:
                if not (streams.idle and self._is_quiet(start, line)):
                    split.line(start, line)
                read += 1
                several = len(writers) > 1
                continue
            for needle in needed:
                if needle in line:
                    split.line(start, line)
                    read += 1
                    break
            else:
                if opened:
                    records.passed(line, at)
                if several and b".py:" in words[4] and INSIDE.search(words[4]):  # another writer's line
                    split.line(start, line)
        self.counted.records += len(lines)
        self.counted.names["read"] = self.counted.names.get("read", 0) + read
