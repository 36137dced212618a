"""What may explain the rows that differ: everything that platforms differ in, ranked by evidence."""

from __future__ import annotations

from collections.abc import Sequence

from .. import inventory
from .matrix import Judged
from .model import Cause, Platform
from .words import parted


def ranked(platforms: Sequence[Platform], judged: Sequence[Judged]) -> tuple[Cause, ...]:
    """Every difference, likeliest cause first."""
    labels = [platform.label for platform in platforms]
    names = dict.fromkeys((k, n) for p in platforms for k, part in p.inventory.parts.items() for n in part)
    found = []
    for kind, name in names:
        values = tuple(platform.inventory.parts.get(kind, {}).get(name) for platform in platforms)
        if len(set(values)) > 1:
            groups: dict[str, list[int]] = {}
            for index, value in enumerate(values):
                groups.setdefault("not there" if value is None else value, []).append(index)
            weight = inventory.KINDS[kind].weight if kind in inventory.KINDS else 0.3
            found.append(Cause(kind, name, values, f"{name}: {parted(list(groups.items()), labels)}", weight=weight))
    return tuple(sorted(found, key=lambda cause: -cause.weight))


def unknown(platforms: Sequence[Platform]) -> tuple[str, ...]:
    """What of whose inventory nobody knows, a line each."""
    return tuple(
        f"{platform.label}: {kind or 'inventory'}: {why}"
        for platform in platforms
        for kind, why in platform.inventory.unread.items()
    )
