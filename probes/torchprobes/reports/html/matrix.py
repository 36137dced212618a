"""The matrix of a few platforms, what differs first, and their figures side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torchprobes.quantity import quantity

from ..comparison import words
from ..comparison.model import Cell, Comparison, Platform, Row, Said
from ..signs import SIGNS
from . import plots
from .elements import Child, Markup, el, join
from .plots import Axis, Bar
from .tables import NUMBER, folded, section

_LINES = 3
"""Of what differs in a row; the rest is folded."""

_FIGURES = 30
"""Figures that are drawn: a page with every one of them is read by nobody."""


def matrix(comparison: Comparison) -> Markup:
    """Features by platforms: rows that differ in full, the others folded."""
    platforms, (told, alone, same) = comparison.platforms, words.parted_rows(comparison)
    return section(
        "What differs",
        _table(platforms, told) if told else el("p", "Nothing that was asked on more than one.", class_="soft"),
        folded(f"{len(alone)} asked on one platform only", _table(platforms, alone)) if alone else None,
        folded(f"{len(same)} that are the same", _table(platforms, same)) if same else None,
    )


def _table(platforms: Sequence[Platform], rows: Sequence[Row]) -> Markup:
    heads = (
        el("th", platform.label, el("div", words.torch_words(platform)), class_=f"p{n}", scope="col")
        for n, platform in enumerate(platforms)
    )
    head = el("thead", el("tr", el("th", "feature"), heads))
    return el("div", el("table", head, el("tbody", map(_row, rows)), class_="matrix"), class_="scroll")


def _row(row: Row) -> Markup:
    keys, ways = words.telling(row), words.telling_ways(row)
    cells = (el("td", _cell(cell, keys, ways)) for cell in row.cells)
    said = el("tr", el("td", said_lines(row), colspan=str(len(row.cells) + 1)), class_="said") if row.words else None
    return join(el("tr", el("td", feature(row)), cells, class_="told" if row.words else None), said)


def feature(row: Row) -> Markup:
    """The name of a row and how it differs."""
    change = None if row.change == "same" else el("div", row.change, class_=f"v v-{row.change}")
    return join(el("b", row.name), change)


def said_lines(row: Row) -> Markup:
    """What differs in a row: the weightiest lines, the others folded."""
    shown, rest = (list(map(_item, part)) for part in (row.words[:_LINES], row.words[_LINES:]))
    return el("div", el("ul", shown), folded(f"{len(rest)} more", el("ul", rest)) if rest else None, class_="lines")


def _item(line: str) -> Markup:
    return el("li", line)


def _cell(cell: Cell, keys: Sequence[str], ways: Sequence[str]) -> Markup:
    if cell.verdict is None:
        return el("span", words.NOT_ASKED, class_="v-none")
    value = cell.verdict.value
    return join(
        el("span", f"{SIGNS[cell.verdict]} {value}", class_=f"v v-{value}", title=cell.reason),
        el("div", _beneath(cell, keys, ways), class_="beneath"),
    )


def _beneath(cell: Cell, keys: Sequence[str], ways: Sequence[str]) -> Iterable[Markup]:
    yield from (el("div", el("span", name), f" {way}") for name, way in cell.ways if name in ways)
    for key in keys:
        said = words.said_of(cell, key)
        if said is not None:
            yield el("div", el("span", words.key_words(key)), f" {_figure(said)}")
    if cell.findings:
        yield el("div", el("span", ", ".join(cell.findings)))


def _figure(said: Said) -> str:
    """Its value and share, which stay in one line."""
    share = "" if said.share is None else f" · {100 * said.share:.0f} %"
    return f"{quantity(said.value, said.unit)}{share}".replace(" ", "\N{NO-BREAK SPACE}")


# --- figures side by side -----------------------------------------------------------------------------------------


def figures(comparison: Comparison) -> Markup | None:
    """A bar a platform for each figure that two of them have: those of rows that differ, then those with a share."""
    pairs = [(row, key) for row in comparison.rows for key in words.telling(row) if _drawn(row, key)]
    if not pairs:
        return None
    parts = [_group(comparison.platforms, row, key) for row, key in pairs[:_FIGURES]]
    left = len(pairs) - len(parts)
    more = el("p", f"{left:,} more figures are in the JSON", class_="note") if left else None
    head = el("thead", el("tr", *(el("th", words_, class_=name or None) for words_, name in _HEAD)))
    key = el("div", (_key(n, platform) for n, platform in enumerate(comparison.platforms)), class_="key")
    return section("Figures side by side", key, el("table", head, parts, class_="plot"), more, note=_NOTE)


_NOTE = "a bar is the share of what the very device can do, where that is known, else of the largest"
_HEAD = (("", "name"), ("", "draw"), ("value", NUMBER), ("share", NUMBER), ("± 95 %", NUMBER), ("n", NUMBER))


def _drawn(row: Row, key: str) -> bool:
    there = [said for cell in row.cells if (said := words.said_of(cell, key)) is not None]
    shares = any(said.share is not None for said in there)
    differ = row.change != "same" and len({said.value for said in there}) > 1
    return len(there) > 1 and min(said.value for said in there) >= 0 and (differ or shares)


def _key(n: int, platform: Platform) -> Markup:
    return el("span", el("i", class_=f"p{n}"), platform.label)


def _group(platforms: Sequence[Platform], row: Row, key: str) -> Markup:
    said = [words.said_of(cell, key) for cell in row.cells]
    there = [one for one in said if one is not None]
    by_share = all(one.share is not None for one in there)
    unit = max((one.value + (one.spread or 0) for one in there), default=1.0) or 1.0
    sized = [None if one is None else (one, (one.share or 0.0) if by_share else one.value / unit) for one in said]
    on = plots.axis([size for pair in sized if pair for _, size in [pair]], 1.0 if by_share else None, "%")
    title = el("tr", el("td", el("b", row.name), f" {words.key_words(key)}", colspan=str(len(_HEAD))), class_="first")
    asked = [n for n, cell in enumerate(row.cells) if cell.verdict is not None]
    lines = (_line(n, platforms[n].label, on, sized[n]) for n in asked)
    return el("tbody", title, lines)


def _line(n: int, label: str, on: Axis, pair: tuple[Said, float] | None) -> Markup:
    cells: Sequence[Child]
    if pair is None:
        cells = (label, el("span", "not measured", class_="v-none"), None, None, None, None)
    else:
        said, size = pair
        half = None if said.spread is None or not said.value else size * said.spread / said.value
        low, high = (None, None) if half is None else (size - half, size + half)
        cells = (
            label,
            plots.bar(on, Bar(size, low, high, tone=f"p{n}")),
            quantity(said.value, said.unit),
            "" if said.share is None else el("b", f"{100 * said.share:.0f} %"),
            "not measured" if said.spread is None else quantity(said.spread, said.unit),
            f"{said.n:,}",
        )
    return el("tr", (el("td", cell, class_=name or None) for cell, (_, name) in zip(cells, _HEAD, strict=True)))
