"""What the reader of an explanation should know of its sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .group import Group

if TYPE_CHECKING:
    from .failures import Settled

_LOSSES: Final = {
    "torn": "{n} places hold bytes that are no record: two writers went into each other, or something else wrote there",
    "partial": "the last record of a file has no end: its writer was stopped, or is at it",
    "broken": "{n} records could not be read",
}


def notes(told: Sequence[Group], lost: dict[str, int], settled: Sequence[Settled]) -> tuple[str, ...]:
    """Each in one line."""
    found: list[str] = []
    warm = [group for group in told if _is_warm(group)]
    if warm:
        found.append("the compile cache was warm: hits write no artefacts and take little time")
    if told and not any(group.traced for group in told):
        found.append(
            "there is no structured trace: only what torch wrote as text is told (set TORCH_TRACE, torch 2.3+)"
        )
    if any(one.guessed and one.fatal for one in settled):
        found.append(
            "nothing follows the failed compile; without stderr the files do not tell whether the program ended"
        )
    found += [_LOSSES[loss].format(n=n) for loss, n in sorted(lost.items()) if loss in _LOSSES]
    return tuple(found)


def _is_warm(group: Group) -> bool:
    states = {event.state for _, event in group.kept("caches")}
    return "hit" in states and "miss" not in states
