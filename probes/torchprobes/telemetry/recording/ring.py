"""A flight recorder's folder: files of ten minutes each, the oldest deleted by age and by size, one writer.

Never more than the size that was asked for is on the disk. A disk that others filled costs the samples of that time,
which is told; what was written stays readable.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...rundir import this_owner
from .file import Encoder, Header, RecordingError
from .timeline import segment_ns

SEGMENT_S: Final = 600.0
SEGMENTS: Final = 16
"""A file holds at most this part of the whole size, so that the oldest that is deleted is a small part."""

BLOCK: Final = 4096
LEAST_BYTES: Final = 1 << 20
LOCK: Final = "writer.lock"
SYNC_S: Final = 10.0
"""So much is lost when the machine dies; a process that is killed costs one sample."""


class Appender:
    """Appends to one file. What a full disk did not take is kept and written before anything else."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self.path = path
        self.size = 0
        self._handle = os.open(path, flags, 0o644)
        self._rest = b""

    def write(self, data: bytes = b"") -> None:
        """Append. Raises OSError if not all could be written; call it again, with nothing, until it does not."""
        self._rest += data
        while self._rest:
            done = os.write(self._handle, self._rest)
            self.size += done
            self._rest = self._rest[done:]

    def sync(self) -> None:
        """Have it on the disk."""
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class FileStore:
    """A recording in one file, which must be new (an empty one may be there)."""

    def __init__(self, path: Path, header: Header, tell: Callable[[str], None]) -> None:
        """Raises RecordingError if it cannot be written."""
        self.samples = 0
        self._encoder, self._tell = Encoder(header), tell
        self._missed, self._why = 0, ""
        self._file = _new_file(path)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._file.size

    def add(self, line: bytes) -> bool:
        """Keep a sample; False if the line is none. A disk that does not take it is told, once."""
        if not self._has_room(len(line)):
            self._missed += 1
            return True
        data = self._encoder.sample(line)
        if data is None:
            return False
        self.samples += self._write(data)
        return True

    def note(self, text: str) -> None:
        """Keep a line about the recorder itself."""
        if self._has_room(len(text)):
            self._write(self._encoder.note(text))

    def close(self) -> None:
        """End the file so that it is whole."""
        self._write(self._encoder.end())
        self._file.close()

    def _has_room(self, size: int) -> bool:
        """Whether what could not be written before is now on the disk."""
        if not self._why:
            return True
        if not self._write(b""):
            return False
        missed, why = self._missed, self._why
        self._missed, self._why = 0, ""
        self._tell(f"recording again; {missed} samples were not kept: {why}")
        self._write(self._encoder.note(f"{missed} samples were not kept: {why}"))
        return not self._why

    def _write(self, data: bytes) -> bool:
        try:
            self._file.write(data)
        except OSError as error:
            if not self._why:
                self._why = f"{self._file.path.parent}: {error.strerror}"
                self._tell(f"NOT recording: {self._why}; it goes on when there is room")
            return False
        return True


def _new_file(path: Path) -> Appender:
    try:
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()
        return Appender(path)
    except FileExistsError:
        raise RecordingError(f"{path} is there already: name a new file") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror}") from None


# --- the ring --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Segment:
    """A finished file of the ring."""

    path: Path
    began_ns: int
    size: int


class Ring(FileStore):
    """A flight recorder's folder. Only one process may write it."""

    def __init__(
        self,
        folder: Path,
        header: Header,
        tell: Callable[[str], None],
        keep_s: float,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises RecordingError if the folder cannot be written, or somebody else writes it."""
        self._folder, self._keep_s, self._max, self._clock = folder, keep_s, max_bytes, clock
        self._lock = _locked(folder)
        self._old = _segments(folder)
        self._began = clock()
        self._synced = time.monotonic()
        super().__init__(self._name(), header, tell)
        self._prune(0)

    def close(self) -> None:
        """End the newest file, and let another write."""
        super().close()
        os.close(self._lock)

    @property
    def size(self) -> int:
        """Bytes on the disk, whole blocks."""
        return sum(_blocks(old.size) for old in self._old) + _blocks(self._file.size)

    def _has_room(self, size: int) -> bool:
        if not super()._has_room(size):
            return False
        self._rotate()
        self._prune(size)
        self._sync()
        return self.size + _blocks(size) <= self._max

    def _rotate(self) -> None:
        """Begin the next file when this one is long or large enough."""
        now = self._clock()
        if 0 <= now - self._began < SEGMENT_S and self._file.size < self._max // SEGMENTS:
            return
        if not self._write(self._encoder.end()):
            return
        old = self._file
        try:
            self._file = Appender(self._name())
        except OSError as error:  # the one that is open goes on, as far as the size allows
            self._tell(f"{self._folder}: no next file can be made: {error.strerror}")
            self._began = now
            return
        self._began = now
        old.close()
        self._old.append(Segment(old.path, segment_ns(old.path.name) or 0, old.size))

    def _prune(self, coming: int) -> None:
        """Delete what is too old, and the oldest until `coming` bytes more fit."""
        oldest = int((self._clock() - self._keep_s - SEGMENT_S) * 1e9)
        while self._old and (self._old[0].began_ns < oldest or self.size + _blocks(coming) + BLOCK > self._max):
            try:
                self._old[0].path.unlink(missing_ok=True)
            except OSError as error:
                self._tell(f"{self._old[0].path} cannot be deleted: {error.strerror}")
            del self._old[0]

    def _sync(self) -> None:
        if time.monotonic() - self._synced < SYNC_S:
            return
        self._synced = time.monotonic()
        try:
            self._file.sync()
        except OSError as error:
            self._tell(f"{self._file.path}: {error.strerror}")

    def _name(self) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        names = (f"{stamp}{more}.jsonl.gz" for more in ("", *(f"-{n}" for n in range(1, 1000))))
        return next(path for name in names if not (path := self._folder / name).exists())


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _segments(folder: Path) -> list[Segment]:
    """The files of an earlier writer, oldest first."""
    found = [(segment_ns(entry.name), entry) for entry in os.scandir(folder)]
    rows = [Segment(Path(entry.path), began, entry.stat().st_size) for began, entry in found if began is not None]
    return sorted(rows, key=lambda row: (row.began_ns, row.path.name))


def _locked(folder: Path) -> int:
    """The handle of the lock, which holds as long as this process lives."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError(f"{folder} is written by {_writer(folder)} already: one recorder a folder") from None
    except OSError as error:
        raise RecordingError(f"{folder} cannot be written: {error.strerror}") from None
    owner = this_owner()
    os.ftruncate(handle, 0)
    os.pwrite(
        handle, json.dumps({"pid": owner.pid, "start_ticks": owner.start_ticks, "boot_id": owner.boot_id}).encode(), 0
    )
    return handle


def _writer(folder: Path) -> str:
    try:
        return f"pid {int(json.loads((folder / LOCK).read_bytes())['pid'])}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
