"""One explanation of all processes, from what the ledger has gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from ..events import Autotuned, CacheAsked, Exited, Fused, LimitHit, Recompiled
from ..explanation import (
    Break,
    CacheUse,
    Compile,
    Explanation,
    Failure,
    FallbackKernel,
    Kernel,
    Limit,
    Recompile,
    Skip,
    Tuned,
)
from ..explanation import Process as ProcessRow
from . import words
from .breaks import BreakKey, Broken
from .compiles import Record
from .failures import SOFT, Settled, settle
from .functions import functions
from .group import Group
from .guards import read_guard
from .hints import hints
from .names import function_name, is_foreign
from .notes import notes
from .process import TRACE

T = TypeVar("T")

_UNSAID: Final = "the files do not say which guard failed"
PLACES: Final = 8
"""Places of one break in a snapshot."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is known of the files themselves."""

    root: str
    lost: dict[str, int]
    heard: bool
    """stderr was read to its end."""
    last_line: str
    exited: tuple[Exited, ...]


@dataclass(frozen=True, slots=True)
class Tail(Generic[T]):
    """The rows of one table, the oldest first, of which only the last are wanted."""

    count: int
    backwards: Callable[[], Iterator[T]]
    when: Callable[[T], float | None]

    def last(self, most: int | None) -> list[T]:
        """The last rows, the oldest first."""
        return list(islice(self.backwards(), most))[::-1]


@dataclass(slots=True)
class Cut:
    """Keeps lists short, and counts what it cuts."""

    limit: int | None
    left_out: int = field(default=0)

    def first(self, rows: Sequence[T]) -> tuple[T, ...]:
        """The first rows."""
        kept = rows if self.limit is None else rows[: self.limit]
        self.left_out += len(rows) - len(kept)
        return tuple(kept)

    def newest(self, parts: Sequence[Tail[T]]) -> list[T]:
        """The newest rows of several tables, in the order of the tables; no more of each is looked at than is kept."""
        if self.limit is None:
            return [row for part in parts for row in part.last(None)]
        kept = [(number, row) for number, part in enumerate(parts) for row in part.last(self.limit)]
        if len(kept) > self.limit:
            whens = [part.when for part in parts]
            kept = sorted(kept, key=lambda one: whens[one[0]](one[1]) or 0.0)[-self.limit :]
            kept.sort(key=lambda one: one[0])
        self.left_out += sum(part.count for part in parts) - len(kept)
        return [row for _, row in kept]


class _View:
    """What a snapshot is made of."""

    def __init__(self, groups: list[Group], sources: Sources, ended: bool, limit: int | None) -> None:
        self.groups, self.sources, self.ended, self.cut = groups, sources, ended, Cut(limit)
        self.told = [group for group in groups if group.is_told]
        self.compiled = [group for group in self.told if _tells_compiles(group)]
        self.exits = sorted(
            [*sources.exited, *(g.process.exited for g in groups if g.process.exited)],
            key=lambda one: not one.source.place.path.endswith("end.json"),
        )
        """How processes ended, the capture's word first."""
        self.exit_code = next((e.exit_code for e in self.exits if e.exit_code is not None), None)
        self.settled = [self._settled(group) for group in groups]
        self.fatal = next((one.fatal for one in self.settled if one.fatal), None)

    @property
    def is_told_how(self) -> bool:
        """Whether anything says how a process ended; that it is no more is not enough."""
        return any(one.exit_code is not None or one.signal for one in self.exits)

    def _settled(self, group: Group) -> Settled:
        return settle(group, self.ended or group.process.exited is not None, self.sources.heard, self.exit_code)

    def kept(self, subject: str) -> list[tuple[Group, Any]]:
        """Events of a subject with their process."""
        return [(group, event) for group in self.told for _, event in group.kept(subject)]

    def newest(self, subject: str) -> list[tuple[Group, Any]]:
        """The newest events of a subject with their process."""

        def when(row: tuple[Group, Any]) -> float | None:
            at_s: float | None = row[1].source.at_s
            return at_s

        def backwards(group: Group) -> Callable[[], Iterator[tuple[Group, Any]]]:
            return lambda: ((group, event) for event in group.newest(subject))

        return self.cut.newest([Tail(group.count(subject), backwards(group), when) for group in self.told])

    def loud(self, group: Group) -> bool:
        """Limits and suppressed errors are warnings in every version: a stderr that was read tells of them."""
        told = any(any(group.kept(name)) for name in ("limits", "failures"))
        return self.sources.heard or told or _tells_compiles(group)

    def rows(self, knows: Callable[[Group], bool], rows: Callable[[], Sequence[T]]) -> tuple[T, ...] | None:
        """The rows, None if no process could tell of any."""
        return tuple(rows()) if any(knows(group) for group in self.told) else None


def snapshot(groups: list[Group], sources: Sources, ended: bool, limit: int | None) -> Explanation:
    """What all groups say. `ended`: nothing more is expected."""
    view = _View(groups, sources, ended, limit)
    return replace(_listed(view, _summed(view)), left_out=view.cut.left_out)


def _summed(view: _View) -> Explanation:
    """Who, how many, how long, and how it ended."""
    ranks = {group.process.rank for group in view.told if group.process.rank is not None}
    compiled = view.compiled
    return Explanation(
        root=view.sources.root,
        torch=", ".join(sorted({p.torch for group in view.groups for p in group.members if p.torch})),
        first_source="trace" if any(g.traced for g in view.told) else "text" if view.told else "",
        processes=tuple(_process(group) for group in view.told),
        ranks=len(ranks) or None,
        graphs=sum(group.book.graphs for group in compiled) if compiled else None,
        frames_compiled=sum(group.book.frames for group in compiled) if compiled else None,
        fatal=view.fatal,
        fatal_known=bool(view.settled) and all(one.known for one in view.settled),
        forward_s=_total(group.book.forward_s for group in compiled),
        backward_s=_total(group.book.backward_s for group in compiled),
        exit_code=view.exit_code,
        killed_by=next((e.signal for e in view.exits if e.signal), ""),
        warnings=tuple(dict.fromkeys(e.words for g in view.groups for _, e in g.kept("said") if not e.harmless)),
        notes=notes(view.told, view.sources.lost, view.settled, view.ended and not view.is_told_how),
        last_user_line=view.sources.last_line,
    )


def _listed(view: _View, sums: Explanation) -> Explanation:
    """What was found, in lists."""
    told, cut = view.told, view.cut
    suppressed = [failure for one in view.settled for failure in one.suppressed]
    return replace(
        sums,
        breaks=view.rows(_tells_breaks, lambda: cut.first(_breaks(told))),
        recompiles=view.rows(_tells_recompiles, lambda: _recompiles(told, cut)),
        limits=view.rows(view.loud, lambda: cut.first([_limit(event, group) for group, event in view.kept("limits")])),
        suppressed=view.rows(view.loud, lambda: cut.first(suppressed)),
        fallbacks=view.rows(_tells("fallbacks"), lambda: cut.first(_fallbacks(view.kept("fallbacks")))),
        skips=view.rows(lambda group: _tells_skips(group, view.sources.heard), lambda: cut.first(_skips(told))),
        caches=view.rows(_tells("caches"), lambda: [_cache(e, g) for g, e in view.newest("caches")]),
        tuned=tuple(_tuned(event, group) for group, event in view.newest("tuned")),
        kernels=tuple(_kernel(event, group) for group, event in view.newest("kernels")),
        compiles=tuple(_compile(r, g, view.fatal) for g, r in cut.newest([_records(g) for g in view.compiled])),
        functions=cut.first(functions(view.compiled, cut.limit)),
    )


def _tells(subject: str) -> Callable[[Group], bool]:
    """A trace tells of all of them; text of those that it names."""
    return lambda group: group.traced or any(True for _ in group.kept(subject))


def _tells_breaks(group: Group) -> bool:
    """A trace (2.6 and later; before that its restarts) or text: at a level that tells of starts and guards, of all."""
    book = group.book
    return group.traced or bool(group.breaks) or (book.begun and book.frames > 0)


def _tells_compiles(group: Group) -> bool:
    return group.tier == TRACE or group.book.begun


def _tells_recompiles(group: Group) -> bool:
    told = any(again for member in group.members for again in member.recompiled)
    return told or _tells_compiles(group) or bool(group.unnamed)


def _tells_skips(group: Group, heard: bool) -> bool:
    """They are warnings since 2.3; 2.1 and 2.2 tell them with TORCH_LOGS=perf_hints alone."""
    old = any(member.torch.startswith(("2.1", "2.2")) for member in group.members) and not group.traced
    return any(True for _ in group.kept("skips")) or (heard and not old)


def _total(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _process(group: Group) -> ProcessRow:
    phases, record = group.process.phases, group.book.at(group.process.phases.compile_id)
    return ProcessRow(
        key=group.key,
        pid=group.process.pid,
        rank=group.process.rank,
        torch=next((p.torch for p in group.members if p.torch), ""),
        traced=group.traced,
        open_phases=phases.names,
        open_id=phases.compile_id,
        open_at=record.entered if record else None,
        open_since_s=phases.since_s,
        last_s=max((p.last_s for p in group.members if p.last_s is not None), default=None),
    )


def _breaks(told: list[Group]) -> list[Break]:
    found: dict[BreakKey, list[tuple[Group, Broken]]] = {}
    for group in told:
        for key, broken in group.breaks.items():
            found.setdefault(key, []).append((group, broken))
    rows = [_break(key, parts) for key, parts in found.items()]
    return sorted(rows, key=lambda row: (row.foreign, -row.occurrences))


def _break(key: BreakKey, parts: list[tuple[Group, Broken]]) -> Break:
    first = max((broken.first for _, broken in parts), key=lambda event: bool(event.explanation))
    file, line, kind = key
    return Break(
        file,
        line,
        kind,
        first.reason,
        sum(broken.occurrences for _, broken in parts),
        function=next((broken.function for _, broken in parts if broken.function), ""),
        compile_ids=tuple(dict.fromkeys(i for _, broken in parts for i in broken.compile_ids)),
        explanation=first.explanation,
        hints=first.hints or hints(kind, first.reason),
        break_id=first.break_id,
        code=first.stack[-1].code if first.stack else "",
        foreign=is_foreign(file),
        processes=tuple(group.key for group, _ in parts),
        places=tuple(place for _, broken in parts for place in broken.places)[:PLACES],
    )


def _recompiles(told: list[Group], cut: Cut) -> list[Recompile]:
    """Compiles that are not the first of their frame. The attempt at the limit is none: it compiled nothing."""
    unnamed = [_unnamed(event, group) for group in told for event in group.unnamed]
    return [*(_recompile(r, g) for g, r in cut.newest([_records(g, again=True) for g in told])), *cut.first(unnamed)]


def _records(group: Group, again: bool = False) -> Tail[tuple[Group, Record]]:
    """The records of a process; `again`: those alone that are not the first of their frame."""
    records = group.book.records
    count = sum(_is_again(record) for record in records) if again else len(records)

    def backwards() -> Iterator[tuple[Group, Record]]:
        return ((group, record) for record in reversed(records) if not again or _is_again(record))

    return Tail(count, backwards, lambda row: row[1].started_s)


def _is_again(record: Record) -> bool:
    return record.number > 0 and not record.limit


def _unnamed(event: Recompiled, group: Group) -> Recompile:
    """A recompile of which only text without compile ids tells."""
    guard = event.failures[0].guard if event.failures else ""
    read = read_guard(guard)
    return Recompile(
        "",
        function_name(event.function),
        event.file,
        event.line,
        read.kind if guard else "unknown",
        words.reason(read) if guard else _UNSAID,
        guard,
        process=group.key,
        at_s=event.source.at_s,
        place=event.source.place,
    )


def _recompile(record: Record, group: Group) -> Recompile:
    again = group.again(record)
    cause, guard = (again.cause, again.guard) if again else (None, None)
    failures = again.event.failures if again else ()
    return Recompile(
        compile_id=record.compile_id,
        function=function_name(record.function),
        file=record.file,
        line=record.line,
        kind=guard.kind if guard else "unknown",
        reason=words.reason(guard, again.actual(record.compile_id)) if again and guard else _UNSAID,
        guard=failures[cause.index].guard if cause else "",
        others=tuple(f.guard for i, f in enumerate(failures) if cause is None or i != cause.index),
        at=failures[cause.index].at if cause else None,
        process=group.key,
        at_s=again.event.source.at_s if again else record.started_s,
        place=again.event.source.place if again else record.place,
        entered=record.entered,
    )


def _limit(e: LimitHit, group: Group) -> Limit:
    name = function_name(e.function)
    return Limit(name, e.file, e.line, e.limit, e.last_reason, e.limit_name, group.key, e.source.place)


def _fallbacks(kept: list[tuple[Group, Any]]) -> list[FallbackKernel]:
    rows = [FallbackKernel(e.op, e.source.compile_id, e.harmless, group.key, e.source.place) for group, e in kept]
    return sorted(rows, key=lambda row: row.harmless)


def _skips(told: list[Group]) -> list[Skip]:
    return [
        Skip(
            e.kind,
            e.reason,
            e.at.file if e.at else "",
            e.at.line if e.at else 0,
            e.source.compile_id,
            sum(member.skip_counts.get(key, 0) for member in group.members) or 1,
            e.partitioned,
            group.key,
            e.source.place,
        )
        for group in told
        for key, e in group.kept("skips")
    ]


def _cache(e: CacheAsked, group: Group) -> CacheUse:
    return CacheUse(e.source.compile_id, e.what, e.state, e.reason, e.saved_s, group.key, e.source.place)


def _tuned(event: Autotuned, group: Group) -> Tuned:
    name, ms = event.choices[0] if event.choices else ("", float("inf"))
    source = event.source
    return Tuned(event.op, event.arguments, name, ms, event.choices, source.compile_id, group.key, source.place)


def _kernel(event: Fused, group: Group) -> Kernel:
    source = event.source
    return Kernel(event.kernel, event.ops, event.lines, source.compile_id, group.key, source.place)


def _compile(record: Record, group: Group, fatal: Failure | None) -> Compile:
    return Compile(
        compile_id=record.compile_id,
        process=group.key,
        function=function_name(record.function),
        file=record.file,
        line=record.line,
        attempts=record.attempt + 1,
        ops=record.ops,
        graphs=record.graph_count,
        state=_state(record, group, fatal),
        started_s=record.started_s,
        forward_s=record.forward_s,
        backward_s=record.backward_s,
        phases=tuple((name, seconds, None) for name, seconds in record.phases),
        cache=", ".join(record.caches),
    )


def _state(record: Record, group: Group, fatal: Failure | None) -> str:
    if record.limit:
        return "eager"
    if record.failing:
        said = record.failed.type if record.failed else record.fail_type
        is_end = fatal is not None and (fatal.process, fatal.compile_id) == (group.key, record.compile_id)
        return "eager" if said.rpartition(".")[2] in SOFT and not is_end else "failed"
    if not record.ended:
        return "killed" if group.process.exited else "compiling"
    if record.is_left:
        return "eager"
    hits = any(" hit" in said for said in record.caches)
    return "cached" if hits and not any(" miss" in said for said in record.caches) else "compiled"
