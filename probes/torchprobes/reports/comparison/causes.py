"""What may explain the rows that differ: everything that platforms differ in, ranked by evidence.

The rank of a difference is the product of: how often its kind explains anything (`inventory.KINDS`), what the rule
about it knows (`knowledge.RULES`) and whether the rows that it moves do differ, how well the platforms that lie apart
in it are those that lie apart in the rows, how few they are, and whether the reports themselves tie it to a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ...model import Severity
from .. import inventory
from . import differing, knowledge
from .differing import FINDING, Different
from .knowledge import Known
from .matrix import Judged
from .model import Cause, Platform, Row
from .words import parted

MOVED: Final = 1.0
UNMOVED: Final = 0.45
"""What a rule's difference is worth when nothing differs of what it moves: still more than what nobody knows of."""

UNKNOWN: Final = 0.1
"""Of which no rule knows anything."""

SURE: Final = 1.4
"""Times, when a way or a finding parts the platforms as the difference does."""

SCATTERED: Final = 0.3
MANY: Final = 5
"""Times, when nearly every one of that many platforms has a value of its own: an identity, and no setting."""

FOLLOWS: Final = 0.4
"""Times, for a setting of PyTorch that is the same wherever PyTorch is the same: its default there."""

OTHER_KIND: Final = 0.3
"""Weight of a kind that `inventory.KINDS` does not have."""

_OF_FINDING: Final = {Severity.CRITICAL: 0.9, Severity.WARNING: 0.5}

_LONGEST: Final = 80
"""Characters of a value in a cause's words; all of it is in its values."""


def ranked(platforms: Sequence[Platform], judged: Sequence[Judged]) -> tuple[Cause, ...]:
    """Every difference of machines and targets, likeliest cause first."""
    if len(platforms) < 2:
        return ()
    moved = tuple(each for each in judged if each.row.change not in ("same", "alone"))
    groups = _alike(differing.between(platforms))
    torch = next((same[0] for same in groups if (same[0].kind, same[0].name) == _TORCH), None)
    found = [_cause(same, platforms, moved, torch) for same in groups]
    return tuple(sorted(found, key=lambda cause: -cause.weight))


def unknown(platforms: Sequence[Platform]) -> tuple[str, ...]:
    """What nobody knows of their inventories, a line for each reason with all whom it concerns."""
    told: dict[tuple[str, str], list[int]] = {}
    for index, platform in enumerate(platforms):
        for key, why in platform.inventory.unread.items():
            told.setdefault((key.rstrip(":/"), why), []).append(index)
    labels = [platform.label for platform in platforms]
    return tuple(f"{parted([(key or 'inventory', places)], labels)} is not known: {why}"
                 for (key, why), places in told.items())  # fmt: skip


# --- one difference of many parts ----------------------------------------------------------------------------------


def _alike(found: Iterable[Different]) -> list[list[Different]]:
    """Differences that are one: the same setting of several GPUs, or what comes with another PyTorch."""
    every = list(found)
    torch = next((each for each in every if (each.kind, each.name) == _TORCH), None)
    groups: dict[tuple[object, ...], list[Different]] = {}
    for each in every:
        groups.setdefault(_sameness(each, torch), []).append(each)
    if torch is not None and _WITH_TORCH in groups:
        groups[_WITH_TORCH].sort(key=lambda each: each is not torch)
    return list(groups.values())


_TORCH: Final = ("package", "torch")
"""Where an inventory has PyTorch's version."""

_WITH_TORCH: Final = ("PyTorch",)


def _sameness(each: Different, torch: Different | None) -> tuple[object, ...]:
    rule = knowledge.about(each.kind, each.name)
    topic = rule.topic if rule else each.name
    if torch is not None and topic in knowledge.WHEEL and each.kind in _OF_WHEEL and _follows(each, torch):
        return _WITH_TORCH
    if each.kind in ("gpu", "topology", "sysctl", "network"):
        return (each.kind, topic, _subject(each), each.parts)
    return (each.kind, each.name)


_OF_WHEEL: Final = ("package", "library", "python", "toolchain")


def _follows(each: Different, torch: Different) -> bool:
    """Whether platforms of the same PyTorch have it alike, and so PyTorch says it."""
    pairs = {(part, own) for part, own in zip(torch.parts, each.parts, strict=True) if part >= 0 and own >= 0}
    return len({part for part, _ in pairs}) == len(pairs)


_PLACE: Final = re.compile(r"^(GPU\d{1,4}(?:-GPU\d{1,4})?)\b ?")


def _subject(each: Different) -> str:
    """Its name without the GPU that it is of."""
    return _PLACE.sub("", each.name) if each.kind == "gpu" else "" if each.kind == "topology" else each.name


# --- words ---------------------------------------------------------------------------------------------------------

_ABSENT: Final = {"variable": "not set", "package": "not installed", "library": "not loaded", "module": "not loaded"}
_BARE: Final = ("gpu", "driver", "cgroup", "cpu", "kernel", "python", "sysctl", "toolchain")
"""Kinds whose names say by themselves what they are."""


def _words(same: Sequence[Different], labels: Sequence[str]) -> str:
    first = same[0]
    absent = _ABSENT.get(first.kind, "not there")
    groups = [(absent if value is None else _cut(value), places) for value, places in first.groups]
    if first.kind == FINDING:
        there = next(((value, places) for value, places in first.groups if value is not None), ("", []))
        return f"{_cut(first.name)}, {parted([(_cut(there[0] or ''), there[1])], labels)}"
    unread = [index for index, part in enumerate(first.parts) if part < 0]
    return f"{_title(same)}: {parted([*groups, *([('not read', unread)] if unread else [])], labels)}{_others(same)}"


def _title(same: Sequence[Different]) -> str:
    first = same[0]
    if first.kind == "gpu":
        places = [match.group(1) for each in same if (match := _PLACE.match(each.name))]
        return f"{_cut(_subject(first))}{_listed(places)}"
    kind = (
        "" if first.kind in _BARE else f"{inventory.KINDS[first.kind].words} " if first.kind in inventory.KINDS else ""
    )
    return f"{kind}{_cut(first.name)}"


def _others(same: Sequence[Different]) -> str:
    """What differs with the first; of a GPU's settings the title has them all."""
    names = [each.name for each in same[1:] if each.kind != "gpu"]
    return f" (and {len(names)} more: {_some(names)})" if names else ""


def _listed(places: Sequence[str]) -> str:
    return f" of {_some(places)}" if places else ""


def _some(names: Sequence[str], most: int = 4) -> str:
    left = len(names) - most
    return ", ".join(map(_cut, names[:most])) + (f" and {left} more" if left > 0 else "")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


# --- rank ----------------------------------------------------------------------------------------------------------


def _cause(
    same: Sequence[Different], platforms: Sequence[Platform], moved: Sequence[Judged], torch: Different | None
) -> Cause:
    first = same[0]
    rule = knowledge.about(first.kind, first.name)
    its = _explained(rule, first, moved)
    tied = rule is not None and _tied(rule, first, its)
    fit = _overlap(first.apart, its) if first.kind == FINDING else _fit(rule, first, its)
    weight = _kind_weight(first, platforms) * fit * _rarity(first) * (SURE if tied else 1.0)
    if torch is not None and first.kind == "setting" and _follows(first, torch):
        weight *= FOLLOWS
    return Cause(
        kind=first.kind,
        name=first.name,
        values=first.values,
        words=_words(same, [platform.label for platform in platforms]),
        explains=tuple(each.row.name for each in sorted(its, key=lambda e: -_near(first.apart, e.apart))),
        why=rule.why if rule else "",
        weight=weight,
        sure=tied,
    )


def _explained(rule: Known | None, each: Different, moved: Sequence[Judged]) -> list[Judged]:
    """The rows that it moves; of a finding of the machine those that differ on the same platforms."""
    if each.kind == FINDING:
        return [judged for judged in moved if judged.apart & each.apart]
    return [judged for judged in moved if rule is not None and knowledge.moves(rule, judged.row.name)]


def _kind_weight(each: Different, platforms: Sequence[Platform]) -> float:
    if each.kind == FINDING:
        return _OF_FINDING[differing.severity(platforms, each.name)]
    return inventory.KINDS[each.kind].weight if each.kind in inventory.KINDS else OTHER_KIND


def _fit(rule: Known | None, each: Different, its: Sequence[Judged]) -> float:
    if rule is None:
        return UNKNOWN
    return rule.strength * (max(UNMOVED, MOVED * _overlap(each.apart, its)) if its else UNMOVED)


def _overlap(apart: frozenset[int], its: Sequence[Judged]) -> float:
    """How well it parts the platforms as the row does that it fits best, half of it for moving anything at all."""
    return 0.5 + 0.5 * max((_near(apart, each.apart) for each in its), default=0.0)


def _near(one: frozenset[int], other: frozenset[int]) -> float:
    """Common places by all places (Jaccard's index)."""
    both = len(one | other)
    return len(one & other) / both if both else 0.0


def _rarity(each: Different) -> float:
    """1 for a single platform that lies apart, falling to a half; less for what differs everywhere."""
    known = sum(1 for part in each.parts if part >= 0)
    if known < 3:
        return 1.0
    if known >= MANY and max(each.parts) + 1 > 0.8 * known:
        return SCATTERED
    return 1.0 - 0.5 * (len(each.apart) - 1) / known


# --- evidence ------------------------------------------------------------------------------------------------------


def _tied(rule: Known, each: Different, its: Sequence[Judged]) -> bool:
    """Whether a way of a row that it moves changes where it does, or a finding there says the same."""
    return any(_way_ties(rule, each, judged.row) or _finding_ties(rule, each, judged.row) for judged in its)


def _way_ties(rule: Known, each: Different, row: Row) -> bool:
    for what in dict.fromkeys(what for cell in row.cells for what, _ in cell.ways if knowledge.is_sign(rule, what)):
        values = [dict(cell.ways).get(what, "") for cell in row.cells]
        if _parted_alike(each.parts, values):
            return True
    return False


def _parted_alike(parts: Sequence[int], values: Sequence[str]) -> bool:
    """Whether equal values are where equal parts are, among platforms of which both are known."""
    pairs = {(part, value) for part, value in zip(parts, values, strict=True) if part >= 0 and value}
    return len(pairs) > 1 and len({part for part, _ in pairs}) == len({value for _, value in pairs}) == len(pairs)


def _finding_ties(rule: Known, each: Different, row: Row) -> bool:
    has = {index for index, cell in enumerate(row.cells) if any(knowledge.says(rule, f) for f in cell.findings)}
    return bool(has) and has == each.apart
