"""Per function: how often it is compiled again, at which pace, and what would stop it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..explanation import Function
from . import words
from .compiles import Record
from .group import Group
from .names import function_name
from .process import Again

VALUES: Final = 64
"""Failing values of one function that are told, the last ones."""

_MINUTE: Final = 60.0


def functions(groups: Sequence[Group], most: int | None) -> list[Function]:
    """Functions that were compiled more than once, those that cost most first, and no more than `most`."""
    frames = [(group, records) for group in groups for records in _frames(group) if len(records) > 1]
    frames.sort(key=lambda frame: -sum(record.forward_s or 0.0 for record in frame[1][1:]))
    return [_function(group, records) for group, records in frames[:most]]


def _frames(group: Group) -> list[list[Record]]:
    frames: dict[tuple[str, int], list[Record]] = {}
    for record in group.book.records:
        frames.setdefault((record.frame, record.epoch), []).append(record)
    return list(frames.values())


def _function(group: Group, records: list[Record]) -> Function:
    first = records[0]
    compiled = [record for record in records if not record.limit]
    found = [(record, group.again(record)) for record in records[1:]]
    again = [(record, known) for record, known in found if known is not None and known.cause is not None]
    times = [record.started_s for record in compiled[1:] if record.started_s is not None]
    hit = next((e for _, e in group.kept("limits") if _is_of(e.function, e.line, first)), None)
    most = next((record.most for record in reversed(records) if record.most is not None), None)
    costs = [record.forward_s for record in compiled[1:] if record.forward_s is not None]
    return Function(
        function=function_name(first.function),
        file=first.file,
        line=first.line,
        process=group.key,
        compiles=len(compiled),
        limit=hit.limit if hit and hit.limit is not None else most,
        a_minute=_a_minute(times),
        trend="ended" if hit else _trend(times),
        seconds=sum(costs) if costs else None,
        values=_values(again)[-VALUES:],
        stop=_stop(again),
        entered=first.entered,
    )


def _is_of(function: str, line: int, record: Record) -> bool:
    return (function, line) == (record.function, record.line)


def _a_minute(times: list[float]) -> float | None:
    if len(times) < 2 or times[-1] <= times[0]:
        return None
    return (len(times) - 1) * _MINUTE / (times[-1] - times[0])


def _trend(times: list[float]) -> str:
    """Whether the later half of the recompiles came faster than the earlier half."""
    if len(times) < 3:
        return ""
    middle = len(times) // 2
    early, late = times[middle] - times[0], times[-1] - times[middle]
    pace = (len(times) - 1 - middle) * early, middle * late
    return "rising" if pace[0] > 1.5 * pace[1] else "flat"


def _values(again: list[tuple[Record, Again]]) -> tuple[str, ...]:
    """What the failing guards were made for, one after the other, and what came last."""
    found: list[str] = []
    for record, known in again:
        expected = known.guard.expected if known.guard else ""
        found += [value for value in (expected, known.actual(record.compile_id)) if value and found[-1:] != [value]]
    return tuple(found)


def _stop(again: list[tuple[Record, Again]]) -> str:
    """What would end the most frequent cause."""
    told = [words.stop(known.guard, known.actual(record.compile_id)) for record, known in again if known.guard]
    counted = {text: told.count(text) for text in told if text}
    return max(counted, key=lambda text: counted[text]) if counted else ""
