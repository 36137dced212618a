"""Platforms in, comparison out: one pass over each report, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

from . import causes, figures, knowledge, matrix, outliers, uncovered, ways
from .model import Comparison, Platform


def compared(platforms: Sequence[Platform]) -> Comparison:
    """Everything that can be said of these platforms held against each other, the first being the reference."""
    judged = matrix.rows(platforms)
    rows = tuple(each.row for each in judged)
    found = Comparison(
        platforms=tuple(platforms),
        rows=rows,
        causes=causes.ranked(platforms, judged),
        outliers=outliers.found(platforms, rows),
        uncovered=uncovered.areas(platforms),
        notes=causes.unknown(platforms),
    )
    _forget()
    return found


def _forget() -> None:
    """What was remembered of names: they are somebody else's, and may be as long as a report may be."""
    for module in (figures, ways, knowledge, uncovered):
        for cached in module.CACHED:
            cached.cache_clear()
