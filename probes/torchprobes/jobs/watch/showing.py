"""Makes evidence of what a watcher knows, has it judged, and publishes the view: at once when somebody ended or a log
told a failure, else as often as a person can read, and only what changed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from ...distributed import JobView
from ...rank_evidence import NodeEvidence
from ...rundir import boot_id
from ..verdict import Judged, judge
from ..view import Setting, view_of

if TYPE_CHECKING:
    from .collecting import Looked
    from .engine import Watcher

JUDGE_S: Final = 0.5
"""How often it is judged anew while nothing but readings changes."""

VIEW_S: Final = 0.2
SLOWEST_S: Final = 5.0
SHARE: Final = 0.005
SAME: Final = ("t_ns", "seconds")
"""Fields of a view that change by themselves."""


class Showing:
    """`dirty` says that something is known which the newest view does not show."""

    def __init__(self, watcher: Watcher) -> None:
        self.dirty = True
        self._watcher = watcher
        self._looked: NodeEvidence | None = None
        self._notes: dict[str, str] = {}
        self._past: list[str] = []
        self._over = ""
        self._judged: Judged | None = None
        self._verdict_line = ""
        self._shown: JobView | None = None
        self._due = 0.0

    # --- evidence ---------------------------------------------------------------------------------------------------

    def evidence(self) -> NodeEvidence:
        """All that is known now."""
        watcher, looked = self._watcher, self._looked
        now, m_ns = time.time_ns(), time.monotonic_ns()
        ranks = tuple(watched.evidence() for watched in watcher.roster.ranks)
        looks = [(r.processes[0].t_ns, r.processes[-1].t_ns) for r in ranks if len(r.processes) > 1]
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
            looks_s=max(((last - first) / 1e9 for first, last in looks), default=0.0),
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

    def take_looks(self) -> None:
        """Close looks that came back: kept, judged and shown at once."""
        for look in self._watcher.collector.take():
            self._take_look(look)

    def _take_look(self, look: Looked) -> None:
        self._notes.pop("look", None)
        if look.evidence is None:
            self._notes["look"] = look.failure
            self.show()
            return
        self._looked = look.evidence
        for one in look.evidence.ranks:
            watched = self._watcher.roster.of(one.identity.pid, one.identity.start_ticks)
            if watched is not None:
                watched.look_came(one)
        evidence = self.show()
        path = self._watcher.keeper.evidence(evidence)
        self._watcher.keeper.record("evidence", why=look.why, path=path, seconds=look.evidence.seconds)

    # --- the view ---------------------------------------------------------------------------------------------------

    def show_if_due(self) -> None:
        """Show what changed, if it is time."""
        if self.dirty and time.monotonic() >= self._due:
            self.show()

    def show(self) -> NodeEvidence:
        """Judge all that is known and publish the view; the evidence that it rests on."""
        begin = time.monotonic()
        self.dirty = False
        evidence = self.evidence()
        self._judged = judge([evidence])
        self._publish(view_of([evidence], self._judged, self._setting()))
        cost = time.monotonic() - begin
        self._due = begin + min(SLOWEST_S, max(JUDGE_S, cost / SHARE))
        return evidence

    def _setting(self) -> Setting:
        watcher, over = self._watcher, self._over
        return Setting(
            run=watcher.order.run,
            ours=watcher.launched,
            over=over == "the job ended",
            stopped=watcher.agent.stop_asked_ns > 0,
            notes=(f"no longer watched: {over}",) if over and over != "the job ended" else (),
        )

    def _publish(self, view: JobView) -> None:
        verdict = view.verdict
        words = f"{verdict.cause} {verdict.sure} {verdict.line}"
        if words != self._verdict_line:
            self._verdict_line = words
            self._watcher.keeper.record(
                "verdict", ranks=list(verdict.ranks), cause=verdict.cause, sure=verdict.sure, line=verdict.line
            )  # fmt: skip
        if self._shown is None or _content(view) != _content(self._shown):
            self._watcher.keeper.view(view)
        self._shown = view

    def last(self, why: str) -> None:
        """The final view, and the evidence that it rests on; what was looked for last is in it."""
        self._over = why
        self.take_looks()
        self._watcher.keeper.evidence(self.show())


def _content(view: JobView) -> JobView:
    return msgspec.structs.replace(view, t_ns=0, seconds=0.0)
