"""A time line as Markdown: a table of reports a node, and the figures that moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torchprobes.quantity import quantity

from ..comparison import words
from ..comparison.model import Moment, Timeline, Track
from ..signs import SIGNS
from .pieces import left, md, redaction, table

_NODES = 50


def timeline_markdown(timeline: Timeline, masked: str = "") -> str:
    """The time line for a ticket: a table of reports a node, each with what changed since the one before."""
    return "\n".join(_timeline_lines(timeline, masked)) + "\n"


def _timeline_lines(timeline: Timeline, masked: str) -> Iterator[str]:
    yield "# torchdoctor: time line"
    for line in timeline.lines[:_NODES]:
        yield from ("", f"## {md(line.host or 'host not known')}", "")
        yield from table(("made", "verdict", "since the report before"), map(_moment, line.moments))
        yield ""
        yield from (f"- {md(_moved(track))}" for track in line.tracks)
    yield from left("nodes", len(timeline.lines) - _NODES)
    if timeline.alone:
        yield from ("", f"Of one report, so without a line: {md(words.named(timeline.alone))}")
    yield from redaction(masked)


def _moment(moment: Moment) -> Sequence[str]:
    said = [*moment.changes, *(f"also another: {cause}" for cause in moment.causes)]
    return (md(moment.started), f"{SIGNS[moment.verdict]} {moment.verdict.value}", "; ".join(map(md, said)))


def _moved(track: Track) -> str:
    values = ["not measured" if value is None else quantity(value, track.unit) for value in track.values]
    drift = "" if track.drift is None else f" ({100 * (track.drift - 1):+.1f} %)"
    return f"{track.row} {words.key_words(track.key)}: {', '.join(values)}{drift}"
