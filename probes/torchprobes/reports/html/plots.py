"""Plots as inline SVG: bars with what they are measured against, and a dot a platform where there are many.

Every coordinate is a percentage of the plot's own width and nothing is scaled, so that lines and words keep their size
on a phone and on paper. The numbers stand beside the bars as text: a plot is never the only place that says one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .elements import Markup, el, join

_TALL: Final = 26
_BAR: Final = 10
_TRACK: Final = 40
_OVER: Final = 2
"""Pixels that lines go beyond a row, to those of the next."""
_LEAST: Final = 0.15
"""Per cent of the width of a cell that can be seen."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What a row of bars is drawn on: from 0 to `end`, with a line at `line` that bars are read against.

    Dots have no length, and may begin at another `start`.
    """

    end: float
    line: float | None = None
    ticks: tuple[tuple[float, str], ...] = ()
    start: float = 0.0

    def at(self, value: float) -> float:
        """Where a value is, in per cent of the width; what lies beyond an end stands at it."""
        wide = self.end - self.start
        return round(100 * min(max((value - self.start) / wide, 0.0), 1.0), 2) if wide > 0 else 50.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One value of a plot. `low` and `high` are its 95 % interval, `limit` is where it begins to be too little."""

    value: float
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    tone: str = "accent"
    """A class of the style sheet: ok, warn, fail, p0 …"""


def axis(values: Iterable[float], line: float | None = None, unit: str = "") -> Axis:
    """An axis for values that are parts of one (`unit` "%") or multiples of it ("×")."""
    most = max([value for value in values if math.isfinite(value)] + [line or 0.0], default=1.0)
    end = _round_up(most * (1.02 if unit == "%" else 1.05))
    step = _step(end)
    marks = [step * n for n in range(1, int(end / step + 1e-9) + 1)]
    return Axis(end, line, tuple((mark, _tick(mark, unit)) for mark in marks if mark < end * 0.985))


def around(values: Sequence[float]) -> Axis:
    """An axis for dots: from the least to the most, with room for half a dot."""
    least, most = min(values), max(values)
    room = (most - least) * 0.03
    return Axis(most + room, start=least - room)


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    step = float(10 ** math.floor(math.log10(value))) / 10
    return math.ceil(value / step) * step


def _step(end: float) -> float:
    """A round distance of three to six ticks."""
    raw = end / 5
    power = float(10 ** math.floor(math.log10(raw)))
    return power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)


def _tick(value: float, unit: str) -> str:
    return f"{100 * value:g} %" if unit == "%" else f"{value:g}{unit}"


def bar(on: Axis, one: Bar) -> Markup:
    """A bar of one row, with the lines of its axis behind it."""
    middle = _TALL / 2
    drawn = el("rect", x="0", y=middle - _BAR / 2, width=_percent(on.at(one.value)), height=_BAR, rx=2, class_=one.tone)
    parts = [_lines(on, _TALL), drawn, _whisker(on, one, middle), _limit(on, one)]
    return _svg(_TALL, parts, "bar")


def ticks(on: Axis) -> Markup:
    """The words of an axis, for the head of its column."""
    words = (
        el("text", text, x=_percent(on.at(value)), y=13, class_="now" if value == on.line else None)
        for value, text in on.ticks
    )
    return _svg(18, [Markup(word) for word in words], "ticks")


def dots(on: Axis, values: Sequence[tuple[float, str]], middle: float | None) -> Markup:
    """One dot a platform: (value, class). Dots of one place lie over each other; `middle` is their median."""
    tall = 30
    line = None if middle is None else el(
        "line", x1=_percent(on.at(middle)), x2=_percent(on.at(middle)), y1=3, y2=tall - 3, class_="median"
    )  # fmt: skip
    seen: dict[tuple[float, str], int] = {}
    for value, tone in values:
        place = (round(on.at(value), 1), tone)
        seen[place] = seen.get(place, 0) + 1
    circles = [
        el("circle", cx=_percent(at), cy=tall / 2, r=min(9.0, 3 + math.log2(count)), class_=tone)
        for (at, tone), count in sorted(seen.items(), key=lambda one: one[0][1] == "fail")
    ]
    return _svg(tall, [_lines(on, tall), *([line] if line else []), *circles], "dots")


def strip(tones: Sequence[str]) -> Markup:
    """A cell a platform in the order of the platforms, coloured by its class; neighbours of one class are one cell."""
    runs: list[tuple[str, int, int]] = []
    for index, tone in enumerate(tones):
        if runs and runs[-1][0] == tone:
            runs[-1] = (tone, runs[-1][1], index + 1)
        else:
            runs.append((tone, index, index + 1))
    share = 100 / max(1, len(tones))
    cells = [_cell(tone, share * start, share * (end - start)) for tone, start, end in runs]
    return _svg(14, cells, "strip")


def _cell(tone: str, at: float, wide: float) -> Markup:
    return el("rect", x=_percent(at), y=0, width=_percent(max(wide, _LEAST)), height=14, class_=tone)


def track(values: Sequence[float | None], tone: str = "accent") -> Markup:
    """One figure over time, a place a report; where one has no value the line is broken. From the least to the most."""
    there = [value for value in values if value is not None]
    least, wide = min(there, default=0.0), (max(there, default=0.0) - min(there, default=0.0)) or 1.0
    places = [
        None
        if value is None
        else ((index + 0.5) * 100 / len(values), _TRACK - 6 - (value - least) / wide * (_TRACK - 12))
        for index, value in enumerate(values)
    ]
    lines = (
        el("line", x1=_percent(a[0]), y1=a[1], x2=_percent(b[0]), y2=b[1], class_="course")
        for a, b in itertools.pairwise(places)
        if a is not None and b is not None
    )
    dots_ = (el("circle", cx=_percent(at[0]), cy=at[1], r=3, class_=tone) for at in places if at is not None)
    return _svg(_TRACK, [*lines, *dots_], "track")


def _lines(on: Axis, tall: float) -> Markup:
    places = [(value, "tick") for value, _ in on.ticks if value != on.line]
    places += [] if on.line is None else [(on.line, "line")]
    return join(*(
        el("line", x1=_percent(on.at(value)), x2=_percent(on.at(value)), y1=-_OVER, y2=tall + _OVER, class_=tone)
        for value, tone in places
    ))  # fmt: skip


def _whisker(on: Axis, one: Bar, middle: float) -> Markup | None:
    if one.low is None or one.high is None:
        return None
    low, high = _percent(on.at(one.low)), _percent(on.at(one.high))
    across = el("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker")
    ends = (el("line", x1=x, x2=x, y1=middle - 4, y2=middle + 4, class_="whisker") for x in (low, high))
    return join(across, ends)


def _limit(on: Axis, one: Bar) -> Markup | None:
    if one.limit is None:
        return None
    at = _percent(on.at(one.limit))
    return el("line", x1=at, x2=at, y1=3, y2=_TALL - 3, class_="limit")


def _svg(tall: float, parts: Sequence[Markup | None], kind: str) -> Markup:
    return el("svg", *parts, class_=kind, width="100%", height=tall, aria_hidden="true", focusable="false")


def _percent(value: float) -> str:
    return f"{value:g}%"
