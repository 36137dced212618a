"""Makes evidence of what a watcher knows, has it judged, and publishes the view: at once when somebody ended or a log
told a failure, else as often as a person can read, and only what changed.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ...distributed import JobIdentity, JobView
from ...rank_evidence import NodeEvidence, RankEvidence
from ...rundir import boot_id
from ..verdict import Judged, judge
from ..view import Setting, view_of

ENDED: Final = "the job ended"
LIFELINE: Final = "its lifeline closed"
ORPHANED: Final = "its supervisor was killed"
"""Why a watch is over, or how such a reason begins."""

if TYPE_CHECKING:
    from ..node import NodeFolder
    from .agent import Agent
    from .collecting import Collector, Looked
    from .gpus import Gpus
    from .keeping import Keeper
    from .order import Order
    from .roster import Roster
    from .triggers import Stillness

JUDGE_S: Final = 1.0
"""How often it is judged anew while nothing but readings changes."""

APART_NS: Final = 2_500_000_000
"""Looks at processes are compared over so long while a job goes on: two that agree must not be nearer than 2 s."""

PATIENCE_S: Final = 10.0
"""So long nothing must have moved before a watcher says that somebody waits: sound jobs save, evaluate, collect."""

ASKED_NS: Final = 12_000_000_000
"""So long after a person asked the truth is told at once; then the silence is either over or long enough."""

STALE_S: Final = 60.0
"""What a close look saw of a job that goes on is shown for so long."""

URGENT: Final = 3.0
"""Between one view that somebody waits for and the next lies this many times what it cost: of hundreds of ranks that
end together not each gets a view of its own."""

SLOWEST_S: Final = 5.0
SHARE: Final = 0.003
"""The part of a core that judging may cost while nothing happens."""


_NUMBERS: Final = re.compile(r"\d[\d.]*")
"""A verdict whose seconds or rates alone changed is no new one for the record."""


class Known(Protocol):
    """What is shown of a watcher."""

    host: str
    over: str
    launched: bool
    order: Order
    node: NodeFolder
    roster: Roster
    agent: Agent
    gpus: Gpus
    keeper: Keeper
    collector: Collector
    stillness: Stillness

    def identity(self) -> JobIdentity:
        """The job, with the ranks that are known by now."""
        ...


class Showing:
    """`dirty` says that something is known which the newest view does not show."""

    def __init__(self, watcher: Known) -> None:
        self.dirty, self.urgent = True, False
        self._watcher = watcher
        self._looked: NodeEvidence | None = None
        self._looked_ns = 0
        self._notes: dict[str, str] = {}
        self._past: list[str] = []
        self._judged: Judged | None = None
        self._verdict_line = ""
        self._shown: JobView | None = None
        self._due = self._urgent_due = self._words_due = 0.0
        self.asked_ns = 0
        """When a person asked last, by the monotonic clock; 0: nobody did."""

    # --- evidence ---------------------------------------------------------------------------------------------------

    def evidence(self) -> NodeEvidence:
        """All that is known now."""
        watcher, looked = self._watcher, self._looked
        now, m_ns = time.time_ns(), time.monotonic_ns()
        still_ns = watcher.stillness.since_ns
        since_m_ns = still_ns or m_ns - APART_NS
        asked = bool(self.asked_ns) and m_ns - self.asked_ns < ASKED_NS
        ranks = tuple(watched.evidence(now - (m_ns - since_m_ns)) for watched in watcher.roster.ranks)
        return NodeEvidence(
            host=watcher.host,
            t_ns=now,
            m_ns=m_ns,
            boot_id=boot_id(),
            job=watcher.identity(),
            ranks=ranks,
            agent=watcher.agent.evidence(),
            ras=looked.ras if looked else (),
            kernel=tuple(watcher.gpus.events) or (looked.kernel if looked else ()),
            seconds=looked.seconds if looked else 0.0,
            looks_s=looks_s(ranks),
            patience_s=0.0 if asked else PATIENCE_S,
            still_s=(m_ns - still_ns) / 1e9 if still_ns else None,
            notes=self._node_notes(looked),
        )

    def _node_notes(self, looked: NodeEvidence | None) -> tuple[str, ...]:
        watcher = self._watcher
        told = [*self._past, watcher.gpus.note, watcher.keeper.why_not, *self._notes.values()]
        told += list(looked.notes) if looked else []
        if watcher.keeper.dropped:
            told.append(f"{watcher.keeper.dropped} records could not be written to {watcher.node.watch.name}")
        return tuple(dict.fromkeys(note for note in told if note))

    def new_attempt(self, before: int) -> None:
        """All ranks were started anew: what was seen of the attempt before is told in a line."""
        line = self._judged.verdict.line if self._judged else ""
        if line:
            self._past = [*self._past[-15:], f"attempt {before}: {line}"]
        self.forget_look()

    def forget_look(self) -> None:
        """What a close look saw does not hold any more: the job went on."""
        self._looked = None
        for watched in self._watcher.roster.ranks:
            watched.looked = None
        self.dirty = True

    def age(self) -> None:
        """What a close look saw long ago says nothing of a job that goes on."""
        fresh = time.monotonic_ns() - self._looked_ns < STALE_S * 1e9
        goes_on = not self._watcher.stillness.still and not any(w.exit for w in self._watcher.roster.ranks)
        if self._looked is not None and goes_on and not fresh:
            self.forget_look()

    def take_looks(self) -> None:
        """Close looks that came back: kept, judged and shown at once."""
        for look in self._watcher.collector.take():
            self._take_look(look)

    def _take_look(self, look: Looked) -> None:
        self._notes.pop("look", None)
        if look.evidence is None:
            self._notes["look"] = look.failure
            self.soon()
            return
        still = self._watcher.stillness.since_ns
        same = bool(still) and self._looked_ns > still
        self._looked, self._looked_ns = look.evidence, time.monotonic_ns()
        self._watcher.roster.renumber(one.identity for one in look.evidence.ranks)
        for one in look.evidence.ranks:
            watched = self._watcher.roster.of(one.identity.pid, one.identity.start_ticks)
            if watched is not None:
                watched.look_came(one, same)
        evidence = self.show()
        path = self._watcher.keeper.evidence(evidence)
        self._watcher.keeper.record("evidence", why=look.why, path=path, seconds=look.evidence.seconds)

    # --- the view ---------------------------------------------------------------------------------------------------

    def soon(self, after_s: float = 0.0) -> None:
        """Somebody ended, or a log told a failure: show it as soon as all that happened with it was heard.

        With `after_s` there are words to come that belong to it; what is shown sooner anyway is not held back.
        """
        if not after_s:
            self._words_due = 0.0
        elif not self.urgent:
            self._words_due = time.monotonic() + after_s
        self.dirty = self.urgent = True

    @property
    def due(self) -> float:
        """When it is to be shown, by the monotonic clock."""
        return max(self._urgent_due, self._words_due) if self.urgent else self._due if self.dirty else math.inf

    def show(self) -> NodeEvidence:
        """Judge all that is known and publish the view; the evidence that it rests on."""
        begin = time.thread_time()
        self.dirty = self.urgent = False
        evidence = self.evidence()
        self._judged = judge([evidence])
        self._publish(view_of([evidence], self._judged, self._setting()))
        now, cost = time.monotonic(), time.thread_time() - begin
        self._due = now + min(SLOWEST_S, max(JUDGE_S, cost / SHARE))
        self._urgent_due = now + min(SLOWEST_S, URGENT * cost)
        return evidence

    def note(self, kind: str, text: str) -> None:
        """Something about the watch itself that a person should know; one of a kind."""
        self._notes[kind] = text
        self.dirty = True

    def _setting(self) -> Setting:
        watcher = self._watcher
        over = watcher.over
        return Setting(
            run=watcher.order.run,
            ours=watcher.launched,
            over=over == ENDED or over.startswith(ORPHANED),
            stopped=watcher.agent.stop_asked_ns > 0,
            notes=(f"no longer watched: {over}",) if over and over != ENDED else (),
        )

    def _publish(self, view: JobView) -> None:
        verdict = view.verdict
        words = f"{verdict.cause} {verdict.sure} {_NUMBERS.sub('#', verdict.line)}"
        if words != self._verdict_line:
            self._verdict_line = words
            self._watcher.keeper.record(
                "verdict", ranks=list(verdict.ranks), cause=verdict.cause, sure=verdict.sure, line=verdict.line
            )  # fmt: skip
        if self._shown is None or _content(view) != _content(self._shown):
            self._watcher.keeper.view(view)
        self._shown = view

    def last(self) -> None:
        """The final view, and the evidence that it rests on; what was looked for last is in it."""
        self.take_looks()
        self._watcher.keeper.evidence(self.show())


def looks_s(ranks: Sequence[RankEvidence]) -> float:
    """Seconds between the looks that are compared: those at the processes, and where there are two stacks or dumps of
    a rank, not more than those are apart.
    """
    spans = [
        [(seen[-1].t_ns - seen[0].t_ns) / 1e9 for seen in kind if len(seen) > 1]
        for kind in ([r.processes for r in ranks], [r.stacks for r in ranks], [r.flights for r in ranks])
    ]
    return max(0.0, min((max(span) for span in spans if span), default=0.0))


def _content(view: JobView) -> JobView:
    return msgspec.structs.replace(view, t_ns=0, seconds=0.0)
