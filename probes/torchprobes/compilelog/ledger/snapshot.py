"""One explanation of all processes, from what the ledger has gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from ..events import Exited
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
from .failures import SOFT, settle
from .functions import functions
from .group import Group
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

    def last(self, rows: Sequence[T]) -> Sequence[T]:
        """The last rows."""
        kept = rows if self.limit is None else rows[-self.limit :]
        self.left_out += len(rows) - len(kept)
        return kept


def snapshot(groups: list[Group], sources: Sources, ended: bool, limit: int | None) -> Explanation:
    """What all groups say. `ended`: nothing more is expected."""
    cut = Cut(limit)
    told = [group for group in groups if group.is_told]
    exits = sorted(
        [*sources.exited, *(g.process.exited for g in groups if g.process.exited)],
        key=lambda exit_: not exit_.source.place.path.endswith("end.json"),
    )
    exit_code = next((e.exit_code for e in exits if e.exit_code is not None), None)
    settled = [settle(group, ended or group.process.exited is not None, sources.heard, exit_code) for group in groups]
    fatal = next((one.fatal for one in settled if one.fatal), None)
    ranks = {group.process.rank for group in told if group.process.rank is not None}
    compiled = [group for group in told if _tells_compiles(group)]

    def loud(group: Group) -> bool:
        """Limits and suppressed errors are warnings in every version: a stderr that was read tells of them."""
        return sources.heard or _tells_compiles(group) or any(any(group.kept(name)) for name in ("limits", "failures"))

    return Explanation(
        root=sources.root,
        torch=", ".join(sorted({p.torch for group in groups for p in group.members if p.torch})),
        first_source="trace" if any(g.traced for g in told) else "text" if told else "",
        processes=tuple(_process(group) for group in told),
        ranks=len(ranks) or None,
        graphs=sum(group.book.graphs for group in compiled) if compiled else None,
        frames_compiled=sum(group.book.frames for group in compiled) if compiled else None,
        breaks=_if_known(told, _tells_breaks, lambda: cut.first(_breaks(told))),
        recompiles=_if_known(told, _tells_recompiles, lambda: tuple(_recompiles(told, cut))),
        limits=_if_known(told, loud, lambda: cut.first(_limits(told))),
        suppressed=_if_known(told, loud, lambda: cut.first([f for s in settled for f in s.suppressed])),
        fatal=fatal,
        fatal_known=bool(settled) and all(s.known for s in settled),
        fallbacks=_if_known(told, lambda g: g.traced or any(g.kept("fallbacks")), lambda: cut.first(_fallbacks(told))),
        skips=_if_known(told, lambda g: _tells_skips(g, sources.heard), lambda: cut.first(_skips(told))),
        caches=_if_known(told, lambda g: g.traced or any(g.kept("caches")), lambda: tuple(_caches(told, cut))),
        forward_s=_total(group.book.forward_s for group in compiled),
        backward_s=_total(group.book.backward_s for group in compiled),
        exit_code=exit_code,
        killed_by=next((e.signal for e in exits if e.signal), ""),
        tuned=cut.first([_tuned(event, group) for group in told for _, event in group.kept("tuned")]),
        kernels=tuple(_kernel(e, g) for g, e in cut.last([(g, e) for g in told for _, e in g.kept("kernels")])),
        compiles=tuple(_compile(r, g, fatal) for g, r in cut.last([(g, r) for g in compiled for r in g.book.records])),
        functions=cut.first(functions(compiled)),
        warnings=tuple(dict.fromkeys(e.words for g in groups for _, e in g.kept("said") if not e.harmless)),
        notes=notes(told, sources.lost, settled, ended and not exits),
        last_user_line=sources.last_line,
        left_out=cut.left_out,
    )


def _if_known(
    told: list[Group], knows: Callable[[Group], bool], rows: Callable[[], tuple[T, ...]]
) -> tuple[T, ...] | None:
    return rows() if any(knows(group) for group in told) else None


def _tells_breaks(group: Group) -> bool:
    """A trace (2.6 and later; before that its restarts) or text: at a level that tells of starts and guards, of all."""
    book = group.book
    return group.traced or bool(group.breaks) or (book.begun and book.frames > 0)


def _tells_compiles(group: Group) -> bool:
    return group.tier == TRACE or group.book.begun


def _tells_recompiles(group: Group) -> bool:
    return _tells_compiles(group) or any(again for member in group.members for again in member.recompiled)


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
    again = [(g, r) for g in told for r in g.book.records if (r.number > 0 or g.again(r)) and not r.limit]
    return [_recompile(record, group) for group, record in cut.last(again)]


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


def _limits(told: list[Group]) -> list[Limit]:
    return [
        Limit(
            function_name(e.function), e.file, e.line, e.limit, e.last_reason, e.limit_name, group.key, e.source.place
        )
        for group in told
        for _, e in group.kept("limits")
    ]


def _fallbacks(told: list[Group]) -> list[FallbackKernel]:
    rows = [
        FallbackKernel(e.op, e.source.compile_id, e.harmless, group.key, e.source.place)
        for group in told
        for _, e in group.kept("fallbacks")
    ]
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


def _caches(told: list[Group], cut: Cut) -> list[CacheUse]:
    rows = [(group, e) for group in told for _, e in group.kept("caches")]
    return [
        CacheUse(e.source.compile_id, e.what, e.state, e.reason, e.saved_s, group.key, e.source.place)
        for group, e in cut.last(rows)
    ]


def _tuned(event: Any, group: Group) -> Tuned:
    name, ms = event.choices[0] if event.choices else ("", float("inf"))
    source = event.source
    return Tuned(event.op, event.arguments, name, ms, event.choices, source.compile_id, group.key, source.place)


def _kernel(event: Any, group: Group) -> Kernel:
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
