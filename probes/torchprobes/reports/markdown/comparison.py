"""A comparison as Markdown: likely causes, what differs, outliers, what is the same, what no probe covered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torchprobes.quantity import quantity

from ..comparison import words
from ..comparison.model import Cause, Cell, Comparison, Platform, Row
from ..signs import SIGNS
from .pieces import left, md, redaction, table

_CAUSES, _EXPLAINED, _NOTES, _OUTLIERS = 10, 3, 50, 50


def comparison_markdown(comparison: Comparison, masked: str = "") -> str:
    """The comparison for a ticket: likely causes, what differs, outliers, what is the same, what no probe covered."""
    return "\n".join(_comparison_lines(comparison, masked)) + "\n"


def _comparison_lines(comparison: Comparison, masked: str) -> Iterator[str]:
    platforms, many = comparison.platforms, len(comparison.platforms) > words.MANY
    yield f"# torchdoctor: {len(platforms):,} platforms compared"
    yield from ("", f"{md(words.headline(comparison))}.", "", "## Likely causes", "")
    yield from (_cause(n, cause, platforms) for n, cause in enumerate(comparison.causes[:_CAUSES], 1))
    yield from left("causes", len(comparison.causes) - _CAUSES)
    if not comparison.causes:
        yield "The reports say of nothing that differs."
    yield from ("", "## What differs", "")
    told, alone, same = words.parted_rows(comparison)
    if told:
        yield from _crowd(platforms, told) if many else _matrix(platforms, told)
    else:
        yield "Nothing that was asked on more than one."
    yield from _outliers(comparison)
    yield from _named("Asked on one platform only", alone)
    yield from _named("The same everywhere", same)
    if not many:
        yield from _platforms(platforms)
    yield from _list("What limits this comparison", comparison.notes)
    yield from _list("What no probe covered", comparison.uncovered)
    yield from redaction(masked)


def _cause(n: int, cause: Cause, platforms: Sequence[Platform]) -> str:
    """Its words name who has what; the rest of a line says what it may explain, and why."""
    sure = "evidence in the reports" if cause.sure else "by its kind"
    explained = f"may explain {words.explains(cause, _EXPLAINED)}" if cause.explains else "explains no row that differs"
    why = f": {cause.why}" if cause.why else ""
    nobody = words.unknown(cause, platforms)
    unread = f"; not read on {md(nobody)}" if nobody else ""
    return f"{n}. **{md(cause.words)}**{unread}\\\n   {md(explained)} ({sure}){md(why)}"


def _matrix(platforms: Sequence[Platform], rows: Sequence[Row]) -> Iterator[str]:
    yield from table(("feature", *(md(platform.label) for platform in platforms)), map(_row, rows))
    yield ""
    yield from (f"- {md(row.name)}: {md(line)}" for row in rows for line in row.words)


def _row(row: Row) -> Sequence[str]:
    keys, ways = words.telling(row), words.telling_ways(row)
    return (f"{md(row.name)} ({row.change})", *(_cell(cell, keys, ways) for cell in row.cells))


def _cell(cell: Cell, keys: Sequence[str], ways: Sequence[str]) -> str:
    if cell.verdict is None:
        return words.NOT_ASKED
    said = [f"{SIGNS[cell.verdict]} {cell.verdict.value}"]
    said += [md(f"{name}: {way}") for name, way in cell.ways if name in ways]
    there = [figure for key in keys if (figure := words.said_of(cell, key)) is not None]
    said += [md(f"{words.key_words(figure.key)}: {words.figure_words(figure)}") for figure in there]
    return "; ".join(said + [md(finding) for finding in cell.findings])


def _crowd(platforms: Sequence[Platform], rows: Sequence[Row]) -> Iterator[str]:
    yield from table(("feature", "came to", "what differs"), (_tally(row, platforms) for row in rows))


def _tally(row: Row, platforms: Sequence[Platform]) -> Sequence[str]:
    each = (
        f"{count:,} {verdict.value if verdict else words.NOT_ASKED}" + (f" ({md(who)})" if who else "")
        for verdict, count, who in words.tally(row, platforms)
    )
    return (f"{md(row.name)} ({row.change})", ", ".join(each), "; ".join(map(md, row.words)))


def _outliers(comparison: Comparison) -> Iterator[str]:
    if not comparison.outliers:
        return
    yield from ("", "## Outliers", "")
    head = ("platform", "feature", "figure", ("value", "num"), ("median", "num"), ("robust z", "num"), ("among", "num"))
    rows = (
        (md(one.platform), md(one.row), md(words.key_words(one.key)), md(quantity(one.value, one.unit)),
         md(quantity(one.median, one.unit)), f"{one.z:+.1f}", f"{one.of:,}")
        for one in comparison.outliers[:_OUTLIERS]
    )  # fmt: skip
    yield from table(head, rows)
    yield from left("outliers", len(comparison.outliers) - _OUTLIERS)


def _named(title: str, rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield from ("", f"{title}: {md(', '.join(row.name for row in rows))}.")


def _platforms(platforms: Sequence[Platform]) -> Iterator[str]:
    yield from ("", "## Platforms", "")
    rows = (
        (md(one.label), f"{SIGNS[one.report.verdict]} {one.report.verdict.value}", md(one.device or "not read"),
         md(one.report.target.torch or "none"), md(one.report.machine.driver or "none"),
         md(one.report.machine.host or "not known"), md(f"{one.report.started} ({one.kind})"))
        for one in platforms
    )  # fmt: skip
    yield from table(("platform", "verdict", "device", "torch", "driver", "host", "made"), rows)


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "")
        yield from (f"- {md(line)}" for line in lines[:_NOTES])
        yield from left("lines", len(lines) - _NOTES)
