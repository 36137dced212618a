"""A record: one message of torch, its lines together again; and what is remembered of the process that says it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from ..events import CudagraphSkip, Event, GraphBroke, Place, Recompiled, Source
from .prefix import Head

LINES = 3_000
"""Lines of one record that are kept; a traceback of torch's has up to a few hundred."""

WIDE = 1 << 14
"""Characters of a line that are kept."""

SIZE = 1 << 20
"""Characters of a record that are kept."""

REMEMBERED = 256
"""Compiles of a process that are remembered, to join what several records say of one."""
NUMBERED = 4_096


@dataclass(slots=True)
class Record:
    """One message. `lines` are without their prefix."""

    head: Head
    at: int
    """Its first byte in the file."""
    lines: list[str]
    end: int = 0
    size: int = 0
    told: bool = False
    """Its events were told already, because the file seemed to be at its end."""
    read: int = 0
    """Lines of it when it was last read, without anything to tell."""

    def add(self, line: str, end: int) -> None:
        """One more line of it."""
        self.end = end
        if len(self.lines) < LINES and self.size < SIZE:
            self.size += len(line)
            self.lines.append(line[:WIDE])

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)


@dataclass(slots=True)
class Compile:
    """What the text has said of one compile so far."""

    function: str = ""
    file: str = ""
    line: int = 0
    begun_s: float | None = None
    told: set[int] = field(default_factory=set)
    """Attempts whose start was told."""
    traced: set[int] = field(default_factory=set)
    """Attempts that said themselves that they trace."""
    graphs: int = 0
    """Graphs told since the last `calling compiler function`."""
    breaks: set[tuple[str, int]] = field(default_factory=set)
    """Where breaks were told that the line of the graph, which follows, would tell again."""
    ops: set[str] = field(default_factory=set)
    """Ops whose fallback was told."""
    backward_s: float | None = None
    """When its backward graph began to be compiled."""
    within_s: float = 0.0
    """Seconds of backward compiling within the compile itself (2.1, 2.2)."""


@dataclass(slots=True)
class Process:
    """One writer of records, and what its later records need of its earlier ones."""

    path: str
    pid: int | None = None
    rank: int | None = None
    compiles: OrderedDict[str, Compile] = field(default_factory=OrderedDict)
    kinds: dict[tuple[str, int], str] = field(default_factory=dict)
    """The kind of the last break at a line: what is told again `(details suppressed)` has none."""
    numbers: dict[str, str] = field(default_factory=dict)
    """The compile of a graph by Inductor's number of it."""
    backward_id: str = ""
    """The compile whose backward graph is being compiled."""
    item: GraphBroke | None = None
    """The warning of a `Tensor.item()`: held back, as the break's own record may follow, and is then the better one."""
    recompiled: Recompiled | None = None
    """2.1 and 2.2 tell a recompile before it has an id: held back until its compile starts, or the first word of it."""
    ids: dict[str, None] = field(default_factory=dict)
    """Compile ids that were met, the newest last."""
    partition: CudagraphSkip | None = None
    """An op outside of the partitions: held back, as the next record may say where it comes from."""

    def source(self, record: Record, compile_id: str = "") -> Source:
        """Who says `record`."""
        head = record.head
        return Source(
            place=Place(self.path, record.at, max(0, record.end - record.at)),
            pid=self.pid if head.pid is None else head.pid,
            rank=self.rank if head.rank is None else head.rank,
            compile_id=head.compile_id or compile_id,
            attempt=head.attempt,
            at_s=head.at_s,
        )

    def compile(self, compile_id: str) -> Compile:
        """What is known of a compile."""
        found = self.compiles.get(compile_id)
        if found is None:
            found = self.compiles[compile_id] = Compile()
            if len(self.compiles) > REMEMBERED:
                self.compiles.popitem(last=False)
        return found

    def number(self, number: str, compile_id: str) -> None:
        """Inductor's number of a compile's graph."""
        if compile_id and (number in self.numbers or len(self.numbers) < NUMBERED):
            self.numbers[number] = compile_id

    def renewed(self, compile_id: str) -> Compile:
        """The same id, for another compile."""
        self.compiles.pop(compile_id, None)
        return self.compile(compile_id)

    def id_of(self, function: str, file: str, line: int) -> str:
        """The newest compile of a function; "" where none is known."""
        at = (function, file, line)
        return next(
            (name for name, one in reversed(self.compiles.items()) if (one.function, one.file, one.line) == at), ""
        )

    def recompiled_by(self, compile_id: str) -> list[Event]:
        """The recompile that was held back, once a compile is met for the first time that is not its frame's first."""
        if not compile_id or compile_id in self.ids:
            return []
        self.ids[compile_id] = None
        if len(self.ids) > NUMBERED:
            del self.ids[next(iter(self.ids))]
        if self.recompiled is None or compile_id.endswith("/0"):
            return []
        held, self.recompiled = self.recompiled, None
        return [replace(held, source=replace(held.source, compile_id=compile_id))]

    def held_back(self) -> list[Event]:
        """What waits for a later record, as nothing follows for now."""
        held: list[Event] = [event for event in (self.item, self.recompiled, self.partition) if event]
        self.item = self.recompiled = self.partition = None
        return held

    def partition_held(self) -> list[Event]:
        """The op that was held back."""
        held, self.partition = self.partition, None
        return [held] if held else []
