"""One file's reader: which one a file needs, when what it holds back is due, and what becomes of one that fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, Protocol

from .events import Event, Exited, Loss, Lost, Place, Source
from .sources import Role
from .tail import Tail
from .text import TextReader
from .trace import TraceReader

QUIET_S: Final = 0.02
"""A text that is as long as before after so long has told its last message: one write made it, or two at once."""

STILL_S: Final = 30.0
"""A trace whose last record is without its end for so long has lost the rest, if nobody tells that its writer ended."""

_END_BYTES: Final = 1 << 16


class Reader(Protocol):
    """What reads the bytes of one file, in order."""

    def feed(self, data: bytes) -> list[Event]:
        """The events of the bytes that follow."""
        ...

    def finish(self) -> list[Event]:
        """Those that were held back, as nothing follows for now."""
        ...


class EndReader:
    """`end.json` of a capture: `{"exit_code": int|null, "signal": str|null}`, written once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._data = b""
        self._told = False

    def feed(self, data: bytes) -> list[Event]:
        """The end, as soon as it is there whole."""
        self._data += data[: max(0, _END_BYTES - len(self._data))]
        try:
            said = json.loads(self._data)
        except (ValueError, RecursionError):
            return []
        return self._end(said)

    def finish(self) -> list[Event]:
        """Lost, if it is no JSON."""
        if self._told or not self._data:
            return []
        self._told = True
        return [Lost(Source(Place(self._path, 0, len(self._data))), Loss.BROKEN, "the end of a capture is no JSON")]

    def _end(self, said: object) -> list[Event]:
        if self._told or not isinstance(said, dict) or not said.keys() & {"exit_code", "signal"}:
            return []
        self._told = True
        code, signal = said.get("exit_code"), said.get("signal")
        code = code if isinstance(code, int) and not isinstance(code, bool) else None
        source = Source(Place(self._path, 0, len(self._data)))
        return [Exited(source, code, signal[:32] if isinstance(signal, str) else "")]


class Stream:
    """The reader of one tail. What it raises ends it, and is said; the other files are read on."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.cause = ""
        """Why this file is not read any further: a fault of ours."""
        self._reader = _reader(tail)
        self._patience_s = STILL_S if tail.sourced.role is Role.TRACE else QUIET_S
        self._owes = False

    @property
    def last_line(self) -> str:
        """The last line that the program itself said."""
        return self._reader.last_line if isinstance(self._reader, TextReader) else ""

    def feed(self, data: bytes) -> list[Event]:
        """The events of the next bytes."""
        self._owes = True
        return self._guarded(lambda: self._reader.feed(data))

    def due(self, now: float) -> bool:
        """Whether nothing came for so long that what is held back should be told."""
        return self._owes and not self.tail.waits and now - self.tail.grown_at >= self._patience_s

    def finish(self) -> list[Event]:
        """What was held back."""
        self._owes = False
        return self._guarded(self._reader.finish)

    def _guarded(self, ask: Callable[[], list[Event]]) -> list[Event]:
        if self.cause:
            return []
        try:
            return ask()
        except Exception as error:  # noqa: BLE001 - said beside the file; the others are read on
            self.cause = f"cannot be read further: {type(error).__name__}: {error}"[:200]
            return []


def _reader(tail: Tail) -> Reader:
    path, source = tail.path, tail.sourced
    if source.role is Role.TRACE:
        return TraceReader(path, source.rank)
    if source.role is Role.END:
        return EndReader(path)
    return TextReader(path, source.pid, source.rank, plain=source.role is Role.DEBUG)
