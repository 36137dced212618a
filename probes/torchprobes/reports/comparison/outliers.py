"""Platforms that lie apart from the others of their sort in one figure: robust z-scores."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from . import figures
from .model import Outlier, Platform, Row, Said
from .platforms import device_of

LEAST_PLATFORMS: Final = 4
"""Fewer have no middle that one of them could lie apart from."""

LIMIT: Final = 3.5
"""Of the modified z-score: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), 1.4826 * MAD."""

NORMAL: Final = 1.4826
"""Median absolute deviation to standard deviation, where values are normally distributed."""

MOST: Final = 200
"""Outliers that are kept, the furthest: a fleet in which more lie apart has another trouble than one bad node."""


def found(platforms: Sequence[Platform], rows: Sequence[Row]) -> tuple[Outlier, ...]:
    """Every figure of every kind of device in which a platform lies apart, the furthest first."""
    sorts: defaultdict[str, list[int]] = defaultdict(list)
    for index, platform in enumerate(platforms):
        sorts[device_of(platform, "gpu:0")].append(index)
    large = [places for places in sorts.values() if len(places) >= LEAST_PLATFORMS]
    told = [each for places in large for row in rows for each in _of_row(platforms, places, row)]
    return tuple(sorted(told, key=lambda each: -abs(each.z))[:MOST])


def _of_row(platforms: Sequence[Platform], places: Sequence[int], row: Row) -> Iterator[Outlier]:
    values: defaultdict[str, list[tuple[int, Said]]] = defaultdict(list)
    for index in places:
        for said in row.cells[index].figures:
            if math.isfinite(said.value):
                values[said.key].append((index, said))
    quiet = figures.untold if row.group == "telemetry" else figures.quiet
    for key, told in values.items():
        if len(told) >= LEAST_PLATFORMS and not quiet(key):
            yield from _of_key(platforms, row.name, key, told)


def _of_key(platforms: Sequence[Platform], row: str, key: str, told: Sequence[tuple[int, Said]]) -> Iterator[Outlier]:
    """Those beyond the limit that are also further from the median than what is noise in such a figure.

    Where more than half are equal the deviation is 0: then the limit is at the noise, and z is counted in that.
    """
    numbers = [said.value for _, said in told]
    middle = median(numbers)
    noise = _noise(told, middle)
    deviation = NORMAL * median([abs(number - middle) for number in numbers])
    unit = max(deviation, noise / LIMIT) or 1.0
    for index, said in told:
        z = (said.value - middle) / unit
        if abs(z) > LIMIT:
            yield Outlier(platforms[index].label, row, key, said.value, said.unit, middle, z, len(told))


def _noise(told: Sequence[tuple[int, Said]], middle: float) -> float:
    """What differs by chance in such a figure, in its unit."""
    typical = min((said for _, said in told), key=lambda said: abs(said.value - middle))
    return figures.tolerance(typical, typical, "gpu") * abs(middle)
