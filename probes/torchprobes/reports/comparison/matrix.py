"""The matrix of platforms and probes: every cell as its report says it, and what differs in a row."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...model import Result, Verdict
from ...quantity import quantity
from . import figures, ways
from .model import Cell, Change, Platform, Row, Said
from .words import parted

WEIGHTS: Final[dict[Change, float]] = {
    "lost": 100.0, "gained": 60.0, "worse": 40.0, "better": 20.0, "other": 10.0, "alone": 2.0, "same": 0.0,
}  # fmt: skip
"""What a row weighs by its weightiest difference; how far it goes adds up to 20."""

MOST_WORDS: Final = 8
"""Differing figures of a row that are told one by one: a page is for reading, the figures are all in the cells."""

_STANDING: Final = {Verdict.PASS: 3, Verdict.DEGRADED: 2, Verdict.SKIP: 1, Verdict.FAIL: 0}
"""How much of a feature there is; what is unsure or broke says nothing about that."""


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
    kinds = [_kinds_of_devices(platform) for platform in platforms]
    judged = [
        _judged(name, group, cells, [kind(device) for kind, device in zip(kinds, devices, strict=True)], platforms)
        for name, group, cells, devices in _asked(platforms)
    ]
    return tuple(sorted(judged, key=lambda each: -each.row.weight))


# --- cells -------------------------------------------------------------------------------------------------------


class _kinds_of_devices:  # noqa: N801 - a function with the platform bound to it
    """The name of the device that a result of that platform is about; figures of equal names are compared."""

    __slots__ = ("_cpu", "_devices")

    def __init__(self, platform: Platform) -> None:
        machine = platform.report.machine
        self._cpu = f"cpu {machine.cpu} {machine.cores}"
        self._devices = platform.devices

    def __call__(self, device: str) -> str:
        kind, _, index = device.partition(":")
        if kind in ("", "cpu") or not self._devices:
            return self._cpu
        place = int(index) if index.isdigit() and len(index) < 6 else 0
        return self._devices[place] if place < len(self._devices) else self._devices[0]


def _asked(platforms: Sequence[Platform]) -> Iterator[tuple[str, str, tuple[Cell, ...], list[str]]]:
    """(name, group, cells, devices) of every probe, in the order of the first platform that has it."""
    results = [{result.name: result for result in platform.report.results} for platform in platforms]
    kinds = [_kinds_of_devices(platform) for platform in platforms]
    for name in dict.fromkeys(name for each in results for name in each):
        told = [each.get(name) for each in results]
        group = next(result.group for result in told if result is not None)
        cells = tuple(_cell(r, kind(r.device)) if r else NOT_ASKED for r, kind in zip(told, kinds, strict=True))
        yield name, group, cells, [result.device if result else "" for result in told]


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


def _judged(
    name: str, group: str, cells: tuple[Cell, ...], devices: list[str], platforms: Sequence[Platform]
) -> Judged:
    labels = [platform.label for platform in platforms]
    asked = [index for index, cell in enumerate(cells) if cell.verdict is not None]
    if len(asked) < 2:
        change: Change = "alone" if len(cells) > 1 else "same"
        words = (f"asked on {labels[asked[0]]} only",) if change == "alone" else ()
        return Judged(Row(name, group, cells, change, words, WEIGHTS[change]), frozenset())
    found = [*_verdicts(cells, asked, labels), *_ways(name, cells, asked, labels), *_figures(cells, devices, labels)]
    found.sort(key=_weight, reverse=True)
    apart = frozenset(index for each in found if each.change != "other" for index in each.apart)
    row = Row(
        name, group, cells, found[0].change if found else "same", _words(found), _weight(found[0]) if found else 0
    )
    return Judged(row, apart or frozenset(index for each in found for index in each.apart))


def _weight(difference: Difference) -> float:
    return WEIGHTS[difference.change] + 20.0 * min(1.0, difference.size)


def _words(found: list[Difference]) -> tuple[str, ...]:
    told = tuple(each.words for each in found[:MOST_WORDS])
    left = len(found) - len(told)
    return (*told, f"and {left} more") if left > 0 else told


def _verdicts(cells: Sequence[Cell], asked: Sequence[int], labels: Sequence[str]) -> Iterator[Difference]:
    verdicts = {index: verdict for index in asked if (verdict := cells[index].verdict) is not None}
    if len(set(verdicts.values())) < 2:
        return
    groups = grouped(verdicts)
    change = _of_standing([verdicts[index] for index in asked])
    far = max(_STANDING.values()) - min(_STANDING.get(verdict, 3) for verdict in groups)
    told = parted([(verdict.value, places) for verdict, places in groups.items()], labels)
    why = _why(cells, groups)
    words = f"{told}{': ' + change if change in ('lost', 'gained') else ''}{f' ({why})' if why else ''}"
    yield Difference(change, words, far / 3, smaller(groups))


def _of_standing(verdicts: list[Verdict]) -> Change:
    """`lost` if the first that says anything has more of the feature than any other; `gained` if less."""
    known = [_STANDING[verdict] for verdict in verdicts if verdict in _STANDING]
    if len(set(known)) < 2:
        return "other"
    return "lost" if min(known) < known[0] else "gained"


def _why(cells: Sequence[Cell], groups: dict[Verdict, list[int]]) -> str:
    """The reason of the worst verdict."""
    worst = min(groups, key=lambda verdict: (_STANDING.get(verdict, 2.5), verdict.value))
    reason = " ".join(cells[groups[worst][0]].reason.split())
    return reason if len(reason) <= 160 else f"{reason[:159]}…"


def grouped(values: dict[int, Verdict]) -> dict[Verdict, list[int]]:
    """Places by value, in the order of their first places."""
    groups: dict[Verdict, list[int]] = {}
    for index, value in values.items():
        groups.setdefault(value, []).append(index)
    return groups


def smaller(groups: dict[Verdict, list[int]] | dict[str, list[int]]) -> frozenset[int]:
    """The places that are not of the largest group; of two as large, not of the one that comes first."""
    most = max(groups.values(), key=len)
    return frozenset(index for places in groups.values() if places is not most for index in places)


# --- ways --------------------------------------------------------------------------------------------------------


def _ways(name: str, cells: Sequence[Cell], asked: Sequence[int], labels: Sequence[str]) -> Iterator[Difference]:
    told: dict[str, dict[str, list[int]]] = {}
    for index in asked:
        for what, how in cells[index].ways:
            told.setdefault(what, {}).setdefault(how, []).append(index)
    for what, groups in told.items():
        if len(groups) > 1:
            yield _way(name, what, groups, labels)


def _way(name: str, what: str, groups: dict[str, list[int]], labels: Sequence[str]) -> Difference:
    first = min(groups, key=lambda how: groups[how][0])
    said = [ways.better(name, what, first, how) for how in groups if how != first]
    change: Change = "lost" if False in said else "gained" if True in said else "other"
    words = f"{what}: {parted(list(groups.items()), labels)}{': ' + change if change != 'other' else ''}"
    return Difference(change, words, 0.5, smaller(groups))


# --- figures -----------------------------------------------------------------------------------------------------


def _figures(cells: Sequence[Cell], devices: Sequence[str], labels: Sequence[str]) -> Iterator[Difference]:
    told: defaultdict[str, list[tuple[int, Said]]] = defaultdict(list)
    for index, cell in enumerate(cells):
        if cell.verdict in (Verdict.ERROR, Verdict.SKIP):
            continue  # it did not come to its figures: those that are there mean nothing
        for said in cell.figures:
            told[said.key].append((index, said))
    for key, values in told.items():
        if len(values) > 1 and not figures.quiet(key) and not _all_near(values):
            found = _figure(key, values, devices, labels)
            if found is not None:
                yield found


def _all_near(values: list[tuple[int, Said]]) -> bool:
    """Whether all are equal, or within the least tolerance of what is measured: the usual case, and cheaply told."""
    numbers = [said.value for _, said in values]
    low, high = min(numbers), max(numbers)
    return low == high


def _figure(
    key: str, values: list[tuple[int, Said]], devices: Sequence[str], labels: Sequence[str]
) -> Difference | None:
    first, base = values[0]
    moved = [(index, said, ratio) for index, said in values[1:]
             if (ratio := figures.differs(base, said, devices[index] == devices[first])) is not None]  # fmt: skip
    if not moved:
        return None
    index, worst, ratio = max(moved, key=lambda each: _distance(each[2]))
    change = _change(figures.direction(key, base.unit), ratio)
    told = f"{key}: {_value(base)} on {labels[first]}, {_value(worst)} on {labels[index]} ({_by(ratio)})"
    others = f", {len(moved)} of {len(values) - 1} differ" if len(values) > 2 else ""
    apart = frozenset(i for i, _, _ in moved)
    if len(apart) * 2 > len(values):  # then it is the first that lies apart
        apart = frozenset({first})
    return Difference(change, told + others, min(1.0, _distance(ratio)), apart)


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
    return text if said.share is None else f"{text} ({said.share:.0%} of {_of(said)})"


def _of(said: Said) -> str:
    return "peak" if said.of.startswith("peak") else "the expected"
