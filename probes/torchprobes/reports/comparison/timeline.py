"""The same node over many reports: what changed when, and which figures drift."""

from __future__ import annotations

from collections.abc import Sequence

from .comparing import compared
from .model import Line, Moment, Platform, Timeline


def timeline(platforms: Sequence[Platform]) -> Timeline:
    """Reports by host and by time, each held against the one before it."""
    hosts: dict[str, list[Platform]] = {}
    for platform in sorted(platforms, key=lambda each: each.report.started):
        hosts.setdefault(platform.report.machine.host, []).append(platform)
    lines = tuple(Line(host, _moments(each)) for host, each in hosts.items() if len(each) > 1)
    return Timeline(lines, tuple(each[0].label for each in hosts.values() if len(each) == 1))


def _moments(platforms: Sequence[Platform]) -> tuple[Moment, ...]:
    first = platforms[0]
    moments = [Moment(first.label, first.report.started, first.report.verdict)]
    for before, now in zip(platforms, platforms[1:], strict=False):
        found = compared((before, now))
        changes = tuple(f"{row.name}: {row.words[0]}" for row in found.differing if row.words)
        causes = tuple(cause.words for cause in found.causes)
        moments.append(Moment(now.label, now.report.started, now.report.verdict, changes, causes))
    return tuple(moments)
