"""The compiles of one process: what became of each frame, and the sums over all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ..events import CompileEnded, CompileFailed, CompileStarted, GraphMade, Line, Place, Source
from .names import is_foreign

_OWN_RESTART: Final = re.compile(r"RestartAnalysis|RestartCompilation|TensorifyScalar|CompileCollective|SpeculationLog")
"""Restarts that Dynamo makes for itself."""

MOST_RECORDS: Final = 200_000
"""Compiles that are kept of one process; those beyond are counted."""

MOST_PHASES: Final = 64
"""Of one compile; each recording of CUDA graphs at run time tells one more."""

LIMIT_TYPES: Final = ("RecompileLimitExceeded", "CacheLimitExceeded", "FailOnRecompileLimitHit")
LIMIT_WORDS: Final = ("recompile limit exceeded", "cache_size_limit reached", "recompile_limit reached")
"""How the metrics of an attempt say that the limit ended it: 2.13 by its reason, 2.3 to 2.12 by type and reason."""


@dataclass(slots=True)
class Record:
    """One compile: a frame, its number, and which of that name in this process (`torch._dynamo.reset` starts over)."""

    compile_id: str
    epoch: int = 0
    traced: bool = False
    place: Place | None = None
    started_s: float | None = None
    function: str = ""
    """As Dynamo names the frame."""
    file: str = ""
    line: int = 0
    entered: Line | None = None
    """The user's line that the frame was entered with."""
    attempt: int = 0
    graphs: dict[int, int] = field(default_factory=dict)
    """Graphs with an op, by attempt."""
    ops: int | None = None
    ended: bool = False
    passed: bool = False
    """Whether another frame began, in a text that told no end of this one."""
    limit: bool = False
    """Whether the recompile limit ended it: nothing was compiled."""
    fail_type: str = ""
    fail_reason: str = ""
    fail_at: Line | None = None
    failed: CompileFailed | None = None
    most: int | None = None
    """How often a function may be compiled, as torch is set."""
    suppresses: bool | None = None
    """Whether torch was set to suppress errors."""
    begun_then: int = -1
    """How many records there were when it failed."""
    forward_s: float | None = None
    backward_s: float | None = None
    phases: tuple[tuple[str, float], ...] = ()
    caches: list[str] = field(default_factory=list)
    frame: str = ""
    """The code object: what compile ids have before their last number."""
    number: int = -1
    """Which compile of its frame, from 0; -1 where the id does not say."""

    def __post_init__(self) -> None:
        self.frame, _, tail = self.compile_id.rpartition("/")
        self.number = int(tail) if tail.isdecimal() and len(tail) < 10 else -1

    def name(self, function: str, file: str, line: int) -> None:
        """Whose frame it is; what is known stays, metrics know the line of its definition."""
        self.function, self.file = self.function or function, self.file or file
        self.line = line or self.line

    @property
    def graph_count(self) -> int:
        """Graphs with at least one op, of the last attempt that made any; those of earlier attempts were dropped."""
        if self.ops == 0:
            return 0
        made = self.graphs[max(self.graphs)] if self.graphs else 0
        return max(made, 1 if self.ops else 0)

    @property
    def failing(self) -> bool:
        """Whether it raised for another reason than the limit."""
        return bool(self.fail_type or self.failed) and not self.limit

    @property
    def is_done(self) -> bool:
        """Whether Dynamo took the frame and finished without failing: what `counters["frames"]["ok"]` counts.

        Those count too that it looked at and left alone (`is_left`), as torch counts them. Frames of fullgraph=True,
        which torch's counter leaves out, are counted.
        """
        return (self.ended or self.passed) and not self.fail_type and self.failed is None and not self.limit

    @property
    def is_left(self) -> bool:
        """Whether there was nothing to compile in it: metrics then have no number of ops."""
        return self.is_done and (self.passed or (self.traced and self.ops is None))


class Compiles:
    """The records of one process as one tier of sources tells them, in the order in which they began."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failing: list[Record] = []
        self._by_id: dict[str, Record] = {}
        self.graphs = 0
        self.frames = 0
        self.forward_s: float | None = None
        self.backward_s: float | None = None
        self.begun = False
        """Whether any start of a compile was told."""
        self.restarted = False
        """Whether Dynamo began anew for a reason in the program: a graph break, mostly."""

    def at(self, compile_id: str) -> Record | None:
        """The newest record of this id."""
        return self._by_id.get(compile_id)

    def of(self, source: Source, begins: bool = False) -> Record:
        """The record that an event belongs to; `begins`: the event stands before anything else of a compile."""
        known = self._by_id.get(source.compile_id)
        if known is None or (begins and known.ended and source.attempt == 0):
            known = Record(source.compile_id, known.epoch + 1 if known else 0, source.trace, source.place, source.at_s)
            if len(self.records) < MOST_RECORDS:
                self._by_id[source.compile_id] = known
                self.records.append(known)
        known.attempt = max(known.attempt, source.attempt)
        return known

    def started(self, event: CompileStarted) -> None:
        """Dynamo begins, or begins again."""
        before = self.records[-1] if self.records else None
        record = self.of(event.source, begins=True)
        self.begun = True
        if before is not None and before is not record and not record.traced:
            self._pass(before)
        if not event.stack:
            return
        frame = event.stack[-1]
        record.name(frame.function, frame.file, 0)
        record.entered = next((line for line in reversed(event.stack[:-1]) if not is_foreign(line.file)), frame)

    def _pass(self, record: Record) -> None:
        """Text tells no end of a frame that was left alone: it made no graph, and the next one begins."""
        with _Counted(self, record):
            record.passed = not record.ended and not record.graph_count

    def newest_of(self, function: str) -> Record | None:
        """The last record, if it is of this function: what a message without a compile id speaks of."""
        last = self.records[-1] if self.records else None
        return last if last is not None and last.function == function else None

    @property
    def unfinished(self) -> Record | None:
        """The last record, if nothing tells what became of it."""
        last = self.records[-1] if self.records else None
        return last if last is not None and not last.ended and not last.failing else None

    def graph(self, event: GraphMade) -> None:
        """A graph of the attempt."""
        record = self.of(event.source)
        with _Counted(self, record):
            has_ops = event.ops is None or event.ops > 0
            record.graphs[event.source.attempt] = record.graphs.get(event.source.attempt, 0) + has_ops

    def end(self, event: CompileEnded) -> None:
        """The metrics of it. Those of the attempt at the limit are told as a backward's by 2.3 to 2.6."""
        record = self.of(event.source)
        if event.runtime:
            record.phases = (*record.phases, *event.phases)[:MOST_PHASES]
            return
        if event.backward and not event.fail_type:
            record.backward_s = _sum(record.backward_s, event.seconds)
            self.backward_s = _sum(self.backward_s, event.seconds)
            return
        with _Counted(self, record):
            record.ended = True
            record.ops = event.ops if event.ops is not None else record.ops
            record.name(event.function, event.file, event.line)
            record.fail_type, record.fail_reason, record.fail_at = event.fail_type, event.fail_reason, event.fail_at
            record.suppresses, record.most = event.suppress_errors, event.recompile_limit
            self.restarted = self.restarted or any(not _OWN_RESTART.search(why) for why in event.restart_reasons)
            record.limit = record.limit or is_limit(event.fail_type, event.fail_reason)
            record.phases = event.phases or record.phases
        record.forward_s = _sum(record.forward_s, event.seconds)
        self.forward_s = _sum(self.forward_s, event.seconds)
        self._note_failure(record)

    def fail(self, event: CompileFailed) -> None:
        """It raised, as the trace says before the metrics do."""
        self.fail_record(self.of(event.source), event)

    def fail_record(self, record: Record, event: CompileFailed) -> None:
        """As `fail`, of a record that is known."""
        with _Counted(self, record):
            record.failed = event
        self._note_failure(record)

    def _note_failure(self, record: Record) -> None:
        if record.failing and record.begun_then < 0:
            record.begun_then = len(self.records)
            self.failing.append(record)


class _Counted:
    """Keeps the sums right while a record changes."""

    def __init__(self, compiles: Compiles, record: Record) -> None:
        self._compiles, self._record = compiles, record

    def __enter__(self) -> None:
        self._graphs, self._frames = self._record.graph_count, self._record.is_done

    def __exit__(self, *_: object) -> None:
        self._compiles.graphs += self._record.graph_count - self._graphs
        self._compiles.frames += self._record.is_done - self._frames


def is_limit(fail_type: str, reason: str) -> bool:
    """Whether metrics say that the recompile limit, and no error, kept the frame from being compiled."""
    return fail_type.rpartition(".")[2] in LIMIT_TYPES or any(words in reason[:400].lower() for words in LIMIT_WORDS)


def _sum(so_far: float | None, more: float | None) -> float | None:
    return so_far if more is None else (so_far or 0.0) + more
