"""A node over many reports as a page: when something changed, and which figures moved."""

from __future__ import annotations

from torchprobes.quantity import quantity

from ..comparison import words
from ..comparison.model import Line, Moment, Timeline, Track
from ..signs import SIGNS
from . import plots
from .document import document
from .elements import Child, Markup, el, join
from .tables import NUMBER, folded, section, table

_LINES, _TRACKS, _MOMENTS, _CHANGES = 100, 30, 1_000, 5


def timeline_html(timeline: Timeline, masked: str = "") -> bytes:
    """The time line as one HTML file; `masked` is what the redactor says that it did."""
    lines, left = timeline.lines[:_LINES], len(timeline.lines) - _LINES
    return document(
        "torchdoctor: time line",
        el("p", "torchdoctor time line", class_="over"),
        el("h1", _title(timeline)),
        map(_line, lines),
        el("p", f"{left:,} more nodes are in the JSON", class_="note") if left > 0 else None,
        el("p", f"Of one report, so without a line: {words.named(timeline.alone)}", class_="soft")
        if timeline.alone
        else None,
        masked=masked,
    )


def _title(timeline: Timeline) -> str:
    hosts = [line.host for line in timeline.lines]
    return words.named(hosts) + " over time" if hosts else "No node has two reports"


def _line(line: Line) -> Markup:
    moments = table(
        (("made", "name"), ("", "name"), ("since the report before", "")), map(_moment, line.moments[:_MOMENTS])
    )
    tracks = table(
        (("figure", ""), ("", "draw"), ("first", NUMBER), ("last", NUMBER), ("last by first", NUMBER)),
        map(_track, line.tracks[:_TRACKS]),
        "plot all",
    )
    none = el("p", "No figure moved beyond its noise.", class_="soft")
    note = (
        f"{len(line.moments):,} reports, {line.moments[0].started} to {line.moments[-1].started}"
        if line.moments
        else ""
    )
    return section(line.host or "host not known", tracks if line.tracks else none, moments, note=note)


def _moment(moment: Moment) -> tuple[Child, ...]:
    verdict = el("span", f"{SIGNS[moment.verdict]} {moment.verdict.value}", class_=f"v v-{moment.verdict.value}")
    return (moment.started, verdict, join(_listed(moment.changes), _causes(moment)))


def _listed(lines: tuple[str, ...]) -> Markup | None:
    if not lines:
        return None
    shown, rest = (el("ul", (el("li", line) for line in part)) for part in (lines[:_CHANGES], lines[_CHANGES:]))
    return join(shown, folded(f"{len(lines) - _CHANGES} more", rest) if len(lines) > _CHANGES else None)


def _causes(moment: Moment) -> Markup | None:
    listed = _listed(moment.causes)
    return join(el("p", "What else is another than before:", class_="note"), listed) if listed else None


def _track(track: Track) -> tuple[Child, ...]:
    first, last = (None if not track.values else track.values[place] for place in (0, -1))
    return (
        join(el("b", track.row), f" {words.key_words(track.key)}"),
        plots.track(track.values),
        _value(first, track.unit),
        _value(last, track.unit),
        "not known" if track.drift is None else f"{100 * (track.drift - 1):+.1f} %",
    )


def _value(value: float | None, unit: str) -> str:
    return "not measured" if value is None else quantity(value, unit)
