"""The stdout of a launcher prefix taken apart: marked lines are ours, the rest is the payload's own output.

Standard library only; runs in the guardian. `payloads/remote.py` writes the other end. A record is one line:
the marker, a letter, a blank, its body. E `<file> <event line>` · A `<artifact path> <base64>` · C the same of what
compiling left · P `{"pid"}` the main process over there · X `{"code","signal","left_behind"}` how it ended.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import os
import re
from collections.abc import Callable
from typing import Any

_FILE = re.compile(rb"[\w.-]{1,120}")
_ARTIFACT = re.compile(rb"(?:[\w-][\w.-]{0,120}/){0,6}[\w-][\w.-]{0,120}")
_LONGEST_RECORD = 1 << 16


class Wire:
    """Feed it what the launcher prints; it writes stdout.log, events/ and artifacts/ below `folder`."""

    def __init__(self, marker: bytes, folder: str, stdout: int) -> None:
        self.exit: dict[str, Any] | None = None
        self.main: int | None = None
        self.broken = 0
        self._marker, self._folder, self._stdout = marker, folder, stdout
        self._held = b""
        self._handlers: dict[bytes, Callable[[bytes], None]] = {
            b"E": self._event,
            b"A": functools.partial(self._file, "artifacts"),
            b"C": functools.partial(self._file, "compile"),
            b"P": self._process,
            b"X": self._exit,
        }

    def feed(self, chunk: bytes) -> None:
        """Take apart what arrived; a marker or record that is cut in two waits for the rest."""
        data = self._held + chunk
        while True:
            plain, found, rest = data.partition(self._marker)
            if not found:
                keep = _tail_of(self._marker, plain)
                self._print(plain[: len(plain) - keep])
                self._held = plain[len(plain) - keep :]
                return
            self._print(plain)
            record, newline, after = rest.partition(b"\n")
            if not newline and len(rest) < _LONGEST_RECORD:
                self._held = found + rest
                return
            self._take(record.rstrip(b"\r"))
            data = after

    def close(self) -> None:
        """What is held at the end of the stream is output like any other."""
        self._print(self._held)
        self._held = b""

    def _print(self, data: bytes) -> None:
        _write(self._stdout, data)

    def _take(self, record: bytes) -> None:
        kind, _, body = record.partition(b" ")
        handler = self._handlers.get(kind)
        try:
            if handler is None:
                raise ValueError(kind)
            handler(body)
        except (ValueError, OSError, RecursionError, AttributeError, TypeError):
            self.broken += 1

    def _event(self, body: bytes) -> None:
        name, _, line = body.partition(b" ")
        if not _FILE.fullmatch(name):
            raise ValueError(name)
        _append(os.path.join(self._folder, "events", name.decode()), line + b"\n")

    def _file(self, below: str, body: bytes) -> None:
        path, _, data = body.partition(b" ")
        if not _ARTIFACT.fullmatch(path):
            raise ValueError(path)
        target = os.path.join(self._folder, below, path.decode())
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            _append(target, base64.b64decode(data, validate=True))
        except binascii.Error as error:
            raise ValueError(path) from error

    def _process(self, body: bytes) -> None:
        self.main = int(json.loads(body)["pid"])

    def _exit(self, body: bytes) -> None:
        told = json.loads(body)
        self.exit = {"code": told.get("code"), "signal": told.get("signal"), "left_behind": told.get("left_behind", [])}


def _tail_of(marker: bytes, data: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of `marker`."""
    return next((n for n in range(min(len(marker) - 1, len(data)), 0, -1) if data.endswith(marker[:n])), 0)


def _append(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _write(fd, data)
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except OSError:  # a full disk costs the rest of this output, never the guardian
            return
