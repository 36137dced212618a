"""Two runs held against each other: what came to something else, and which figures moved. Data alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from torchprobes.model import REPORT_ORDER, Figure, Result, Verdict

MOVED: Final = 0.05
"""A figure has moved when it differs by more than this share, and by more than the spreads of both runs."""

MOVED_ONCE: Final = 0.3
"""The same for a figure whose spread no run has measured: nobody knows how much of it is noise."""

_CUT_SHORT: Final = (Verdict.ERROR, Verdict.SKIP)
"""Verdicts of a probe that did not come to its figures: their absence says nothing more."""


@dataclass(frozen=True, slots=True)
class FigureChange:
    """One figure in both runs; None where a run does not have it."""

    then: Figure | None
    now: Figure | None

    @property
    def figure(self) -> Figure:
        """Its name, unit and labels."""
        return self.now or self.then or Figure(name="", value=0.0, unit="")

    @property
    def ratio(self) -> float | None:
        """Now by then; None where one is missing, 0, or of another unit."""
        then, now = self.then, self.now
        if then is None or now is None or not then.value or then.unit != now.unit:
            return None
        return now.value / then.value

    @property
    def moved(self) -> bool:
        """Whether it differs by more than noise explains."""
        then, now, ratio = self.then, self.now, self.ratio
        if then is None or now is None or ratio is None:
            return then is None or now is None or then.value != now.value
        least = MOVED_ONCE if then.spread is None and now.spread is None and not _counted(now) else MOVED
        return abs(ratio - 1) > least and abs(now.value - then.value) > (then.spread or 0.0) + (now.spread or 0.0)


@dataclass(frozen=True, slots=True)
class ProbeChange:
    """One probe in both runs; None where a run does not have it."""

    name: str
    then: Result | None
    now: Result | None
    figures: tuple[FigureChange, ...] = ()

    @property
    def verdict_changed(self) -> bool:
        """Whether both runs have it, and it came to something else."""
        return self.then is not None and self.now is not None and self.then.verdict is not self.now.verdict

    @property
    def new_findings(self) -> tuple[str, ...]:
        """Ids of findings that only the newer run has."""
        before = {finding.id for finding in self.then.findings} if self.then else set()
        after = self.now.findings if self.now and self.then else ()
        return tuple(finding.id for finding in after if finding.id not in before)

    @property
    def moved(self) -> tuple[FigureChange, ...]:
        """The figures that moved, if both runs have the probe."""
        if self.then is None or self.now is None:
            return ()
        cut = self.then.verdict in _CUT_SHORT or self.now.verdict in _CUT_SHORT
        both = (change for change in self.figures if not cut or (change.then and change.now))
        return tuple(change for change in both if change.moved)

    @property
    def changed(self) -> bool:
        """Whether anything differs that a person should look at."""
        return bool(self.verdict_changed or self.new_findings or self.moved or self.then is None or self.now is None)


def _counted(figure: Figure) -> bool:
    """Whether it is a count, which has no noise: its unit is a noun in the plural."""
    return figure.unit not in ("", "us", "ms", "s", "B", "bytes", "B/s", "FLOP/s", "x", "share", "percent", "relative")


def compare(then: Iterable[Result], now: Iterable[Result]) -> tuple[ProbeChange, ...]:
    """Every probe of either run: first what got worse, then other verdicts, new findings, figures; last what is same.

    What only one run has comes before what is the same in both.
    """
    before, after = ({result.name: result for result in results} for results in (then, now))
    names = dict.fromkeys([*after, *before])
    changes = [ProbeChange(name, before.get(name), after.get(name), _figures(before.get(name), after.get(name)))
               for name in names]  # fmt: skip
    return tuple(sorted(changes, key=_weight))


def _weight(change: ProbeChange) -> int:
    then, now = change.then, change.now
    if then is None or now is None:
        return 4
    if change.verdict_changed:
        return 0 if _rank(now.verdict) < _rank(then.verdict) else 1
    if change.new_findings:
        return 2
    return 3 if change.moved else 5


def _rank(verdict: Verdict) -> int:
    return REPORT_ORDER.index(verdict)


def _figures(then: Result | None, now: Result | None) -> tuple[FigureChange, ...]:
    before, after = (_by_key(result) for result in (then, now))
    return tuple(FigureChange(before.get(key), after.get(key)) for key in dict.fromkeys([*after, *before]))


def _by_key(result: Result | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], Figure]:
    """The last figure of each name and labels; a label's order means nothing."""
    return {(f.name, tuple(sorted(f.labels.items()))): f for f in (result.figures if result else ())}
