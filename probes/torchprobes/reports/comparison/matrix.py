"""The matrix of platforms and probes: every cell as its report says it, and what differs in a row."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from ...model import Result, Verdict
from ...quantity import quantity
from . import figures, ways
from .model import Cell, Change, Platform, Row, Said
from .platforms import device_of
from .words import parted

WEIGHTS: Final[dict[Change, float]] = {
    "lost": 100.0, "gained": 60.0, "worse": 40.0, "better": 20.0, "other": 10.0, "alone": 2.0, "same": 0.0,
}  # fmt: skip
"""What a row weighs by its weightiest difference; how far it goes adds up to 20."""

ONCE: Final = 0.25
"""Part of its size that a difference of figures has which were measured once or a few times."""

MOST_WORDS: Final = 8
"""Differing figures of a row that are told one by one: a page is for reading, the figures are all in the cells."""

_LONGEST: Final = 160
"""Characters of a name or a reason in words; all of it is in the cells."""

_STANDING: Final = {Verdict.PASS: 3, Verdict.DEGRADED: 2, Verdict.SKIP: 1, Verdict.FAIL: 0}
"""How much of a feature there is; what is unsure or broke says nothing about that."""


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Judged:
    """A row, and the places of the platforms that lie apart in it."""

    row: Row
    apart: frozenset[int]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs in a row. `size` is 0 to 1: how far."""

    change: Change
    words: str
    size: float
    apart: frozenset[int]


def rows(platforms: Sequence[Platform]) -> tuple[Judged, ...]:
    """Every probe that any platform has, those that differ first and by weight."""
    labels = [platform.label for platform in platforms]
    judged = [_judged(asked, labels) for asked in _asked(platforms)]
    return tuple(sorted(judged, key=lambda each: -each.row.weight))


# --- cells -------------------------------------------------------------------------------------------------------


class _Asked(NamedTuple):
    """One probe over all platforms: its cells, and the names of the devices that they are about."""

    name: str
    group: str
    cells: tuple[Cell, ...]
    devices: tuple[str, ...]


def _asked(platforms: Sequence[Platform]) -> Iterator[_Asked]:
    """Every probe, in the order of the first platform that has it."""
    results = [{result.name: result for result in platform.report.results} for platform in platforms]
    for name in dict.fromkeys(name for each in results for name in each):
        told = [each.get(name) for each in results]
        devices = tuple(device_of(p, r.device) if r else "" for p, r in zip(platforms, told, strict=True))
        cells = tuple(_cell(r, device) if r else NOT_ASKED for r, device in zip(told, devices, strict=True))
        yield _Asked(name, next(r.group for r in told if r is not None), cells, devices)


NOT_ASKED: Final = Cell()


def _cell(result: Result, device: str) -> Cell:
    return Cell(
        verdict=result.verdict,
        reason=result.reason,
        figures=figures.said(result, device),
        ways=ways.of(result),
        findings=tuple(dict.fromkeys(finding.id for finding in result.findings)),
    )


# --- rows --------------------------------------------------------------------------------------------------------


def _judged(asked: _Asked, labels: Sequence[str]) -> Judged:
    name, group, cells, _ = asked
    places = [index for index, cell in enumerate(cells) if cell.verdict is not None]
    if len(places) < 2:
        change: Change = "alone" if len(cells) > 1 else "same"
        words = (f"asked on {labels[places[0]]} only",) if change == "alone" else ()
        return Judged(Row(name, group, cells, change, words, WEIGHTS[change]), frozenset())
    found = [*_verdicts(cells, places, labels), *_ways(name, cells, places, labels), *_figures(asked, labels)]
    if not found:
        return Judged(Row(name, group, cells), frozenset())
    found.sort(key=_weight, reverse=True)
    row = Row(name, group, cells, found[0].change, _words(found), _weight(found[0]))
    return Judged(row, _apart(each for each in found if each.change != "other") or _apart(found))


def _apart(found: Iterable[Difference]) -> frozenset[int]:
    return frozenset(index for each in found for index in each.apart)


def _weight(difference: Difference) -> float:
    return WEIGHTS[difference.change] + 20.0 * min(1.0, difference.size)


def _words(found: list[Difference]) -> tuple[str, ...]:
    told = tuple(each.words for each in found[:MOST_WORDS])
    left = len(found) - len(told)
    return (*told, f"and {left} more") if left > 0 else told


def _verdicts(cells: Sequence[Cell], places: Sequence[int], labels: Sequence[str]) -> Iterator[Difference]:
    groups = _grouped((verdict, index) for index in places if (verdict := cells[index].verdict) is not None)
    if len(groups) < 2:
        return
    first = next(iter(groups))
    change = _of_standing(tuple(groups))
    far = abs(_STANDING.get(first, 3) - min(_STANDING.get(verdict, 3) for verdict in groups))
    told = parted([(verdict.value, its) for verdict, its in groups.items()], labels)
    why = _why(cells, groups)
    words = f"{told}{': ' + change if change in ('lost', 'gained') else ''}{f' ({why})' if why else ''}"
    yield Difference(change, words, far / 3, _smaller(groups.values()))


def _of_standing(verdicts: Sequence[Verdict]) -> Change:
    """`lost` if the first that says anything has more of the feature than any other; `gained` if less."""
    known = [_STANDING[verdict] for verdict in verdicts if verdict in _STANDING]
    if len(set(known)) < 2:
        return "other"
    return "lost" if min(known) < known[0] else "gained"


def _why(cells: Sequence[Cell], groups: dict[Verdict, list[int]]) -> str:
    """The reason of the worst verdict."""
    worst = min(groups, key=lambda verdict: (_STANDING.get(verdict, 2.5), verdict.value))
    reason = " ".join(cells[groups[worst][0]].reason.split())
    return reason if len(reason) <= _LONGEST else f"{reason[: _LONGEST - 1]}…"


def _grouped(told: Iterable[tuple[_T, int]]) -> dict[_T, list[int]]:
    """Places by value, in the order of their first places."""
    groups: dict[_T, list[int]] = {}
    for value, index in told:
        groups.setdefault(value, []).append(index)
    return groups


def _smaller(groups: Iterable[list[int]]) -> frozenset[int]:
    """The places that are not of the largest group; of two as large, not of the one that comes first."""
    every = list(groups)
    most = max(every, key=len)
    return frozenset(index for places in every if places is not most for index in places)


# --- ways --------------------------------------------------------------------------------------------------------


def _ways(name: str, cells: Sequence[Cell], places: Sequence[int], labels: Sequence[str]) -> Iterator[Difference]:
    told: dict[str, dict[str, list[int]]] = {}
    for index in places:
        for what, how in cells[index].ways:
            told.setdefault(what, {}).setdefault(how, []).append(index)
    for what, groups in told.items():
        if len(groups) > 1:
            yield _way(name, what, groups, labels)


def _way(name: str, what: str, groups: dict[str, list[int]], labels: Sequence[str]) -> Difference:
    first = min(groups, key=lambda how: groups[how][0])
    said = [ways.better(name, what, first, how) for how in groups if how != first]
    change: Change = "lost" if False in said else "gained" if True in said else "other"
    words = f"{what[:_LONGEST]}: {parted(list(groups.items()), labels)}{': ' + change if change != 'other' else ''}"
    return Difference(change, words, 0.5, _smaller(groups.values()))


# --- figures -----------------------------------------------------------------------------------------------------


def _figures(asked: _Asked, labels: Sequence[str]) -> Iterator[Difference]:
    told: defaultdict[str, list[tuple[int, Said]]] = defaultdict(list)
    for index, cell in enumerate(asked.cells):
        if cell.verdict in (Verdict.ERROR, Verdict.SKIP):
            continue  # it did not come to its figures: those that are there mean nothing
        for said in cell.figures:
            told[said.key].append((index, said))
    quiet = figures.unsettled if asked.group == "telemetry" else figures.quiet
    for key, values in told.items():
        if len(values) < 2 or quiet(key) or _all_equal(values):
            continue
        found = _figure(key, values, asked.devices, labels)
        if found is not None:
            yield found


def _all_equal(values: Sequence[tuple[int, Said]]) -> bool:
    first = values[0][1].value
    return all(said.value == first for _, said in values)


def _figure(
    key: str, values: Sequence[tuple[int, Said]], devices: Sequence[str], labels: Sequence[str]
) -> Difference | None:
    first, base = values[0]
    ratios = (figures.differs(base, said, figures.likeness(devices[first], devices[i])) for i, said in values[1:])
    moved = [(index, said, r) for (index, said), r in zip(values[1:], ratios, strict=True) if r is not None]
    if not moved:
        return None
    index, worst, ratio = max(moved, key=lambda each: _distance(each[2]))
    told = f"{key[:_LONGEST]}: {_value(base)} on {labels[first]}, {_value(worst)} on {labels[index]} ({_by(ratio)})"
    others = f"; {len(moved)} of {len(values) - 1} differ from {labels[first]}" if len(values) > 2 else ""
    apart = frozenset(place for place, _, _ in moved)
    if 2 * len(apart) > len(values):  # it is the first that lies apart
        apart = frozenset({first})
    change = _change(figures.direction(key, base.unit), ratio)
    size = min(1.0, _distance(ratio)) * (1.0 if figures.is_steady(worst) else ONCE)
    return Difference(change, told + others, size, apart)


def _change(direction: figures.Direction, ratio: float) -> Change:
    if direction == "neither":
        return "other"
    return "better" if (ratio > 1) == (direction == "higher") else "worse"


def _distance(ratio: float) -> float:
    return abs(math.log(ratio)) if 0 < ratio < math.inf else 10.0


def _by(ratio: float) -> str:
    if not 0 < ratio < math.inf:
        return "from nothing" if ratio == math.inf else "to nothing"
    return f"{ratio:.3g}x" if ratio >= 2 else f"{ratio - 1:+.0%}"


def _value(said: Said) -> str:
    text = quantity(said.value, said.unit)
    return text if said.share is None else f"{text} ({said.share:.0%} of {said.of})"
