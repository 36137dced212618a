"""A job followed without a screen: one line a change, the verdict as soon as there is one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from torchprobes.distributed import JOB_OVER, JobView, RankView
from torchprobes.distributed import OVER as OVER_RANK
from torchprobes.jobs.wording import NO_RANK_YET, ranks_words
from torchprobes.reports.text import mask, plain

from ._interrupts import Interrupts
from ._job_text import verdict_line

LOOK_S = 0.2
OVER = JOB_OVER

STANDS_S: Final = 1.0
"""What a rank or the job does for a shorter time is not told."""

GATHERS_S: Final = 2.0
"""So long a rank's new state waits at most for others that come into the same one."""

REFINES_S: Final = 1.0
"""A first word on a hang waits so long for the call site, which the close look that it caused brings."""

AGAIN_S: Final = (60.0, 300.0, 900.0)
"""A hang that stays is told once more after so long."""

_EARLY: Final = ("starting", "importing", "initialising")
"""States in their order: whoever has passed one does not come back to it before it is started again."""

_AT_WORK: Final = frozenset({"running", "stepping", "waiting"})
"""Between these a rank of a sound job changes with every step."""

_URGENT: Final = frozenset({"stuck", "failing", *OVER})
"""States of a job that are told at once; of a rank those in which it is over."""

_NUMBERS: Final = re.compile(r"\d[\d.]*")


@dataclass(slots=True)
class _Rank:
    """A rank as it was told last, attempt and state, and the state that may be told next, `since` monotonic seconds."""

    told: tuple[int, str] = (-1, "")
    coming: tuple[int, str] = (-1, "")
    since: float = 0.0
    row: RankView | None = None

    def take(self, row: RankView, job_state: str, now: float) -> None:
        """What the newest view says of it."""
        state = (row.attempt, row.state)
        told = self.told[1] if row.attempt == self.told[0] else ""
        if state == self.told or (told and (_back(told, row.state) or _calm(told, row.state, job_state))):
            self.coming, self.row = (-1, ""), None
            return
        if state != self.coming:
            self.coming, self.since = state, now
        self.row = row


def _back(told: str, state: str) -> bool:
    """Whether that is an earlier state."""
    return state in _EARLY and (told not in _EARLY or _EARLY.index(state) < _EARLY.index(told))


def _calm(before: str, state: str, job_state: str) -> bool:
    moves = before in _AT_WORK and state in _AT_WORK and state != "stepping"
    return job_state == "running" and (moves or (before in ("stepping", "waiting") and state == "stepping"))


@dataclass(slots=True)
class Changes:
    """What is new in each view since the one before, in lines. `now` is monotonic, in seconds."""

    state: str = ""
    _coming: tuple[str, float] = ("", 0.0)
    _ranks: dict[int, _Rank] = field(default_factory=dict)
    _verdict: tuple[object, ...] = ()
    _heard: tuple[tuple[object, ...], float] = ((), 0.0)
    _since: float = 0.0
    _repeats: int = 0

    def lines(self, view: JobView, now: float, last: bool = False) -> Iterator[str]:
        """The lines of one view, which may be the same as before; with `last` nothing is held back any more."""
        stamp = time.strftime("%H:%M:%S", time.localtime(view.t_ns / 1e9 if view.t_ns else None))
        if self._new_state(view.state, now, last):
            yield f"{stamp} {plain(view.state if view.ranks or view.state != 'starting' else NO_RANK_YET)}"
        yield from (f"{stamp} {line}" for line in self._rank_lines(view, now, last))
        if self._new_verdict(view, now, last):
            yield f"{stamp} {verdict_line(view)}"

    def _new_state(self, state: str, now: float, last: bool) -> bool:
        if state == self.state or (state == "starting" and self.state):
            self._coming = ("", now)
            return False
        if state != self._coming[0]:
            self._coming = (state, now)
        if not (last or not self.state or state in _URGENT or now - self._coming[1] >= STANDS_S):
            return False
        self.state = state
        return True

    def _rank_lines(self, view: JobView, now: float, last: bool) -> Iterator[str]:
        """Ranks that came into the same state within a moment share a line."""
        coming: dict[tuple[str, str], list[_Rank]] = {}
        for row in view.ranks:
            rank = self._ranks.setdefault(row.rank, _Rank())
            rank.take(row, view.state, now)
            if rank.row is not None:
                coming.setdefault((row.state, _detail(row)), []).append(rank)
        for (state, detail), ranks in coming.items():
            ages = [now - rank.since for rank in ranks]
            at_once = last or state in OVER_RANK
            if not (at_once or min(ages) >= STANDS_S or max(ages) >= GATHERS_S):
                continue
            due = [rank for rank, age in zip(ranks, ages, strict=True) if at_once or age >= STANDS_S]
            numbers = [rank.row.rank for rank in due if rank.row is not None]
            for rank in due:
                rank.told, rank.row = rank.coming, None
            yield plain(mask(f"{ranks_words(numbers)} {state}{detail}"), 200)

    def _new_verdict(self, view: JobView, now: float, last: bool) -> bool:
        """Whether cause, ranks, site, doubt or certainty changed, or what stays is to be told once more."""
        verdict = view.verdict
        if not _tells(view):
            self._verdict = () if view.state == "running" else self._verdict
            return False
        doubt = _NUMBERS.sub("#", verdict.doubt)
        words = (verdict.cause, verdict.ranks, verdict.sure, verdict.site, doubt)
        if words != self._verdict:
            self._heard = self._heard if self._heard[0] == words else (words, now)
            refining = view.state == "stuck" and not verdict.sure and now - self._heard[1] < REFINES_S
            if refining and not last:
                return False
            if words[:2] != self._verdict[:2]:
                self._since, self._repeats = now, 0
            self._verdict = words
            return True
        waits = AGAIN_S[self._repeats] if self._repeats < len(AGAIN_S) else float("inf")
        if view.state != "stuck" or now - self._since < waits:
            return False
        self._repeats += 1
        return True


def _tells(view: JobView) -> bool:
    """Whether a verdict names something: that nothing is known yet is no news."""
    verdict = view.verdict
    return verdict.cause != "none" and (verdict.sure or bool(verdict.ranks) or verdict.cause != "unknown")


def _detail(row: RankView) -> str:
    ended = "" if row.why.startswith(row.exit) else row.exit
    waits = row.collective if row.state == "waiting" else ""
    why = row.why.removeprefix(f"in {waits}").strip() if waits else row.why
    said = ", ".join(dict.fromkeys(part for part in (ended, waits, why) if part))
    return f": {said}" if said else ""


@dataclass(slots=True)
class Followed:
    """How it came out: the last view, and the signal that ended the following, if one did."""

    view: JobView | None = None
    signal: int | None = None


def follow(
    read: Callable[[], JobView | None],
    over: Callable[[JobView | None], bool],
    tell: Callable[[str], None],
    react: Callable[[JobView], None] = lambda _: None,
    on_signal: Callable[[int], bool] = lambda _: True,
) -> Followed:
    """Tell each change until it is `over`; a signal ends it too where `on_signal(count)` says so.

    `react` sees every view that is new.
    """
    changes, followed = Changes(), Followed()
    with Interrupts() as interrupts:
        handled = 0
        while True:
            ended = over(followed.view)  # asked before the read: what was written until then is told
            view = read()
            if view is not None:
                for line in changes.lines(view, time.monotonic(), last=ended):
                    tell(line)
                if view != followed.view:
                    followed.view = view
                    react(view)
            if ended:
                return followed
            if interrupts.count > handled:
                handled = interrupts.count
                followed.signal = followed.signal or interrupts.first
                if on_signal(handled):
                    return followed
            interrupts.wait(LOOK_S)
