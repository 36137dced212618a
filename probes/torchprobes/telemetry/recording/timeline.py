"""A whole recording, one file or a flight recorder's folder, as a line of samples that can be entered anywhere."""

from __future__ import annotations

import os
import re
import stat
import time
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from ...samples import KernelEvent, Sample
from .file import SCHEMA, ChunkReader, Header, Line, RecordingError, look, read_samples

SEGMENT: Final = re.compile(r"(\d{8}T\d{6}Z)(-\d+)?\.jsonl\.gz")
"""The name of a file of a flight recorder: when it begins."""

HAPPENED_NS: Final = 120_000_000_000
"""An event that is older than this when it is told came with the history since boot, not at that sample."""

GAP_NS: Final = 60_000_000_000
"""Samples further apart than this have a gap between them, or ten of the recorder's own steps if that is more."""

_MAGIC: Final = b"\x1f\x8b"
_events: Final = msgspec.json.Decoder(tuple[KernelEvent, ...])


def segment_ns(name: str) -> int | None:
    """When a flight recorder's file begins, None if it is none."""
    match = SEGMENT.fullmatch(name)
    try:
        stamp = time.strptime(match[1] + "+0000", "%Y%m%dT%H%M%SZ%z") if match else None
        return None if stamp is None else _utc_ns(stamp)
    except (ValueError, OverflowError):
        return None


def _utc_ns(stamp: time.struct_time) -> int:
    from calendar import timegm

    return timegm(stamp) * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to the recorder: its sampler died, the disk was full."""

    t_ns: int
    text: str


@dataclass(slots=True)
class Chunk:
    """Where a chunk lies, and what is in it: the times of its samples, and which of them bring events."""

    path: Path
    offset: int
    header: Header
    times: array[int] = field(default_factory=lambda: array("q"))
    events: list[tuple[int, KernelEvent]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    broken: int = 0
    torn: bool = False

    def take(self, line: Line | None) -> None:
        """Take in the next line."""
        if line is None:
            self.broken += 1
        elif line.note is not None:
            self.notes.append(Note(line.t_ns, line.note[:300]))
        elif line.is_sample:
            # never back: a clock that was set leaves the order of samples as it was
            self.times.append(max(line.t_ns, self.times[-1] if self.times else 0))
            self._take_events(line)

    def _take_events(self, line: Line) -> None:
        if (told := line.new_events) == b"[]":
            return
        try:
            self.events += [(len(self.times) - 1, event) for event in _events.decode(told)]
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.broken += 1


def read_chunks(path: Path) -> Iterator[Chunk]:
    """The chunks of one file, without their samples. Ends where the file is torn.

    Raises:
        RecordingError: if it cannot be read, is no recording, or is of a later schema.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != _MAGIC:
                raise RecordingError(f"{path} is no recording: `torchdoctor record FILE` makes one")
            offset: int | None = 0
            size = os.fstat(file.fileno()).st_size
            while offset is not None and offset < size:
                reader = ChunkReader(file, offset)
                chunk = _chunk(path, offset, reader)
                offset = reader.end
                if chunk is not None:
                    yield chunk
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None


def _chunk(path: Path, offset: int, reader: ChunkReader) -> Chunk | None:
    """One chunk, None if it has not even a header."""
    chunk: Chunk | None = None
    for text in reader:
        if chunk is None:
            chunk = Chunk(path, offset, _header(text, path))
        else:
            chunk.take(look(text))
    if chunk is not None:
        chunk.broken += reader.broken
        chunk.torn = reader.end is None
    return chunk


def _header(text: bytes, path: Path) -> Header:
    try:
        schema = msgspec.json.decode(text, type=_Schema).recording
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise RecordingError(f"{path} is no recording: its first line is none of ours") from None
    if schema > SCHEMA:
        raise RecordingError(
            f"{path} has recording schema {schema}, this torchdoctor reads up to {SCHEMA}: upgrade torchdoctor"
        )
    try:
        return msgspec.json.decode(text, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path} has a broken header: {error}") from None


class _Schema(msgspec.Struct):
    recording: int


# --- the whole ---------------------------------------------------------------------------------------------------


class Timeline:
    """All samples of a recording in order, by number and by time. `began_ns` and `ended_ns` are wall times."""

    def __init__(self, chunks: list[Chunk], broken_files: tuple[str, ...] = ()) -> None:
        self.chunks = [chunk for chunk in chunks if chunk.times]
        self.notes = [note for chunk in chunks for note in chunk.notes]
        self.broken = sum(chunk.broken for chunk in chunks)
        """Lines that are nothing of ours."""
        self.broken_files = broken_files
        """Files that could not be read, a line each."""
        self._first: list[int] = []
        self._began: list[int] = []
        self.count = 0
        for chunk in self.chunks:
            self._first.append(self.count)
            self._began.append(max(chunk.times[0], self._began[-1] if self._began else 0))
            self.count += len(chunk.times)

    @property
    def began_ns(self) -> int:
        """When the first sample was taken, 0 without one."""
        return self.chunks[0].times[0] if self.chunks else 0

    @property
    def ended_ns(self) -> int:
        """When the last sample was taken, 0 without one."""
        return self.chunks[-1].times[-1] if self.chunks else 0

    @property
    def header(self) -> Header:
        """Of its first chunk."""
        return self.chunks[0].header if self.chunks else Header()

    def time_ns(self, number: int) -> int:
        """When a sample was taken."""
        place, inside = self._place(number)
        return self.chunks[place].times[inside]

    def number_at(self, t_ns: int) -> int:
        """The last sample not after a time; the first if that is before all."""
        place = max(0, bisect_right(self._began, t_ns) - 1)
        inside = max(0, bisect_right(self.chunks[place].times, t_ns) - 1)
        return self._first[place] + inside

    def samples(self, first: int, last: int | None = None) -> Iterator[tuple[int, Sample]]:
        """Samples with their numbers, from `first` to before `last` (None: to the end). A broken one is left out.

        Raises:
            RecordingError: if a file cannot be read any more.
        """
        end = self.count if last is None else min(last, self.count)
        while first < end:
            place, inside = self._place(first)
            base = self._first[place]
            for number, sample in self._of_chunk(place, inside):
                if base + number >= end:
                    return
                yield base + number, sample
            first = base + len(self.chunks[place].times)

    def events(self) -> Iterator[tuple[int, KernelEvent]]:
        """The events that happened while it was recorded, with the number of the sample that told of each."""
        for chunk, base in zip(self.chunks, self._first, strict=True):
            for inside, event in chunk.events:
                if abs(event.t_ns - chunk.times[inside]) < HAPPENED_NS:
                    yield base + inside, event

    def earlier_events(self, number: int) -> tuple[KernelEvent, ...]:
        """Every event that was told before a sample, those since boot among them, each once."""
        told = (
            event
            for chunk, base in zip(self.chunks, self._first, strict=True)
            for inside, event in chunk.events
            if base + inside < number
        )
        return tuple(dict.fromkeys(told))

    def gaps(self) -> list[tuple[int, int]]:
        """Where nothing was recorded: (from, to), in wall nanoseconds."""
        found = []
        last = 0
        for chunk in self.chunks:
            most = max(GAP_NS, int(10e9 / max(chunk.header.rate_hz, 1e-3)))
            for now in chunk.times:
                if last and now - last > most:
                    found.append((last, now))
                last = now
        return found

    def _place(self, number: int) -> tuple[int, int]:
        place = bisect_right(self._first, number) - 1
        return place, number - self._first[place]

    def _of_chunk(self, place: int, first: int) -> Iterator[tuple[int, Sample]]:
        chunk = self.chunks[place]
        try:
            with chunk.path.open("rb") as file:
                for number, sample in read_samples(file, chunk.offset, first):
                    if number >= len(chunk.times):  # a writer went on since it was looked at
                        return
                    yield number, sample
        except OSError as error:
            raise RecordingError(f"{chunk.path} cannot be read: {error.strerror}") from None


def files_of(path: Path, since_ns: int = 0, until_ns: int | None = None) -> list[Path]:
    """The files of a recording in order of time; of a flight recorder those that touch a span of time.

    Raises:
        RecordingError: if there are none.
    """
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return [path]
        rows = sorted((began, name) for name in os.listdir(path) if (began := segment_ns(name)) is not None)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
    if not rows:
        raise RecordingError(f"{path} holds no recording: `torchdoctor record --ring 24h --max 200MB` keeps one")
    ends = [*(began for began, _ in rows[1:]), 1 << 62]
    until = 1 << 62 if until_ns is None else until_ns
    return [path / name for (began, name), end in zip(rows, ends, strict=True) if end >= since_ns and began <= until]


def open_timeline(path: Path, since_ns: int = 0, until_ns: int | None = None) -> Timeline:
    """Read where everything is; 24 hours of eight GPUs take some seconds.

    A file of a flight recorder that cannot be read is told in `broken_files`, and the others are read.

    Raises:
        RecordingError: if there is no recording, or nothing of it can be read.
    """
    chunks: list[Chunk] = []
    broken: list[str] = []
    for file in files_of(path, since_ns, until_ns):
        try:
            chunks += read_chunks(file)
        except RecordingError as error:
            broken.append(str(error))
    if not any(chunk.times for chunk in chunks):
        raise RecordingError(broken[0] if broken else f"{path} holds no sample")
    return Timeline(chunks, tuple(broken))
