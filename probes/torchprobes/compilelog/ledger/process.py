"""One process: everything that the files say of it, by subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from ..events import (
    Autotuned,
    CacheAsked,
    CompileEnded,
    CompileFailed,
    CompileStarted,
    CudagraphSkip,
    Event,
    Exited,
    Fallback,
    Folder,
    Fused,
    GraphBroke,
    GraphMade,
    LimitHit,
    PhaseBegan,
    PhaseEnded,
    Recompiled,
    Said,
    TorchSeen,
    Uncaught,
)
from .breaks import Breaks
from .cause import Cause, Seen, in_view_of, true_cause
from .compiles import Compiles
from .guards import Guard
from .phases import Phases

TRACE, TEXT, LOG = 0, 1, 2
"""Tiers of sources: the structured trace, text such as stderr, a debug log."""

MOST: Final = 100_000
"""Events of one subject that are kept of one process; what is beyond is counted in `left_out`."""

E = TypeVar("E", bound=Event)


RecordKey = tuple[str, int]
"""A compile id, and which of that name."""


@dataclass(slots=True)
class Again:
    """A recompile, with its cause."""

    event: Recompiled
    cause: Cause | None
    seen: Seen

    @property
    def guard(self) -> Guard | None:
        """The guard that was the cause, in the light of all that has failed for this function."""
        return in_view_of(self.cause.guard, self.seen) if self.cause else None

    def actual(self, compile_id: str) -> str:
        """The value that came: as a guard told it, else as a later recompile tells what this one was compiled for."""
        if self.cause is None:
            return ""
        guard = self.cause.guard
        return self.cause.actual or self.seen.made_for.get((compile_id, guard.kind, guard.source, guard.at), "")


@dataclass(slots=True)
class Kept:
    """Events of a subject by what makes them the same; the trace's word stays, text adds."""

    by_key: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    left_out: int = 0

    def add(self, key: tuple[Any, ...], event: Event) -> bool:
        """Keep it if it is new; whether it is."""
        known = self.by_key.get(key)
        if known is None and len(self.by_key) >= MOST:
            self.left_out += 1
            return False
        if known is None or (event.source.trace and not known.source.trace):
            self.by_key.pop(key, None)  # the trace's order holds, whichever file is read first
            self.by_key[key] = event
        return known is None


class Process:
    """One process, or a file that does not say whose it is."""

    def __init__(self, pid: int | None, rank: int | None, path: str) -> None:
        self.pid, self.rank, self.path = pid, rank, path
        self.torch = ""
        self.last_s: float | None = None
        self.books = (Compiles(), Compiles())
        """Of the trace, and of the text."""
        self.recompiled: tuple[dict[RecordKey, Again], dict[RecordKey, Again]] = ({}, {})
        self.breaks = Breaks()
        self.phases = Phases()
        self.unnamed: list[Recompiled] = []
        """Recompiles that no compile id is known of."""
        self.limits, self.failures, self.fallbacks = Kept(), Kept(), Kept()
        self.skips, self.caches, self.tuned, self.kernels, self.said = Kept(), Kept(), Kept(), Kept(), Kept()
        self.skip_counts: dict[tuple[Any, ...], int] = {}
        self.uncaught: dict[tuple[str, int], Uncaught] = {}
        self.exited: Exited | None = None
        self.folders: dict[str, str] = {}
        """Compile id -> the graph whose folder in the debug tree was named last."""
        self.tiers: set[int] = set()
        self._seen: dict[tuple[int, str], Seen] = {}

    @property
    def traced(self) -> bool:
        """Whether it wrote a structured trace."""
        return TRACE in self.tiers

    @property
    def is_told(self) -> bool:
        """Whether anything of a compile was told: a launcher that only writes log lines compiles nothing."""
        subjects = (self.limits, self.failures, self.fallbacks, self.skips, self.caches, self.tuned, self.kernels)
        told = (
            bool(self.folders or self.unnamed)
            or self.breaks.told
            or any(kept.by_key for kept in subjects)
            or bool(self.phases.names)
        )
        return told or any(book.records for book in self.books)

    def take(self, event: Event, tier: int) -> None:
        """One more event of this process."""
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return
        self.tiers.add(tier)
        if self.exited is not None and tier == TRACE and self.exited.exit_code is None and not self.exited.signal:
            self.exited = None  # only its pid was missing, and it goes on: another host's, or a copy that grows
        if event.source.at_s is not None:
            self.last_s = max(self.last_s or 0.0, event.source.at_s)
        handler(self, event, tier)

    def started(self, event: CompileStarted, tier: int) -> None:
        """Dynamo begins a frame."""
        if event.source.compile_id and tier != LOG:
            self.books[tier].started(event)

    def graph(self, event: GraphMade, tier: int) -> None:
        """A graph."""
        if event.source.compile_id and tier != LOG:
            self.books[tier].graph(event)

    def ended(self, event: CompileEnded, tier: int) -> None:
        """Metrics."""
        if event.source.compile_id and tier != LOG:
            self.books[tier].end(event)

    def broke(self, event: GraphBroke, tier: int) -> None:
        """A graph break."""
        record = None if tier == LOG else self.books[tier].at(event.source.compile_id)
        self.breaks.take(event, tier, record.epoch if record else 0)

    def recompiled_(self, event: Recompiled, tier: int) -> None:
        """A recompile and its failed guards."""
        if tier == LOG or not event.source.compile_id:
            self.unnamed.append(event)
            del self.unnamed[:-1000]
            return
        record = self.books[tier].of(event.source, begins=True)
        record.name(event.function, event.file, event.line)
        seen = self._seen.setdefault((tier, record.frame), Seen())
        key = (record.compile_id, record.epoch)
        if key not in self.recompiled[tier]:
            self.recompiled[tier][key] = Again(event, true_cause(event.failures, seen), seen)

    def limited(self, event: LimitHit, tier: int) -> None:
        """The limit: one a function, whichever sources tell it."""
        record = None if tier == LOG else self.books[tier].at(event.source.compile_id)
        if record is not None:
            record.limit = True
        if event.limit is None and record is not None and record.number > 0 and "accumulated" not in event.limit_name:
            # 2.3 to 2.6 do not say it in the trace; a frame is at its limit when it has so many entries.
            event = replace(event, limit=record.number)
        self.limits.add((event.function, event.line, event.limit_name.startswith("accumulated")), event)

    def failed(self, event: CompileFailed, tier: int) -> None:
        """Compiling raised."""
        if tier == TRACE and event.source.compile_id:
            self.books[tier].fail(event)
            return
        book = self.books[TEXT]
        record = book.at(event.source.compile_id) if event.source.compile_id else book.newest_of(event.function)
        if record is not None:
            book.fail_record(record, event)
        self.failures.add((event.source.compile_id, event.function, event.file, event.line, event.type), event)

    def raised(self, event: Uncaught, tier: int) -> None:
        """A traceback that nothing caught, or one that was caught after all."""
        key = (event.source.place.path, event.source.place.offset)
        if event.withdrawn:
            self.uncaught.pop(key, None)
        elif len(self.uncaught) < MOST:
            self.uncaught[key] = event

    def left(self, event: Exited, tier: int) -> None:
        """How it ended."""
        self.exited = event

    def fell_back(self, event: Fallback, tier: int) -> None:
        """One an op and compile."""
        self.fallbacks.add((event.source.compile_id, event.op), event)

    def skipped(self, event: CudagraphSkip, tier: int) -> None:
        """One a compile and kind; without a compile id, the same words again are one more occurrence of it."""
        at = event.at
        key: tuple[Any, ...] = (event.source.compile_id, event.kind)
        if not event.source.compile_id:
            key = (*key, event.reason, at.file if at else "", at.line if at else 0)
            self.skip_counts[key] = self.skip_counts.get(key, 0) + 1
        self.skips.add(key, event)

    def cached(self, event: CacheAsked, tier: int) -> None:
        """A lookup; text that repeats one of the trace adds nothing."""
        source = event.source
        key = (source.compile_id, source.attempt, event.what, event.state, event.key)
        known = self.caches.by_key.get(key)
        self.caches.add(key, event)
        if source.compile_id and (known is None or known.source.trace < source.trace):
            words = f"{event.what} {event.state}" + (f": {event.reason}" if event.reason else "")
            self.books[TRACE if source.trace else TEXT].of(source).caches.append(words)

    def autotuned(self, event: Autotuned, tier: int) -> None:
        """One an op and its arguments; of one file's the fullest table, of a trace's only the winner is there."""
        key = (event.op, event.arguments)
        known = self.tuned.by_key.get(key)
        if known is None or len(known.choices) < len(event.choices):
            self.tuned.by_key.pop(key, None)
            self.tuned.add(key, event)

    def fused(self, event: Fused, tier: int) -> None:
        """A kernel; what a trace says of it later holds more: its nodes, then the user's lines."""
        key = (event.source.compile_id, event.kernel)
        if not self.kernels.add(key, event) and key in self.kernels.by_key:
            self.kernels.by_key[key] = event

    def warned(self, event: Said, tier: int) -> None:
        """A warning of torch's on speed."""
        self.said.add((event.words,), event)

    def foldered(self, event: Folder, tier: int) -> None:
        """A folder of the debug tree."""
        if event.source.compile_id and len(self.folders) < MOST:
            self.folders[event.source.compile_id] = event.name

    def versioned(self, event: TorchSeen, tier: int) -> None:
        """Its version; the trace says it to the letter, lines only which versions write so."""
        if not self.torch or tier == TRACE:
            self.torch = event.version


_HANDLERS: Final[dict[type[Event], Callable[[Process, Any, int], None]]] = {
    CompileStarted: Process.started,
    GraphMade: Process.graph,
    CompileEnded: Process.ended,
    GraphBroke: Process.broke,
    Recompiled: Process.recompiled_,
    LimitHit: Process.limited,
    CompileFailed: Process.failed,
    Uncaught: Process.raised,
    Exited: Process.left,
    Fallback: Process.fell_back,
    CudagraphSkip: Process.skipped,
    CacheAsked: Process.cached,
    Autotuned: Process.autotuned,
    Fused: Process.fused,
    Said: Process.warned,
    Folder: Process.foldered,
    TorchSeen: Process.versioned,
    PhaseBegan: lambda process, event, tier: process.phases.began(event),
    PhaseEnded: lambda process, event, tier: process.phases.ended(event),
}
