"""One line of a log: torch's or the program's own, or pieces of several writers that went into each other."""

from __future__ import annotations

import re

from ..events import Loss, Lost, Place, Source
from . import loose
from .cutter import LONGEST
from .own import Streams
from .prefix import INSIDE, TEE, Clock, Head, clean, head_of
from .record import Record
from .records import Records

_RANK = re.compile(rb"\[rank(\d{1,6})\]:\s?")
"""Before every line of the traceback that ends a rank (torch 2.3+)."""
_CUT_PREFIX = re.compile(rb"(?:\[rank\d{1,6}\]:)?[VIWEC]\d{1,4}(?: [\d:.]{0,15}(?: \d{0,20}(?: \S{0,300})?)?)?$")
_FRAGMENT_WITHIN = 1 << 16
"""Bytes after a tear within which its other half is looked for."""


class Lines:
    """Says of each line whose it is, and gives it on."""

    def __init__(self, path: str, records: Records, streams: Streams, *, plain: bool) -> None:
        self._path, self._records, self._streams, self._plain = path, records, streams, plain
        self._clock = Clock()
        self._loose: Record | None = None
        self._cut: tuple[int, bytes] | None = None
        """The beginning of a prefix that another writer's line has cut."""
        self._torn: tuple[int, Head] | None = None
        """A message that another writer's line has cut; its other half comes without prefix."""
        self._partial_at = -1

    @property
    def idle(self) -> bool:
        """Whether the next line can only stand for itself."""
        return not (self._plain or self._loose or self._cut or self._torn or self._records.opened)

    def line(self, at: int, line: bytes) -> None:
        """The line that begins at byte `at` of the file."""
        end = at + len(line) + 1
        if self._records.goes_on(line, end):
            return
        line = clean(line[:LONGEST])
        stream = b""
        if line[:1] == b"[" and (tee := TEE.match(line)):
            stream, line = tee[0], line[tee.end() :]
        head = head_of(line, self._clock)
        if head is None:
            self._without_head(at, line, end, stream)
            return
        self._with_head(at, head, line[len(head.raw) :], end, stream)

    def _with_head(self, at: int, head: Head, message: bytes, end: int, stream: bytes) -> None:
        head = head.of(stream)
        self._end_loose()
        if b"] " in message and (inside := INSIDE.search(message)):  # another writer's line
            self._records.line(at, head, message[: inside.start()], end)
            self._torn = (at, head)
            self._lost(at, "another writer's line begins within this one")
            self.line(at, stream + message[inside.start() :])
        elif head.every_line:
            self._records.line(at, head, message, end)
        else:
            self._loose = self._records.loose(at, head, message, end)

    def _without_head(self, at: int, line: bytes, end: int, stream: bytes) -> None:
        inside = INSIDE.search(line) if b"] " in line else None
        head = head_of(line[inside.start() :], self._clock) if inside else None
        if inside is None or head is None:
            self._own(at, line, end, stream)
            return
        before, rest = line[: inside.start()], line[inside.start() :]
        if _CUT_PREFIX.match(before):
            self._cut = (at, before)
        elif before.strip():  # a progress bar
            self._own(at, before, end, stream)
        self._with_head(at, head, rest[len(head.raw) :], end, stream)

    def _own(self, at: int, line: bytes, end: int, stream: bytes) -> None:
        if (self._cut or self._torn) and self._other_half(at, line, end, stream):
            return
        self._records.interrupted()
        rank = _RANK.match(line) if line[:1] == b"[" else None
        if rank:
            stream, line = stream + rank[0].rstrip(), line[rank.end() :]
        text = line.decode(errors="replace").rstrip()
        begun = loose.begins(text, at, end, plain=self._plain)
        if begun and not (self._loose and text.startswith("Graph break: from user code")):
            self._end_loose()
            self._loose = begun
        elif self._loose and loose.takes(self._loose, text):
            self._loose.add(text, end)
        else:
            self._end_loose()
            if not self._plain:
                self._streams.line(at, text, end, stream, int(rank[1]) if rank else None)

    def _other_half(self, at: int, line: bytes, end: int, stream: bytes) -> bool:
        """Whether this line is the rest of a torn one."""
        (cut, self._cut), (torn, self._torn) = (self._cut, None), (self._torn, None)
        if cut:
            whole = cut[1] + line
            head = head_of(whole, self._clock)
            if head:
                self._torn = torn
                self._with_head(cut[0], head, whole[len(head.raw) :], end, stream)
                return True
            self._lost(cut[0], "a torn line whose other half was not found")
        if torn and at - torn[0] < _FRAGMENT_WITHIN:
            self._records.rest(torn[1], line, end)
            return True
        return False

    def _end_loose(self) -> None:
        record, self._loose = self._loose, None
        if record:
            self._records.tell(record)

    def finish(self, at: int, rest: bytes) -> None:
        """The file does not grow for now, and ends in `rest`, a line without its end."""
        if self._loose:
            self._records.tell(self._loose)
        if not rest or at == self._partial_at:
            return
        self._partial_at = at
        rest = clean(rest)
        head = head_of(rest, self._clock)
        if head or _CUT_PREFIX.match(rest) or INSIDE.search(rest):
            self._lost(at, "the last record has no end", Loss.PARTIAL)
        elif not self._plain:
            self._streams.unended(rest.decode(errors="replace"))
        if head:
            self._records.unended(head, rest[len(head.raw) :])

    def _lost(self, at: int, words: str, loss: Loss = Loss.TORN) -> None:
        self._records.events.append(Lost(Source(Place(self._path, at)), loss, words))
