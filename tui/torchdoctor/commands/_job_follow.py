"""A job followed without a screen: one line a change, the verdict as soon as there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torchprobes.distributed import JOB_OVER, JobView, RankView
from torchprobes.jobs.looking import Looking
from torchprobes.jobs.nodes import merged_view
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir

from ._interrupts import Interrupts
from ._job_text import ranks_words, verdict_line

LOOK_S = 0.2
OVER = JOB_OVER


def shown(run: RunDir) -> Callable[[], JobView | None]:
    """What reads the newest view of a run; its watchers are told, again and again, that somebody looks."""
    looking = Looking(str(run.path))

    def read() -> JobView | None:
        looking.keep_up()
        return merged_view(run)

    return read


@dataclass(slots=True)
class Changes:
    """What is new in each view since the one before, in lines."""

    state: str = ""
    verdict: str = ""
    ranks: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Rank -> attempt and state, as they were told last."""

    def lines(self, view: JobView) -> Iterator[str]:
        """The lines of one view."""
        stamp = time.strftime("%H:%M:%S", time.localtime(view.t_ns / 1e9 if view.t_ns else None))
        if view.state != self.state:
            self.state = view.state
            yield f"{stamp} {plain(view.state)}"
        yield from (f"{stamp} {line}" for line in self._rank_lines(view))
        line = verdict_line(view) if _tells(view) else ""
        if line and line != self.verdict:
            yield f"{stamp} {line}"
        self.verdict = line or self.verdict

    def _rank_lines(self, view: JobView) -> Iterator[str]:
        """Ranks that came into the same state at once share a line."""
        changed: dict[tuple[str, str], list[int]] = {}
        for row in view.ranks:
            now = (row.attempt, row.state)
            if self.ranks.get(row.rank) != now:
                self.ranks[row.rank] = now
                changed.setdefault((row.state, _detail(row)), []).append(row.rank)
        for (state, detail), ranks in changed.items():
            yield plain(mask(f"{ranks_words(ranks)} {state}{detail}"), 200)


def _tells(view: JobView) -> bool:
    """Whether a verdict names something: that nothing is known yet is no news."""
    verdict = view.verdict
    return verdict.cause != "none" and (verdict.sure or bool(verdict.ranks) or verdict.cause != "unknown")


def _detail(row: RankView) -> str:
    ended = "" if row.why.startswith(row.exit) else row.exit
    parts = (ended, row.collective if row.state in ("waiting", "hung") else "", row.why)
    said = ", ".join(dict.fromkeys(part for part in parts if part))
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
            if view is not None and view != followed.view:
                followed.view = view
                for line in changes.lines(view):
                    tell(line)
                react(view)
            if ended:
                return followed
            if interrupts.count > handled:
                handled = interrupts.count
                followed.signal = followed.signal or interrupts.first
                if on_signal(handled):
                    return followed
            interrupts.wait(LOOK_S)
