"""What a comparison says in words and in short lists, the same for Markdown, HTML and a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, get_args

from torchprobes.model import REPORT_ORDER, Verdict
from torchprobes.quantity import quantity

from .model import Cause, Cell, Change, Comparison, Platform, Row, Said

MANY: Final = 8
"""More platforms than this are a crowd: told by how many, and by name only where they are few."""

_NAMED: Final = 6
_TELLING: Final = 3
_CHANGES: Final[tuple[Change, ...]] = get_args(Change)

ABSENT, UNKNOWN, NOT_ASKED = "not there", "not read", "not asked"


def headline(comparison: Comparison) -> str:
    """How many features differ, and how: `3 of 20 features differ: 1 lost, 2 worse`."""
    changes = Counter(row.change for row in comparison.differing)
    if not comparison.rows:
        return "No feature was asked about on any of them"
    if not changes:
        return f"None of {_features(len(comparison.rows))} differs"
    said = ", ".join(f"{changes[change]} {change}" for change in _CHANGES if change in changes)
    return f"{len(comparison.differing)} of {_features(len(comparison.rows))} differ: {said}"


def _features(count: int) -> str:
    return "1 feature" if count == 1 else f"{count} features"


def sides(cause: Cause, platforms: Sequence[Platform]) -> tuple[tuple[str, str], ...]:
    """(value, platforms that have it), the rarest first: it is the likelier one to be wrong."""
    groups: dict[str, list[str]] = {}
    for platform, value in zip(platforms, cause.values, strict=False):
        groups.setdefault(ABSENT if value is None else value or UNKNOWN, []).append(platform.label)
    rarest = sorted(groups.items(), key=lambda group: len(group[1]))
    return tuple((value, named(labels)) for value, labels in rarest)


def unknown(cause: Cause, platforms: Sequence[Platform]) -> str:
    """Platforms of which nobody knows what they have; its words name the others."""
    pairs = zip(platforms, cause.values, strict=False)
    return named([platform.label for platform, value in pairs if value == ""])


def named(labels: Sequence[str]) -> str:
    """Names, as many as a line takes, and how many more there are."""
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return ", ".join(labels[:_NAMED]) + more


def tally(row: Row, platforms: Sequence[Platform]) -> tuple[tuple[Verdict | None, int, str], ...]:
    """(verdict, how many have it, who), by weight; who is "" for the one that most have, and where all have one."""
    who: dict[Verdict | None, list[str]] = {}
    for platform, cell in zip(platforms, row.cells, strict=True):
        who.setdefault(cell.verdict, []).append(platform.label)
    most = max(who, key=lambda verdict: len(who[verdict]), default=None)
    order = [verdict for verdict in (*REPORT_ORDER, None) if verdict in who]
    return tuple((v, len(who[v]), "" if v is most else named(who[v])) for v in order)


def telling(row: Row, most: int = _TELLING) -> tuple[str, ...]:
    """Keys of the figures that a reader needs of a row: those that its words name, then those with a share."""
    keys = dict.fromkeys(said.key for cell in row.cells for said in cell.figures)
    spoken = {line.partition(": ")[0]: None for line in row.words}
    shared = {said.key: None for cell in row.cells for said in cell.figures if said.share is not None}
    return tuple(key for key in spoken | shared if key in keys)[:most]


def telling_ways(row: Row, most: int = _TELLING) -> tuple[str, ...]:
    """Names of the ways that not all have alike: those that its words name, then the others."""
    ways: dict[str, set[str]] = {}
    for cell in row.cells:
        for name, way in cell.ways:
            ways.setdefault(name, set()).add(way)
    differ = [name for name, values in ways.items() if len(values) > 1]
    spoken = [name for line in row.words if (name := line.partition(": ")[0]) in differ]
    return tuple(dict.fromkeys((*spoken, *differ)))[:most]


def said_of(cell: Cell, key: str) -> Said | None:
    """The figure of a cell by its key."""
    return next((said for said in cell.figures if said.key == key), None)


def figure_words(said: Said) -> str:
    """A figure with its share: `751 TFLOP/s, 95 % of its expectation`."""
    value = quantity(said.value, said.unit)
    return value if said.share is None else f"{value}, {100 * said.share:.0f} %" + (f" of {said.of}" if said.of else "")


def key_words(key: str) -> str:
    """A key as a reader takes it, without the unit that its value says: `gemm_us dtype=bf16` is `gemm · bf16`."""
    name, _, labels = key.partition(" ")
    stem, _, unit = name.rpartition("_")
    values = [label.partition("=")[2] for label in _LABELS.split(labels) if label]
    return " · ".join([(stem if stem and unit in _UNITS else name).replace("_", " "), *values])


_UNITS: Final = frozenset({"s", "ms", "us", "bytes"})
_LABELS: Final = re.compile(r" (?=[^\s=]+=)")
"""Between two labels of a key; a label's value may have spaces."""


def torch_words(platform: Platform) -> str:
    """Its PyTorch, as a column's second line."""
    torch = platform.report.target.torch
    return "no torch" if torch is None else f"torch {torch or UNKNOWN}"


def explains(cause: Cause, most: int = _NAMED) -> str:
    """The rows that a cause may explain."""
    more = f" and {len(cause.explains) - most} more" if len(cause.explains) > most else ""
    return ", ".join(cause.explains[:most]) + more


def parted_rows(comparison: Comparison) -> tuple[tuple[Row, ...], tuple[Row, ...], tuple[Row, ...]]:
    """Rows that differ where several were asked, rows of one platform alone, and rows that are the same."""
    told = tuple(row for row in comparison.differing if row.change != "alone")
    alone = tuple(row for row in comparison.rows if row.change == "alone")
    return told, alone, alike(comparison.rows)


def alike(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows in which nothing differs."""
    return tuple(row for row in rows if row.change == "same")


# --- which platforms have what: bounded, however many there are ------------------------------------------------------

MOST_LABELS: Final = 3
"""Labels that are named one by one."""

MOST_GROUPS: Final = 4
"""Values that are named one by one."""


def labels_in_words(places: Sequence[int], labels: Sequence[str]) -> str:
    """As "a", "a and b", "a, b and 41 more"; "all" of more than two."""
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
