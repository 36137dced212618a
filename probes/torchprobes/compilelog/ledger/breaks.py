"""Graph breaks of one process: distinct by file, line and kind, counted over compile ids, trace before text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ..events import GraphBroke, Place
from .names import function_name

MOST_TOLD: Final = 500_000
"""Occurrences that are told apart; more of one process are not to be expected, unless a file is made to be."""

MOST_NAMED: Final = 32
"""Compile ids and places that are kept of one break; the occurrences are counted all the same."""

BreakKey = tuple[str, int, str]
"""File, line and kind."""


@dataclass(slots=True)
class Broken:
    """One distinct break."""

    first: GraphBroke
    occurrences: int = 0
    compile_ids: dict[str, int] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)

    @property
    def function(self) -> str:
        """The user's function in which it stands."""
        return function_name(self.first.stack[-1].function) if self.first.stack else ""


class Breaks:
    """What the sources say. `tier` 0 is the trace, 1 the text of stderr, 2 a debug log.

    One break of one compile is one occurrence, however many attempts of it, and whichever sources, tell it. Text that
    tells a break at a line and compile id of which the trace tells too adds nothing. A debug log names no compile ids,
    so that it counts only where nothing else tells of breaks.
    """

    def __init__(self) -> None:
        self._traced: dict[BreakKey, Broken] = {}
        self._spoken: dict[BreakKey, dict[tuple[str, int], GraphBroke]] = {}
        self._logged: dict[BreakKey, Broken] = {}
        self._taken = 0
        self._told: set[tuple[str, int, BreakKey]] = set()
        self._lines: set[tuple[str, str, int]] = set()

    @property
    def told(self) -> bool:
        """Whether any source has told of a break."""
        return bool(self._traced or self._spoken or self._logged)

    def take(self, event: GraphBroke, tier: int, epoch: int) -> None:
        """One more report of a break."""
        key = (event.file, event.line, event.kind)
        compile_id = event.source.compile_id
        if self._taken >= MOST_TOLD:
            return
        self._taken += 1
        if tier == 0:
            self._lines.add((compile_id, event.file, event.line))
            if (compile_id, epoch, key) not in self._told:
                self._told.add((compile_id, epoch, key))
                _count(self._traced, key, event)
        elif tier == 1:
            occurrence = (compile_id, epoch) if compile_id else (event.source.place.path, event.source.place.offset)
            self._spoken.setdefault(key, {}).setdefault(occurrence, event)
        else:
            _count(self._logged, key, event)

    def distinct(self) -> dict[BreakKey, Broken]:
        """All of them, each source adding what those before it lack."""
        found = {key: _copied(broken) for key, broken in self._traced.items()}
        for key, events in self._spoken.items():
            for event in events.values():
                if (event.source.compile_id, event.file, event.line) not in self._lines:
                    _count(found, key, event)
        return found if found or not self._logged else dict(self._logged)

    def absorb(self, other: Breaks) -> None:
        """Another book's breaks are this process's too."""
        for key, events in other._spoken.items():
            self._spoken.setdefault(key, {}).update(events)
        for table, more in ((self._traced, other._traced), (self._logged, other._logged)):
            for key, broken in more.items():
                table.setdefault(key, broken)
        self._told |= other._told
        self._lines |= other._lines


def _count(table: dict[BreakKey, Broken], key: BreakKey, event: GraphBroke) -> None:
    broken = table.setdefault(key, Broken(event))
    broken.occurrences += 1
    if len(broken.places) < MOST_NAMED:
        broken.places.append(event.source.place)
    if event.source.compile_id and len(broken.compile_ids) < MOST_NAMED:
        broken.compile_ids[event.source.compile_id] = 1


def _copied(broken: Broken) -> Broken:
    return Broken(broken.first, broken.occurrences, dict(broken.compile_ids), list(broken.places))
