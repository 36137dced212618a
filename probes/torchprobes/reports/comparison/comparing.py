"""Platforms in, comparison out: one pass over each report, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

from . import causes, matrix, outliers, uncovered
from .model import Comparison, Platform


def compared(platforms: Sequence[Platform]) -> Comparison:
    """Everything that can be said of these platforms held against each other, the first being the reference."""
    judged = matrix.rows(platforms)
    rows = tuple(each.row for each in judged)
    return Comparison(
        platforms=tuple(platforms),
        rows=rows,
        causes=causes.ranked(platforms, judged),
        outliers=outliers.found(platforms, rows),
        uncovered=uncovered.areas(platforms),
        notes=causes.unknown(platforms),
    )
