"""What the reader of an explanation should know of its sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .group import Group

if TYPE_CHECKING:
    from .failures import Settled

_LOSSES: Final = {
    "torn": "lines of two writers went into each other ({n} times): torchrun --log-dir DIR --tee 3 gives each a file",
    "junk": "bytes of a trace that are no record ({n} times)",
    "partial": "the last record of a file has no end: its writer was stopped, or is at it",
    "broken": "records that could not be read: {n}",
}


def notes(told: Sequence[Group], lost: dict[str, int], settled: Sequence[Settled], silent: bool) -> tuple[str, ...]:
    """Each in one line. `silent`: nothing more comes, and nothing says how the program ended."""
    found: list[str] = []
    warm = [group for group in told if _is_warm(group)]
    if warm:
        found.append("the compile cache was warm: hits write no artefacts and take little time")
    if told and not any(group.traced for group in told):
        found.append(
            "there is no structured trace: only what torch wrote as text is told (set TORCH_TRACE, torch 2.3+)"
        )
    found += [_least(group) for group in told if group.folders and not group.book.begun and not group.traced]
    if any(group.breaks and not group.traced and not group.book.begun for group in told):
        found.append("graph breaks are told as far as torch warns of them: others may be there")
    found += [_open(group) for group in told if group.process.phases.names and (silent or _is_gone(group))]
    if any(one.guessed and one.fatal for one in settled):
        found.append(
            "nothing follows the failed compile; without stderr the files do not tell whether the program ended"
        )
    found += [_LOSSES[loss].format(n=n) for loss, n in sorted(lost.items()) if loss in _LOSSES]
    return tuple(found)


def _is_gone(group: Group) -> bool:
    """Whether its process is no more, and nobody tells how it ended."""
    exited = group.process.exited
    return exited is not None and exited.exit_code is None and not exited.signal


def _is_warm(group: Group) -> bool:
    states = {event.state for _, event in group.kept("caches")}
    return "hit" in states and "miss" not in states


def _least(group: Group) -> str:
    """Without a trace, the folders of the debug tree tell of compiles: those that no cache has answered."""
    again = sorted({i for i in group.folders if not i.endswith("/0")})
    told = f"; compiled again: {', '.join(again[:8])}, the files do not say why" if again else ""
    return f"at least {len(set(group.folders))} compiles, by the folders of the debug tree{told}"


def _open(group: Group) -> str:
    phases = group.process.phases
    what = f" of {phases.compile_id}" if phases.compile_id else ""
    return f"process {group.key} says nothing after {phases.names[-1]}{what} began: it was ended there, or is at it"
