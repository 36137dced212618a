"""Which platforms have what, in words: bounded, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MOST_LABELS: Final = 3
"""Labels that are named one by one."""

MOST_GROUPS: Final = 4
"""Values that are named one by one."""


def labels_in_words(places: Sequence[int], labels: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and 41 more"; "all" of more than two."""
    if len(places) == len(labels) > 2:
        return f"all {len(labels)}"
    named = [labels[index] for index in places[:MOST_LABELS]]
    left = len(places) - len(named)
    if left:
        return f"{', '.join(named)} and {left} more"
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]])) if named else "none"


def parted(groups: Sequence[tuple[str, Sequence[int]]], labels: Sequence[str]) -> str:
    """Every value with the platforms that have it: "700 W on a and b, 350 W on c". The first group stays first."""
    kept = groups[:MOST_GROUPS]
    told = [f"{value} on {labels_in_words(places, labels)}" for value, places in kept]
    left = sum(len(places) for _, places in groups[MOST_GROUPS:])
    return ", ".join(told) + (f", and {len(groups) - len(kept)} other values on {left} more" if left else "")
