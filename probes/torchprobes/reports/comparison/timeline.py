"""The same node over many reports: what changed when, and which figures drift."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from . import figures
from .comparing import compared
from .model import Line, Moment, Platform, Row, Said, Timeline, Track
from .platforms import device_of

MOST_TRACKS: Final = 40
"""Figures of a node that are kept: those that moved furthest."""


def timeline(platforms: Sequence[Platform]) -> Timeline:
    """Reports by host and by time, each held against the one before it. A report without a host is of no node."""
    hosts: dict[str, list[Platform]] = {}
    for platform in sorted(platforms, key=lambda each: each.report.started):
        hosts.setdefault(platform.report.machine.host or platform.label, []).append(platform)
    lines = tuple(_line(host, each) for host, each in hosts.items() if len(each) > 1)
    return Timeline(lines, tuple(each[0].label for each in hosts.values() if len(each) == 1))


def _line(host: str, platforms: Sequence[Platform]) -> Line:
    first = platforms[0]
    moments = [Moment(first.label, first.report.started, first.report.verdict)]
    moments += [_moment(before, now) for before, now in itertools.pairwise(platforms)]
    tracks = sorted(_tracks(platforms), key=lambda each: -each[0])
    return Line(host, tuple(moments), tuple(track for _, track in tracks[:MOST_TRACKS]))


def _moment(before: Platform, now: Platform) -> Moment:
    found = compared((before, now))
    changes = tuple(f"{row.name}: {row.words[0]}" for row in found.differing if row.words)
    causes = tuple(cause.words for cause in found.causes)
    return Moment(now.label, now.report.started, now.report.verdict, changes, causes)


# --- figures over time ---------------------------------------------------------------------------------------------


def _tracks(platforms: Sequence[Platform]) -> Iterator[tuple[float, Track]]:
    """(how far, track) of every figure in which any report differs from the first that has it."""
    for row in compared(platforms).rows:
        like = _likeness(platforms, row)
        quiet = figures.unsettled if row.group == "telemetry" else figures.quiet
        tables = [{said.key: said for said in cell.figures} for cell in row.cells]
        for key in dict.fromkeys(key for table in tables for key in table if not quiet(key)):
            told = [table.get(key) for table in tables]
            far = _far([said for said in told if said is not None], like)
            if far is not None:
                yield far, _track(row.name, key, told)


def _likeness(platforms: Sequence[Platform], row: Row) -> figures.Likeness:
    """Of all devices that the row was asked on: the host may have got other GPUs."""
    results = ((p, r) for p in platforms for r in p.report.results if r.name == row.name)
    devices = [device_of(platform, result.device) for platform, result in results]
    return "unlike" if len(set(devices)) > 1 else figures.likeness(devices[0], devices[0])


def _far(told: Sequence[Said], like: figures.Likeness) -> float | None:
    """The largest ratio of the first and any other, 1 or more; None where all are the same within noise."""
    ratios = [ratio for said in told[1:] if (ratio := figures.differs(told[0], said, like)) is not None]
    return max((max(ratio, 1 / ratio) if ratio else figures.FURTHEST for ratio in ratios), default=None)


def _track(row: str, key: str, told: Sequence[Said | None]) -> Track:
    values = tuple(None if said is None else said.value for said in told)
    first, last = values[0], values[-1]
    unit = next(said.unit for said in told if said is not None)
    return Track(row, key, unit, values, last / first if first and last is not None else None)
