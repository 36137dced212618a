"""One explanation of all processes, from what the ledger has gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ..events import Exited
from ..explanation import Explanation
from .failures import Settled, settle
from .functions import functions
from .group import Group
from .newest import Cut, Tail
from .notes import notes
from .rows import (
    breaks,
    cache_row,
    compile_row,
    fallbacks,
    kernel_row,
    limit_row,
    process_row,
    recompiles,
    records,
    skips,
    tuned_row,
)
from .tells import tells, tells_breaks, tells_caches, tells_compiles, tells_recompiles, tells_skips

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sources:
    """What is known of the files themselves."""

    root: str
    lost: dict[str, int]
    heard: bool
    """stderr was read to its end."""
    last_line: str
    exited: tuple[Exited, ...]


class _View:
    """What a snapshot is made of."""

    def __init__(self, groups: list[Group], sources: Sources, ended: bool, limit: int | None) -> None:
        self.groups, self.sources, self.ended, self.cut = groups, sources, ended, Cut(limit)
        self.told = [group for group in groups if group.is_told]
        self.compiled = [group for group in self.told if tells_compiles(group)]
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
        return self.sources.heard or told or tells_compiles(group)

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
        processes=tuple(process_row(group) for group in view.told),
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
        breaks=view.rows(tells_breaks, lambda: cut.first(breaks(told))),
        recompiles=view.rows(tells_recompiles, lambda: recompiles(told, cut)),
        limits=view.rows(
            view.loud, lambda: cut.first([limit_row(event, group) for group, event in view.kept("limits")])
        ),
        suppressed=view.rows(view.loud, lambda: cut.first(suppressed)),
        fallbacks=view.rows(tells("fallbacks"), lambda: cut.first(fallbacks(view.kept("fallbacks")))),
        skips=view.rows(lambda group: tells_skips(group, view.sources.heard), lambda: cut.first(skips(told))),
        caches=view.rows(tells_caches, lambda: [cache_row(e, g) for g, e in view.newest("caches")]),
        tuned=tuple(tuned_row(event, group) for group, event in view.newest("tuned")),
        kernels=tuple(kernel_row(event, group) for group, event in view.newest("kernels")),
        compiles=tuple(compile_row(r, g, view.fatal) for g, r in cut.newest([records(g) for g in view.compiled])),
        functions=cut.first(functions(view.compiled, cut.limit)),
    )


def _total(parts: Iterable[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
