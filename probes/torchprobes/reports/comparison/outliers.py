"""Platforms that lie apart from the others of their sort in one figure: robust z-scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from . import figures
from .model import Outlier, Platform, Row, Said

LEAST_PLATFORMS: Final = 4
"""Fewer have no middle that one of them could lie apart from."""

LIMIT: Final = 3.5
"""Of the modified z-score: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), 1.4826 * MAD."""

NORMAL: Final = 1.4826
"""Median absolute deviation to standard deviation, where values are normally distributed."""

MOST: Final = 200
"""Outliers that are kept, the furthest: a fleet in which more lie apart has another trouble than one bad node."""


def found(platforms: Sequence[Platform], rows: Sequence[Row]) -> tuple[Outlier, ...]:
    """Every figure of every sort of device in which a platform lies apart, the furthest first."""
    sorts: defaultdict[str, list[int]] = defaultdict(list)
    for index, platform in enumerate(platforms):
        sorts[platform.sort].append(index)
    large = [places for places in sorts.values() if len(places) >= LEAST_PLATFORMS]
    told = [each for places in large for row in rows for each in _of_row(platforms, places, row)]
    return tuple(sorted(told, key=lambda each: -abs(each.z))[:MOST])


def _of_row(platforms: Sequence[Platform], places: Sequence[int], row: Row) -> Iterator[Outlier]:
    values: defaultdict[str, list[tuple[int, Said]]] = defaultdict(list)
    for index in places:
        for said in row.cells[index].figures:
            values[said.key].append((index, said))
    for key, told in values.items():
        if len(told) >= LEAST_PLATFORMS and not figures.quiet(key):
            yield from _of_key(platforms, row.name, key, told)


def _of_key(platforms: Sequence[Platform], row: str, key: str, told: Sequence[tuple[int, Said]]) -> Iterator[Outlier]:
    numbers = [said.value for _, said in told]
    middle = median(numbers)
    deviation = NORMAL * median([abs(number - middle) for number in numbers])
    least = deviation or figures.LEAST * abs(middle) / LIMIT
    for index, said in told:
        apart = abs(said.value - middle)
        if apart > LIMIT * least and apart > figures.LEAST * abs(middle) and least:
            z = (said.value - middle) / least
            yield Outlier(platforms[index].label, row, key, said.value, said.unit, middle, z, len(told))
