"""A scan of one file in a child that can be killed: which of its lines are wanted, told as they are found."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from .bits import Bits

CHILD = str(Path(__file__).with_name("scan_child.py"))
HEAD = struct.Struct("<cQQQI")

KEPT = 200_000
"""Hits whose place in the line is kept; the lines are known of all."""

MOST_BYTES = 64 << 20
"""A message that says to be longer is none of our child's."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of the held file `fd` is scanned: all of it as it grows, or `window`: (offset, bytes), tabs taken off."""

    fd: int
    window: tuple[int, int] | None = None
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


class Scan:
    """One running scan; `view` and `bits` may be asked from any thread."""

    def __init__(self, want: dict[str, Any], part: Part, spans: int = 0) -> None:
        """Start it on the descriptor of `part`, which is taken over and closed."""
        self.view = ScanView()
        self.bits = Bits()
        self.spans = array("I")
        """Start and end of the first hits in their lines."""
        self._stopped = False
        self._child = self._start(want, part, spans)

    def _start(self, want: dict[str, Any], part: Part, spans: int) -> subprocess.Popen[bytes] | None:
        offset, size = part.window or (0, 0)
        stop = offset + size if part.window else None
        counts = _held(part.ends)
        place = {"fd": part.fd, "start": offset, "stop": stop, "tabs": part.window is not None, "spans": spans}
        place["counts"] = counts
        held = (part.fd, counts) if counts >= 0 else (part.fd,)
        argv = [sys.executable, "-I", "-S", "-B", CHILD, json.dumps({**place, **want})]
        pipe = subprocess.PIPE
        try:
            child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/", pass_fds=held)
        except (OSError, ValueError) as error:
            self.view = ScanView(cause=f"it could not start: {error}")
            return None
        finally:
            for fd in held:
                os.close(fd)
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
        code = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        if not self._stopped and not self.view.cause:
            self.view = replace(self.view, cause=f"it ended early ({code})")

    def _take(self, pipe: IO[bytes]) -> bool:
        head = pipe.read(HEAD.size)
        if len(head) < HEAD.size:
            return False
        kind, a, b, c, length = HEAD.unpack(head)
        if length > MOST_BYTES or len(data := pipe.read(length)) < length:
            return False
        if kind == b"b":
            self.bits.put(c, data, b)
            ended = self.view.at_end and a == self.view.scanned_bytes
            self.view = ScanView(b, self.bits.ones, a, ended)
        elif kind == b"s":
            self.spans[2 * b :] = array("I", data)
        elif kind == b"e":
            self.view = replace(self.view, at_end=True)
        else:
            self.view = replace(self.view, cause=data.decode(errors="replace").strip() or "it ended early")
        return bool(kind != b"x")


def _held(data: bytes) -> int:
    """A descriptor from which `data` can be read, -1 where the system has none without a file."""
    if not data or not hasattr(os, "memfd_create"):
        return -1
    fd = os.memfd_create("counts")
    os.write(fd, data)
    return fd
