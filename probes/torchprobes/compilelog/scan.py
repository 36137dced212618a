"""A scan of files in a child that can be killed: which of their lines are wanted, told as they are found."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from .bits import Bits
from .spawn import close_all, let_go, spawn

HEAD = struct.Struct("<cHQQQI")

KEPT = 200_000
"""Hits whose place in the line is kept; the lines are known of all."""

MOST_BYTES = 64 << 20
"""A message that says to be longer is none of our child's."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of a held file is scanned. The descriptor is the scan's, which closes it."""

    fd: int
    start: int = 0
    stop: int | None = None
    """None: all that comes, too."""
    tabs: bool = False
    """Whether lines lose their first tab."""
    ends: bytes = b""
    """Newlines up to the end of each block, as `LineIndex` counted them: a search need not count them again."""


@dataclass(frozen=True, slots=True)
class ScanView:
    """A scan at one instant."""

    lines: int = 0
    """Lines judged."""
    ones: int = 0
    """Those that are wanted."""
    scanned_bytes: int = 0
    at_end: bool = False
    """Whether all that is there was looked at; more may come."""
    cause: str = ""
    """Why it ended early: one line; "" if it did not."""


class Track:
    """What a scan found in one of its files."""

    def __init__(self) -> None:
        self.bits = Bits()
        self.spans = array("I")
        """Start and end of the first hits in their lines."""
        self.scanned_bytes = 0


class Scan:
    """One running scan; `view` and `tracks` may be asked from any thread."""

    def __init__(self, want: dict[str, Any], parts: Sequence[Part], spans: int = 0) -> None:
        """Start it on `parts`; the places of the first `spans` hits in their lines are told, too."""
        self.view = ScanView()
        self.tracks = tuple(Track() for _ in parts)
        self._stopped = False
        self._child = self._start(want, parts, spans // max(1, len(parts)))

    def _start(self, want: dict[str, Any], parts: Sequence[Part], spans: int) -> subprocess.Popen[bytes] | None:
        counts = [_held(part.ends) for part in parts]
        asked = [
            {"fd": part.fd, "start": part.start, "stop": part.stop, "counts": fd}
            for part, fd in zip(parts, counts, strict=True)
        ]
        request = {"parts": asked, "tabs": any(part.tabs for part in parts), "spans": spans, **want}
        held = [part.fd for part in parts] + [fd for fd in counts if fd >= 0]
        try:
            child = spawn("scan_child.py", json.dumps(request), held=held)
        except (OSError, ValueError) as error:
            self.view = ScanView(cause=f"it could not start: {error}")
            return None
        finally:
            close_all(held)
        threading.Thread(target=self._listen, args=(child,), name="scan", daemon=True).start()
        return child

    def stop(self) -> None:
        """End it; does not wait."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()

    # --- the thread that listens ------------------------------------------------------------------------------

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        while self._take(child.stdout):
            pass
        child.kill()
        code = let_go(child)
        if not self._stopped and not self.view.cause:
            self.view = replace(self.view, cause=f"it ended early ({code})")

    def _take(self, pipe: IO[bytes]) -> bool:
        head = pipe.read(HEAD.size)
        if len(head) < HEAD.size:
            return False
        kind, number, a, b, c, length = HEAD.unpack(head)
        if length > MOST_BYTES or number >= len(self.tracks) or len(data := pipe.read(length)) < length:
            return False
        track = self.tracks[number]
        if kind == b"b":
            ended = self.view.at_end and a == track.scanned_bytes
            track.bits.put(c, data, b)
            track.scanned_bytes = a
            self.view = self._summed(ended)
        elif kind == b"s":
            track.spans[2 * b :] = array("I", data)
        elif kind == b"e":
            self.view = replace(self.view, at_end=True)
        else:
            self.view = replace(self.view, cause=data.decode(errors="replace").strip() or "it ended early")
        return bool(kind != b"x")

    def _summed(self, at_end: bool) -> ScanView:
        lines = sum(track.bits.lines for track in self.tracks)
        ones = sum(track.bits.ones for track in self.tracks)
        return ScanView(lines, ones, sum(track.scanned_bytes for track in self.tracks), at_end)


def _held(data: bytes) -> int:
    """A descriptor from which `data` can be read, -1 where the system has none without a file."""
    if not data or not hasattr(os, "memfd_create"):
        return -1
    fd = os.memfd_create("counts")
    os.write(fd, data)
    return fd
