"""The kernel's lines in the system's journal, for those who may not read /dev/kmsg: bounded runs of journalctl.

A run has a deadline and a size; one that passes either is killed and not waited for (the journal may lie on a disk that
gives no answer). What it knew by then counts.
"""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from .lines import matters

COMMAND: Final = ("journalctl", "--dmesg", "--boot", "--output=json", "--no-pager")
MOST_LINES: Final = 20_000
MAX_BYTES: Final = 64 << 20
DEADLINE_S: Final = 20.0
_CHUNK: Final = 1 << 16
_AS_NUMBERS: Final = re.compile(rb'"MESSAGE" ?: ?\[')
"""So the journal gives a line that is not clean UTF-8: as a list of its bytes. Older ones put spaces in between."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the kernel as the journal has it: its bytes, when it came, and the kernel's stamp."""

    raw: bytes
    t_ns: int
    boot_us: int | None


class _Entry(msgspec.Struct):
    """The fields of an entry that are read; all numbers are texts there."""

    message: str | list[int] | None = msgspec.field(name="MESSAGE", default=None)
    realtime: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="0")
    boot: str = msgspec.field(name="_SOURCE_MONOTONIC_TIMESTAMP", default="")
    cursor: str = msgspec.field(name="__CURSOR", default="")


class Journal:
    """The kernel's lines of this boot; each `look` gives those that came since the last one."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self.entries = 0
        """How many lines it has shown, whether they matter or not."""
        self.complaint = ""
        """The last thing that journalctl said that was not an entry."""
        self._command = command
        self._decoder = msgspec.json.Decoder(_Entry)
        self._cursor = ""
        self._newest_us = -1

    def look(self) -> Iterator[Line]:
        """The lines that matter since the last look; a caller that stops early has seen what it has seen."""
        after = ("--after-cursor", self._cursor) if self._cursor else ("--lines", str(MOST_LINES))
        shown, last = self.entries, b""
        for line in _output((*self._command, *after), DEADLINE_S):
            if not line.startswith(b"{"):
                self.complaint = line.decode(errors="replace").strip()[:200] or self.complaint
                continue
            self.entries, last = self.entries + 1, line
            if (matters(line) or _AS_NUMBERS.search(line)) and (found := self._line(line)) is not None:
                yield found
        if last and (entry := self._decoded(last)) is not None:
            self._cursor = entry.cursor
        elif self.entries == shown and self.complaint:
            self._cursor = ""  # it may have been vacuumed: begin anew; lines seen before are known by their stamp

    def _line(self, data: bytes) -> Line | None:
        entry = self._decoded(data)
        if entry is None or entry.message is None:
            return None
        boot_us = _number(entry.boot)
        if boot_us is not None:
            if boot_us <= self._newest_us:
                return None
            self._newest_us = boot_us
        message = entry.message
        raw = message.encode() if isinstance(message, str) else bytes(value & 0xFF for value in message)
        return Line(raw, (_number(entry.realtime) or 0) * 1000, boot_us)

    def _decoded(self, data: bytes) -> _Entry | None:
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.complaint = "journalctl gave a line that is not JSON"
            return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _output(command: tuple[str, ...], deadline_s: float) -> Iterator[bytes]:
    """The lines that a command prints, until it ends, the deadline passes, or it has printed too much."""
    from ...child import Piped

    try:
        process = Piped(list(command))
    except OSError as error:
        yield f"{command[0]}: {error.strerror}".encode()
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        if process.stdout is not None:
            yield from _lines(process.stdout.fileno(), time.monotonic() + deadline_s)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        process.poll()  # one that cannot die is reaped when the next one starts


def _lines(handle: int, deadline: float) -> Iterator[bytes]:
    rest, size = b"", 0
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    while size < MAX_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            yield b"journalctl gave no answer in time"
            return
        data = os.read(handle, _CHUNK)
        if not data:
            break
        size += len(data)
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
        rest = rest[-MAX_BYTES:]
    if rest:
        yield rest
