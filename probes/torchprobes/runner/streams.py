"""What a probe writes, watched as it grows: bytes, lines, and the event that starts its time limit.

Standard library only; runs in the guardian.
"""

from __future__ import annotations

import json
import os
import stat
from typing import Protocol

_CHUNK = 1 << 20
_LONGEST_LINE = 8192


class Log:
    """A growing file of one stream: how many bytes and lines it has."""

    def __init__(self, path: str) -> None:
        self.bytes = 0
        self.lines = 0
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def look(self, max_bytes: int) -> None:
        """Count what is new, without reading further than `max_bytes`: a sparse file may be endless."""
        size = os.fstat(self._fd).st_size
        while self.bytes < min(size, max_bytes + 1):
            chunk = os.pread(self._fd, _CHUNK, self.bytes)
            if not chunk:
                return
            self.bytes += len(chunk)
            self.lines += chunk.count(b"\n")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class EventLog:
    """All event files of a probe together."""

    def __init__(self, folder: str) -> None:
        self.bytes = 0
        self.lines = 0
        self.started = False
        self._folder = folder
        self._offsets: dict[str, int] = {}
        self._partial: dict[str, bytes] = {}

    def look(self, max_bytes: int) -> None:
        """Count what is new in every event file; only regular files count, links are not followed."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_size > self._offsets.get(entry.name, 0):
                    self._read(entry.name, entry.path, max_bytes)

    def _read(self, name: str, path: str, max_bytes: int) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            while self.bytes <= max_bytes:
                offset = self._offsets.get(name, 0)
                chunk = os.pread(fd, _CHUNK, offset)
                if not chunk:
                    return
                self._offsets[name] = offset + len(chunk)
                self.bytes += len(chunk)
                self.lines += chunk.count(b"\n")
                if not self.started:
                    self._find_start(name, chunk)
        finally:
            os.close(fd)

    def _find_start(self, name: str, chunk: bytes) -> None:
        *lines, rest = (self._partial.get(name, b"") + chunk).split(b"\n")
        self._partial[name] = rest[-_LONGEST_LINE:]
        self.started = any(map(_is_start, lines))


def _is_start(line: bytes) -> bool:
    if b'"start"' not in line:
        return False
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("ev") == "start"


class Watched(Protocol):
    """What a guardian watches of what a process writes."""

    @property
    def started(self) -> bool:
        """Whether the payload said that it has begun."""
        ...

    def look(self) -> None:
        """Count what was written since the last look."""

    def close(self) -> None:
        """Let go of the files."""

    def over(self) -> str:
        """Which stream passed its limit and by what, "" if none did."""
        ...


class Streams:
    """stdout, stderr and the events of one probe, and the limit on each."""

    def __init__(self, folder: str, max_bytes: int, max_lines: int) -> None:
        self.max_bytes, self.max_lines = max_bytes, max_lines
        self.events = EventLog(os.path.join(folder, "events"))
        self._named: dict[str, Log | EventLog] = {
            "stdout": Log(os.path.join(folder, "stdout.log")),
            "stderr": Log(os.path.join(folder, "stderr.log")),
            "events": self.events,
        }

    @property
    def started(self) -> bool:
        """Whether an event says that the payload has begun."""
        return self.events.started

    def look(self) -> None:
        """Count what was written since the last look; what cannot be read now is read the next time."""
        for stream in self._named.values():
            try:
                stream.look(self.max_bytes)
            except OSError:
                continue

    def close(self) -> None:
        """Let go of the files."""
        for stream in self._named.values():
            if isinstance(stream, Log):
                stream.close()

    def over(self) -> str:
        """Which stream passed its limit and by what, "" if none did."""
        for name, stream in self._named.items():
            if stream.bytes > self.max_bytes:
                return f"{name} passed {self.max_bytes / (1 << 20):,.4g} MiB"
            if stream.lines > self.max_lines:
                return f"{name} passed {self.max_lines:,} lines"
        return ""
