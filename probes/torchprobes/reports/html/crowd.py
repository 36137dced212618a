"""Many platforms: told by how many, a cell or a dot for each, and by name where they are few."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from torchprobes.model import Verdict
from torchprobes.quantity import quantity

from ..comparison import words
from ..comparison.model import Comparison, Outlier, Platform, Row
from ..signs import SIGNS
from . import plots
from .elements import Markup, el, join
from .matrix import feature, said_lines
from .tables import NUMBER, folded, section, table

_PLOTS = 24
_LISTED = 2_000

_TONES = {
    Verdict.PASS: "ok", Verdict.DEGRADED: "warn", Verdict.FAIL: "fail", Verdict.ERROR: "fail",
    Verdict.UNSURE: "unsure", Verdict.SKIP: "skip", None: "none",
}  # fmt: skip


def crowd_platforms(platforms: Sequence[Platform]) -> Markup:
    """How many of which kind came to what; by name when asked."""
    verdicts = Counter(platform.report.verdict for platform in platforms)
    chips = (
        el("li", f"{SIGNS[verdict]} {verdicts[verdict]:,} {verdict.value}", class_=f"v-{verdict.value}")
        for verdict in Verdict
        if verdict in verdicts
    )
    sorts = Counter((platform.device or "device not read", words.torch_words(platform)) for platform in platforms)
    each = (el("li", f"{count:,} × {device}, {torch}") for (device, torch), count in sorts.most_common(words.MANY))
    head = (("platform", "name"), ("verdict", "name"), ("device", ""), ("torch", ""), ("driver", ""), ("made", ""))
    rows = (
        (
            el("b", platform.label),
            el("span", platform.report.verdict.value, class_=f"v v-{platform.report.verdict.value}"),
            platform.device,
            platform.report.target.torch or "none",
            platform.report.machine.driver or "none",
            platform.report.started,
        )
        for platform in platforms[:_LISTED]
    )
    return el("div", el("ul", chips, class_="chips"), el("ul", each), folded("All of them", table(head, rows)))


def crowd(comparison: Comparison) -> Markup:
    """Features by how many platforms came to what; those that differ in full, the others folded."""
    told, alone, same = words.parted_rows(comparison)
    return section(
        "What differs",
        _key(),
        _table(comparison, told) if told else el("p", "Nothing that was asked on more than one.", class_="soft"),
        folded(f"{len(alone)} asked on one platform only", _table(comparison, alone)) if alone else None,
        folded(f"{len(same)} that are the same", _table(comparison, same)) if same else None,
        note="a cell a platform, in the order of the list",
    )


def _key() -> Markup:
    named = {tone: "not asked" if verdict is None else verdict.value for verdict, tone in _TONES.items()}
    named["fail"] = "fail or error"
    return el("div", (el("span", el("i", class_=f"k-{tone}"), text) for tone, text in named.items()), class_="key")


def _table(comparison: Comparison, rows: Sequence[Row]) -> Markup:
    head = el("thead", el("tr", el("th", "feature"), el("th", class_="draw"), el("th", "came to")))
    body = el("tbody", (_row(row, comparison.platforms) for row in rows))
    return el("div", el("table", head, body, class_="matrix crowd"), class_="scroll")


def _row(row: Row, platforms: Sequence[Platform]) -> Markup:
    drawn = plots.strip([_TONES[cell.verdict] for cell in row.cells])
    cells = join(el("td", feature(row)), el("td", drawn, class_="draw"), el("td", _came_to(row, platforms)))
    said = el("tr", el("td", said_lines(row), colspan="3"), class_="said") if row.words else None
    return join(el("tr", cells, class_="told" if row.words else None), said)


def _came_to(row: Row, platforms: Sequence[Platform]) -> Markup:
    return join(_tally(verdict, count, who) for verdict, count, who in words.tally(row, platforms))


def _tally(verdict: Verdict | None, count: int, who: str) -> Markup:
    came_to, class_ = (words.NOT_ASKED, "none") if verdict is None else (verdict.value, verdict.value)
    return el("div", el("span", f"{count:,} {came_to}", class_=f"v v-{class_}"), f": {who}" if who else None)


# --- figures ------------------------------------------------------------------------------------------------------


def crowd_figures(comparison: Comparison) -> Markup | None:
    """A dot a platform for the figures that have outliers, then for those that rows which differ tell."""
    odd = {(one.row, one.key): None for one in comparison.outliers}
    told = {(row.name, key): None for row in comparison.differing for key in words.telling(row)}
    by_name = {row.name: row for row in comparison.rows}
    pairs = [(by_name[name], key) for name, key in (odd | told) if name in by_name]
    rows = [line for row, key in pairs[:_PLOTS] if (line := _line(comparison, row, key)) is not None]
    if not rows:
        return None
    left = len(pairs) - _PLOTS
    more = el("p", f"{left:,} more figures are in the JSON", class_="note") if left > 0 else None
    head = (("figure", ""), ("", "draw"), ("median", NUMBER), ("least", NUMBER), ("most", NUMBER), ("of", NUMBER))
    return section(
        "Figures of all", table(head, rows, "plot all"), more, note="a dot a platform; red ones are outliers"
    )


def _line(comparison: Comparison, row: Row, key: str) -> Sequence[Markup | str] | None:
    outliers = {one.platform: one for one in comparison.outliers if (one.row, one.key) == (row.name, key)}
    values, unit = _values(comparison.platforms, row, key)
    if len(values) < 2:
        return None
    middle = statistics.median(value for _, value in values)
    on = plots.around([value for _, value in values])
    drawn = plots.dots(on, [(value, "fail" if label in outliers else "accent") for label, value in values], middle)
    least, most = min(value for _, value in values), max(value for _, value in values)
    said = (quantity(number, unit) for number in (middle, least, most))
    return (join(el("b", row.name), f" {words.key_words(key)}", _named(outliers)), drawn, *said, f"{len(values):,}")


def _values(platforms: Sequence[Platform], row: Row, key: str) -> tuple[list[tuple[str, float]], str]:
    """(label, value) of every platform that has the figure, and its unit."""
    said = [(platform.label, words.said_of(cell, key)) for platform, cell in zip(platforms, row.cells, strict=True)]
    there = [(label, one) for label, one in said if one is not None]
    return [(label, one.value) for label, one in there], there[0][1].unit if there else ""


def _named(outliers: dict[str, Outlier]) -> Markup | None:
    if not outliers:
        return None
    return el("div", f"apart: {words.named(list(outliers))}", class_="v-fail")
