"""What a recording is: JSON lines in gzip members, written so that a kill costs one sample, read with distrust.

A file holds chunks, a gzip member each, and each stands for itself: a header line, a sample as the sampler said it,
then samples as the cells that changed (a node with eight GPUs says 60 kB a sample, of which 2 kB are new). Every line
is flushed to the file. A chunk ends after five minutes, so that a reader can begin anywhere.

    {"recording":1,"torchdoctor":…,"host":…,"boot_id":…,"rate_hz":…}
    {"t_ns":…,"m_ns":…,"gpus":[{…},…],"host":{…},…}                     a whole sample (`samples.Sample`)
    {"t_ns":…,"changes":{key: new value},"inside":{"gpus":[{cell: new value},…],"host":{…}}}
    {"note":"the sampler died (SIGSEGV) and is started again","t_ns":…}

In `inside` the objects of a list stand at their place in the list of the sample before; `changes` replace a key whole.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, BinaryIO, Final

import msgspec

from ...samples import Sample

SCHEMA: Final = 1
"""Of the recording; a reader takes those up to its own."""

CHUNK_S: Final = 300.0
CHUNK_LINES: Final = 4096
CHUNK_BYTES: Final = 32 << 20
"""A chunk ends after so many seconds, lines or bytes of text, whatever comes first."""

MAX_CHUNK_BYTES: Final = 256 << 20
MAX_LINES: Final = 50_000
MAX_LINE_BYTES: Final = 4 << 20
"""More than that in a chunk, or in a line, is not ours: a file that was made to fill a memory."""

_LEVEL: Final = 1
_GZIP: Final = 31
"""zlib's word for a gzip member with the largest window."""

_PIECE: Final = 1 << 16

Cells = dict[str, msgspec.Raw]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]

_cells: Final = msgspec.json.Decoder(Cells)
_rows: Final = msgspec.json.Decoder(list[Cells])
_sample: Final = msgspec.json.Decoder(Sample)


class RecordingError(Exception):
    """It cannot be read or written; the text is one line for the person."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a chunk. `boot_id` tells which boot the monotonic times belong to."""

    recording: int = SCHEMA
    torchdoctor: str = ""
    host: str = ""
    boot_id: str = ""
    rate_hz: float = 1.0


class Inside(msgspec.Struct, frozen=True, omit_defaults=True):
    """Changes inside what a sample holds; None: it is as before, or replaced whole."""

    gpus: list[Cells] | None = None
    processes: list[Cells] | None = None
    host: Cells | None = None


class Line(msgspec.Struct, frozen=True):
    """Any line, looked at just enough to see what it is. A whole sample has no `changes`."""

    t_ns: Nanoseconds = 0
    recording: int | None = None
    note: str | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")
    changes: Cells | None = None
    inside: Inside = Inside()

    @property
    def is_sample(self) -> bool:
        """Whether it is a sample, whole or as changes."""
        return self.note is None and self.recording is None and self.t_ns > 0

    @property
    def new_events(self) -> bytes:
        """The events that it brings, as JSON; `[]` for none."""
        events = self.events if self.changes is None else self.changes.get("events", msgspec.Raw(b"[]"))
        return bytes(events)


_line: Final = msgspec.json.Decoder(Line)


def look(text: bytes) -> Line | None:
    """What a line is, None if it is nothing of ours."""
    try:
        return _line.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


# --- a sample as its parts -----------------------------------------------------------------------------------


class Parts:
    """A sample taken apart just so far that its cells can be compared, never understood."""

    __slots__ = ("gpus", "host", "processes", "top")

    def __init__(self, text: bytes) -> None:
        """Raises msgspec.MsgspecError if it is no sample."""
        self.top = _cells.decode(text)
        self.gpus = _rows.decode(self.top.pop("gpus", b""))
        self.processes = _rows.decode(self.top.pop("processes", b""))
        self.host = _cells.decode(self.top.pop("host", b""))

    def text(self) -> bytes:
        """The sample as it was."""
        return msgspec.json.encode({**self.top, "gpus": self.gpus, "processes": self.processes, "host": self.host})

    def changes_since(self, before: Parts) -> bytes | None:
        """The line that makes this sample of the one before; None if it must be written whole."""
        if self.top.keys() != before.top.keys():
            return None
        changes: dict[str, Any] = _changed(self.top, before.top)
        inside: dict[str, Any] = {}
        for name in ("gpus", "processes"):
            now, then = getattr(self, name), getattr(before, name)
            if len(now) == len(then) and all(a.keys() == b.keys() for a, b in zip(now, then, strict=True)):
                inside[name] = [_changed(a, b) for a, b in zip(now, then, strict=True)]
            else:
                changes[name] = now
        if self.host.keys() == before.host.keys():
            inside["host"] = _changed(self.host, before.host)
        else:
            changes["host"] = self.host
        return msgspec.json.encode({"t_ns": self.top["t_ns"], "changes": changes, "inside": inside})

    def apply(self, line: Line) -> None:
        """Become the next sample. Raises ValueError, or msgspec.MsgspecError, if the line does not fit."""
        for name, value in (line.changes or {}).items():
            if name in ("gpus", "processes"):
                setattr(self, name, _rows.decode(value))
            elif name == "host":
                self.host = _cells.decode(value)
            else:
                self.top[name] = value
        for name in ("gpus", "processes"):
            for row, cells in zip(getattr(self, name), getattr(line.inside, name) or (), strict=False):
                row.update(cells)
        for name in ("gpus", "processes"):
            rows = getattr(line.inside, name)
            if rows is not None and len(rows) != len(getattr(self, name)):
                raise ValueError(f"{name}: {len(rows)} changes for {len(getattr(self, name))} rows")
        self.host.update(line.inside.host or {})


def _changed(now: Mapping[str, msgspec.Raw], then: Mapping[str, msgspec.Raw]) -> Cells:
    return {name: value for name, value in now.items() if value != then.get(name)}


# --- writing ---------------------------------------------------------------------------------------------------


class Encoder:
    """Makes the bytes of a recording: what each call returns is appended to the file before the next call."""

    def __init__(self, header: Header) -> None:
        self._header = msgspec.json.encode(header)
        self._zip: Any = None
        self._before: Parts | None = None
        self._began, self._lines, self._bytes = 0.0, 0, 0

    def sample(self, text: bytes) -> bytes | None:
        """One line of the sampler; None if it is no sample."""
        try:
            parts = Parts(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if "t_ns" not in parts.top:
            return None
        ended = self.end() if self._is_full() else b""
        line = parts.changes_since(self._before) if self._before else None
        self._before = parts
        return ended + self._put(line or text.rstrip(b"\n"))

    def note(self, text: str) -> bytes:
        """Something that happened to the recorder."""
        return self._put(msgspec.json.encode({"note": text, "t_ns": time.time_ns()}))

    def end(self) -> bytes:
        """The end of the chunk, if one is open; the next sample begins another."""
        rest: bytes = self._zip.flush(zlib.Z_FINISH) if self._zip else b""
        self._zip = self._before = None
        return rest

    def _is_full(self) -> bool:
        late = time.monotonic() - self._began > CHUNK_S
        return self._zip is not None and (late or self._lines >= CHUNK_LINES or self._bytes >= CHUNK_BYTES)

    def _put(self, line: bytes) -> bytes:
        first = b""
        if self._zip is None:
            self._zip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
            self._began, self._lines, self._bytes = time.monotonic(), 0, 0
            first = self._zip.compress(self._header + b"\n")
        self._lines += 1
        self._bytes += len(line)
        packed: bytes = self._zip.compress(line + b"\n") + self._zip.flush(zlib.Z_SYNC_FLUSH)
        return first + packed


# --- reading ---------------------------------------------------------------------------------------------------


class ChunkReader:
    """The lines of one chunk. After the last, `end` says where the next begins, None where the file is torn."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self.end: int | None = None
        self.broken = 0
        """Lines that were too long."""
        self._file, self._at = file, offset

    def __iter__(self) -> Iterator[bytes]:
        rest, taken, count, skipping = b"", 0, 0, False
        for piece in self._text():
            *lines, rest = (rest + piece).split(b"\n")
            taken, count = taken + len(piece), count + len(lines)
            for line in lines:
                if not skipping:
                    yield line
                skipping = False
            if len(rest) > MAX_LINE_BYTES or skipping:
                self.broken += not skipping
                rest, skipping = b"", True
            if taken > MAX_CHUNK_BYTES or count > MAX_LINES:
                self.end = None
                return

    def _text(self) -> Iterator[bytes]:
        """Its text, a bounded piece at a time."""
        unzip = zlib.decompressobj(_GZIP)
        self._file.seek(self._at)
        while not unzip.eof and (data := self._file.read(_PIECE)):
            self._at += len(data)
            while data and not unzip.eof:
                try:
                    piece = unzip.decompress(data, _PIECE)
                except zlib.error:
                    return
                yield piece
                data = unzip.unconsumed_tail
        if unzip.eof:
            self.end = self._at - len(unzip.unused_data)


def read_samples(file: BinaryIO, offset: int, first: int = 0) -> Iterator[tuple[int, Sample]]:
    """The samples of the chunk at `offset` with their number in it, from the `first` on.

    A line that is broken costs the samples after it until the next whole one: their other cells would be a guess.
    """
    parts: Parts | None = None
    number = -1
    for text in ChunkReader(file, offset):
        line = look(text)
        if line is not None and not line.is_sample:
            continue
        number += line is not None
        parts = _next(parts, line, text)
        if parts is None or line is None or number < first:
            continue
        try:
            yield number, _sample.decode(parts.text())
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue


def _next(parts: Parts | None, line: Line | None, text: bytes) -> Parts | None:
    """The sample that a line makes of the one before; None if it cannot be known."""
    try:
        if line is not None and line.changes is None:
            return Parts(text)
        if parts is None or line is None:
            return None
        parts.apply(line)
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError, RecursionError):
        return None
    return parts
