"""The rows of an explanation, each from what was gathered of one thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..events import Autotuned, CacheAsked, Fused, LimitHit, Recompiled
from ..explanation import Break, CacheUse, Compile, Failure, FallbackKernel, Kernel, Limit, Recompile, Skip, Tuned
from ..explanation import Process as ProcessRow
from . import words
from .breaks import BreakKey, Broken
from .compiles import Record
from .failures import SOFT
from .group import Group
from .guards import read_guard
from .hints import hints
from .names import function_name, is_foreign
from .newest import Cut, Tail

_UNSAID: Final = "the files do not say which guard failed"
PLACES: Final = 8
"""Places of one break in a snapshot."""


def process_row(group: Group) -> ProcessRow:
    """One process."""
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


def breaks(told: list[Group]) -> list[Break]:
    """Distinct breaks of all processes together: the user's own first, the most frequent first."""
    found: dict[BreakKey, list[tuple[Group, Broken]]] = {}
    for group in told:
        for key, broken in group.breaks.items():
            found.setdefault(key, []).append((group, broken))
    rows = [break_row(key, parts) for key, parts in found.items()]
    return sorted(rows, key=lambda row: (row.foreign, -row.occurrences))


def break_row(key: BreakKey, parts: list[tuple[Group, Broken]]) -> Break:
    """One break, by what each process tells of it; the words are of the report that explains most."""
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


def recompiles(told: list[Group], cut: Cut) -> list[Recompile]:
    """Compiles that are not the first of their frame. The attempt at the limit is none: it compiled nothing."""
    unnamed = [_unnamed(event, group) for group in told for event in group.unnamed]
    return [*(_recompile(r, g) for g, r in cut.newest([records(g, again=True) for g in told])), *cut.first(unnamed)]


def records(group: Group, again: bool = False) -> Tail[tuple[Group, Record]]:
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


def limit_row(e: LimitHit, group: Group) -> Limit:
    """A function at its limit."""
    name = function_name(e.function)
    return Limit(name, e.file, e.line, e.limit, e.last_reason, e.limit_name, group.key, e.source.place)


def fallbacks(kept: list[tuple[Group, Any]]) -> list[FallbackKernel]:
    """Ops that are handed back to eager, those that cost something first."""
    rows = [FallbackKernel(e.op, e.source.compile_id, e.harmless, group.key, e.source.place) for group, e in kept]
    return sorted(rows, key=lambda row: row.harmless)


def skips(told: list[Group]) -> list[Skip]:
    """CUDA graphs that are not used; those of run time with how often it was said."""
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


def cache_row(e: CacheAsked, group: Group) -> CacheUse:
    """A lookup in a cache."""
    return CacheUse(e.source.compile_id, e.what, e.state, e.reason, e.saved_s, group.key, e.source.place)


def tuned_row(event: Autotuned, group: Group) -> Tuned:
    """What max-autotune chose."""
    name, ms = event.choices[0] if event.choices else ("", float("inf"))
    source = event.source
    choices = group.choices(event)
    return Tuned(event.op, event.arguments, name, ms, choices, source.compile_id, group.key, source.place)


def kernel_row(event: Fused, group: Group) -> Kernel:
    """A kernel."""
    source = event.source
    return Kernel(event.kernel, event.ops, event.lines, source.compile_id, group.key, source.place)


def compile_row(record: Record, group: Group, fatal: Failure | None) -> Compile:
    """A compile; `fatal` is the failure that ended the program."""
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
