"""What a trace has said so far that its later records refer to, and one record in the light of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from ..events import Line, Place, Source
from .clock import Clock
from .cutter import Record
from .envelope import Decoder, Envelope, Whole, clean
from .recent import Recent

MAX_STRINGS = 1 << 16
MAX_STRING_BYTES = 8 << 20
MAX_STRING = 4096
MAX_ENVELOPE = 1024
MAX_ENVELOPES = 1024
MAX_STACK = 256
"""More frames of a stack than a reader could want; the innermost are kept."""


class Frame(msgspec.Struct):
    """A frame of a stack as the trace has it (`from_traceback` in torch/_logging/structured.py)."""

    line: Whole | None = None
    name: str | None = None
    filename: Whole | None = None
    loc: str | None = None


class Context:
    """The state of one trace: interned strings, the functions of the frames, the graphs, the clock."""

    def __init__(self, path: str, rank: int | None) -> None:
        self.path = path
        self.rank = rank
        self.clock = Clock()
        self.torch = ""
        """Its version, once it is told."""
        self.functions = Recent[Line]()
        """The function of a frame by its id: a compile that hits the limit says no name."""
        self.reasons = Recent[str]()
        """The first reason of a recompile by its compile id."""
        self.breaks = Recent[frozenset[str]]()
        """The kinds of the graph breaks of a compile, by its id."""
        self.failures = Recent[bool]()
        """Whether a compile's traceback was told, by its id."""
        self.graphs = Recent[str]()
        """The graph whose code was written last by its compile id."""
        self.kernels = Recent[dict[str, tuple[str, ...]]](256)
        """The nodes of the kernels of that graph, by its compile id."""
        self.envelopes: dict[bytes, Envelope] = {}
        self._strings: dict[int, str] = {}
        self._string_bytes = 0

    def intern(self, text: str, number: int) -> None:
        """Torch names a string by a number from here on. As many as are told apart, within bounds."""
        text = clean(text, MAX_STRING)
        self._string_bytes += len(text)
        if len(self._strings) < MAX_STRINGS and self._string_bytes <= MAX_STRING_BYTES:
            self._strings[number] = text

    def lines(self, stack: list[Frame]) -> tuple[Line, ...]:
        """The stack with its files' names; a name that the trace does not tell is ""."""
        return tuple(
            Line(self._file(f.filename), f.line or 0, clean(f.name, MAX_STRING), clean(f.loc, MAX_STRING))
            for f in stack[-MAX_STACK:]
        )

    def _file(self, number: int | None) -> str:
        return self._strings.get(-1 if number is None else number, "")


class Entry:
    """One record of a trace, on its way to events."""

    __slots__ = ("_source", "at_s", "body", "context", "name", "pid", "record")

    def __init__(
        self, record: Record, name: str, body: bytes, at_s: float | None, pid: int | None, context: Context
    ) -> None:
        self.record = record
        self.name = name
        """`compilation_metrics`; of an artifact its own name."""
        self.body = body
        """Its JSON."""
        self.at_s = at_s
        self.pid = pid
        self.context = context
        self._source: Source | None = None

    def decode(self, decoder: Decoder, compile_id: str | None = None) -> Any:
        """Its JSON, of a type that is an `Envelope`; `compile_id` where the envelope says none.

        Raises:
            Broken: it is not what the type says.
        """
        envelope = decoder.decode(self.body)
        self._said(envelope, compile_id)
        return envelope

    def plain(self, compile_id: str | None = None) -> Envelope:
        """Its envelope alone. Most records of a compile have the same, up to the sum of their payload.

        Raises:
            Broken: it is none.
        """
        key = self.body[: self.body.rfind(b', "has_payload": "')]
        envelope = self.context.envelopes.get(key)
        if envelope is None:
            envelope = PLAIN.decode(self.body)
            if len(key) <= MAX_ENVELOPE:
                self.context.envelopes[key] = envelope
                if len(self.context.envelopes) > MAX_ENVELOPES:
                    self.context.envelopes.clear()
        self._said(envelope, compile_id)
        return envelope

    def _said(self, envelope: Envelope, compile_id: str | None) -> None:
        record = self.record
        self._source = Source(
            Place(self.context.path, record.offset, record.size),
            self.pid,
            self.context.rank if envelope.rank is None else envelope.rank,
            envelope.compile_id or compile_id or "",
            envelope.attempt or 0,
            self.at_s,
            True,
        )

    @property
    def source(self) -> Source:
        """Who said it."""
        if self._source is None:
            self.plain()
            assert self._source is not None
        return self._source

    @property
    def payload_source(self) -> Source:
        """Who said it; the place is its payload's."""
        place = Place(self.context.path, self.record.payload_offset, self.record.payload_size)
        return replace(self.source, place=place)

    def text(self) -> str:
        """Its payload without the tabs."""
        return self.record.payload().decode("utf-8", "replace")[1:].replace("\n\t", "\n").removesuffix("\n")


PLAIN = Decoder.of(Envelope)
