"""A report, or a comparison, for a ticket: Markdown of which nothing that a payload said can be markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from torchprobes.model import Figure, Report, Result, Severity
from torchprobes.quantity import quantity

from . import conditions, digest, inventory
from .comparison import words
from .comparison.model import Cause, Cell, Comparison, Platform, Row
from .digest import Measured, Told
from .export import SIGNS, counts
from .text import plain

_ANYWHERE: Final = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])")
_LEADING: Final = re.compile(r"^(\s*\d{1,9}|\s*)([.)](?=\s|$)|[#=]|[-+](?=[\s-]|$))")
"""What is markup in CommonMark and in GitHub's: some signs anywhere, `_` at the edge of a word, and lists, titles and
rules at the beginning of a line. All else stays as it is, so that the text can be read unrendered, too."""

_LONGEST: Final = 4_000
"""Characters of one text; the JSON has all of them."""

_RULES: Final = {"": "---", "num": "--:"}
_CAUSES, _NOTES, _OUTLIERS = 10, 50, 50


# --- one report ---------------------------------------------------------------------------------------------------


def to_markdown(report: Report, masked: str = "") -> str:
    """The report for a ticket: the verdict, what needs somebody with its fix, features with figures, the machine.

    `masked` is what the redactor says that it did; it is told at the end.
    """
    return "\n".join(_report_lines(report, masked)) + "\n"


def _report_lines(report: Report, masked: str) -> Iterator[str]:
    yield f"# torchdoctor: {report.verdict.value} ({_md(report.machine.host or 'host not known')})"
    yield from ("", _md(digest.verdict_words(report)), "", _md(counts(report.results)))
    yield from _findings("What needs somebody", digest.told(report), (Severity.CRITICAL, Severity.WARNING))
    yield from ("", "## Features", "")
    yield from _table(
        ("verdict", "probe", "device", ("seconds", "num"), "reason"), map(_feature, digest.by_weight(report.results))
    )
    yield from _expected([one for result in report.results for one in digest.measured(result)])
    yield from _findings("Notes", digest.told(report), (Severity.INFO,))
    yield from ("", "## The machine", "")
    yield from (f"- {_md(name)}: {_md(value)}" for name, value in digest.identity(report))
    yield from _made_of(report)
    yield from _how(report)
    yield from _redaction(masked)


def _feature(result: Result) -> Sequence[str]:
    verdict = f"{SIGNS[result.verdict]} {result.verdict.value}"
    return (verdict, _md(result.name), _md(result.device), f"{result.seconds:.1f}", _md(result.reason))


def _expected(each: Sequence[Measured]) -> Iterator[str]:
    if not each:
        return
    yield from ("", "### Figures against expectation", "")
    head = ("figure", ("measured", "num"), ("expected", "num"), ("share", "num"), ("n", "num"), ("± 95 %", "num"))
    yield from _table(head, (_measured(one) for one in each))
    yield ""
    yield from (
        f"- Expected by: {_md(source)}" for source in dict.fromkeys(one.expected.source for one in each) if source
    )


def _measured(one: Measured) -> Sequence[str]:
    figure, expected = one.figure, one.expected
    labels = " ".join((expected.labels or figure.labels).values())
    below = "" if one.reached else ", below the limit"
    return (
        _md(f"{one.probe} {labels} {figure.name}"),
        _md(quantity(figure.value, figure.unit)),
        _md(quantity(expected.value, expected.unit)),
        f"{100 * one.share:.0f} %{below}",
        f"{figure.n:,}",
        _spread(figure),
    )


def _spread(figure: Figure) -> str:
    return "not measured" if figure.spread is None else _md(quantity(figure.spread, figure.unit))


def _findings(title: str, found: Iterable[Told], severities: Sequence[Severity]) -> Iterator[str]:
    chosen = [told for told in found if told.finding.severity in severities]
    if chosen:
        yield from ("", f"## {title}")
    for told in chosen:
        yield from _finding(told)


def _finding(told: Told) -> Iterator[str]:
    finding = told.finding
    yield from ("", f"### {_md(finding.id)} · {finding.severity.value}", "")
    for seen, where in told.seen:
        yield f"{_md(seen)} ({_md(where)})\\"
    yield _md(finding.why)
    if finding.fix:
        needs = f"; needs: {', '.join(finding.fix.needs)}" if finding.fix.needs else ""
        yield from ("", f"Fix ({finding.fix.scope.value}{_md(needs)}): {_code(finding.fix.command)}")
    if finding.source:
        yield from ("", f"Source: {_md(finding.source)}")


def _made_of(report: Report) -> Iterator[str]:
    """How much of it is known; a ticket has no room for the names of all packages, the JSON and the HTML do."""
    made_of = inventory.of(report)
    known = ", ".join(f"{len(parts):,} {_kind(kind)}" for kind, parts in made_of.parts.items())
    yield f"- inventory: {_md(known or 'none')}"
    yield from (f"- not read: {_md(f'{kind}: {why}' if kind else why)}" for kind, why in made_of.unread.items())


def _kind(kind: str) -> str:
    return inventory.KINDS[kind].words if kind in inventory.KINDS else kind


def _how(report: Report) -> Iterator[str]:
    """What lets somebody else believe it, and measure it again."""
    yield from ("", "## How it was measured", "")
    yield from (f"- caches {_md(state)}: {_md(names)}" for state, names in conditions.caches(report))
    others = conditions.beside(report) or (("not recorded", "all probes"),)
    yield from (f"- others on the device: {_md(said)}: {_md(names)}" for said, names in others)
    phases = conditions.phases(report.results)
    if phases:
        yield ""
        columns: list[str | tuple[str, str]] = [(name, "num") for name, _ in conditions.COLUMNS]
        yield from _table(["while", *columns, "clocks held by"], map(_phase, phases))
    commands = [(result.name, result.command) for result in report.results if result.command]
    if commands:
        yield from ("", "### Commands", "")
        yield from (f"- {_md(name)}: {_code(command)}" for name, command in commands)


def _phase(phase: conditions.Phase) -> Sequence[str]:
    held = "not read" if phase.held is None else phase.held or "nothing"
    return (_md(conditions.while_words(phase)), *(_md(cell or "not read") for cell in phase.cells), _md(held))


# --- a comparison -------------------------------------------------------------------------------------------------


def comparison_markdown(comparison: Comparison, masked: str = "") -> str:
    """The comparison for a ticket: likely causes, what differs, outliers, what is the same, what no probe covered."""
    return "\n".join(_comparison_lines(comparison, masked)) + "\n"


def _comparison_lines(comparison: Comparison, masked: str) -> Iterator[str]:
    platforms, many = comparison.platforms, len(comparison.platforms) > words.MANY
    yield f"# torchdoctor: {len(platforms)} platforms compared"
    yield from ("", f"{_md(words.headline(comparison))}.", "", "## Likely causes", "")
    yield from (_cause(n, cause, platforms) for n, cause in enumerate(comparison.causes[:_CAUSES], 1))
    yield from _left("causes", len(comparison.causes) - _CAUSES, none="The reports say of nothing that differs.")
    yield from ("", "## What differs", "")
    if comparison.differing:
        yield from _crowd(comparison) if many else _matrix(platforms, comparison.differing)
    else:
        yield "Nothing that was asked."
    yield from _outliers(comparison)
    yield from _same(comparison)
    if not many:
        yield from _platforms(platforms)
    yield from _list("What limits this comparison", comparison.notes)
    yield from _list("What no probe covered", comparison.uncovered)
    yield from _redaction(masked)


def _cause(n: int, cause: Cause, platforms: Sequence[Platform]) -> str:
    sure = "evidence in the reports" if cause.sure else "by its kind"
    explained = f"may explain {words.explains(cause)}" if cause.explains else "explains no row that differs"
    said = [f"{n}. **{_md(cause.words)}**: {_md(explained)} ({sure})"]
    said += [_md(cause.why)] if cause.why else []
    if len(platforms) > 2:
        said += [f"{_code(value)} on {_md(labels)}" for value, labels in words.sides(cause, platforms)]
    return "\\\n   ".join(said)


def _matrix(platforms: Sequence[Platform], rows: Sequence[Row]) -> Iterator[str]:
    yield from _table(("feature", *(_md(platform.label) for platform in platforms)), map(_row, rows))
    yield ""
    yield from (f"- {_md(row.name)}: {_md(line)}" for row in rows for line in row.words)


def _row(row: Row) -> Sequence[str]:
    keys, ways = words.telling(row), words.telling_ways(row)
    return (f"{_md(row.name)} ({row.change})", *(_cell(cell, keys, ways) for cell in row.cells))


def _cell(cell: Cell, keys: Sequence[str], ways: Sequence[str]) -> str:
    if cell.verdict is None:
        return words.NOT_ASKED
    said = [f"{SIGNS[cell.verdict]} {cell.verdict.value}"]
    said += [_md(f"{name}: {way}") for name, way in cell.ways if name in ways]
    there = [figure for key in keys if (figure := words.said_of(cell, key)) is not None]
    said += [_md(f"{words.key_words(figure.key)}: {words.figure_words(figure)}") for figure in there]
    return "; ".join(said + [_md(finding) for finding in cell.findings])


def _crowd(comparison: Comparison) -> Iterator[str]:
    yield from _table(("feature", "came to", "what differs"), (_tally(row, comparison) for row in comparison.differing))


def _tally(row: Row, comparison: Comparison) -> Sequence[str]:
    each = (
        f"{count:,} {verdict.value if verdict else words.NOT_ASKED}" + (f" ({_md(who)})" if who else "")
        for verdict, count, who in words.tally(row, comparison.platforms)
    )
    return (f"{_md(row.name)} ({row.change})", ", ".join(each), "; ".join(map(_md, row.words)))


def _outliers(comparison: Comparison) -> Iterator[str]:
    if not comparison.outliers:
        return
    yield from ("", "## Outliers", "")
    head = ("platform", "feature", "figure", ("value", "num"), ("median", "num"), ("robust z", "num"), ("among", "num"))
    rows = (
        (_md(one.platform), _md(one.row), _md(words.key_words(one.key)), _md(quantity(one.value, one.unit)),
         _md(quantity(one.median, one.unit)), f"{one.z:+.1f}", f"{one.of:,}")
        for one in comparison.outliers[:_OUTLIERS]
    )  # fmt: skip
    yield from _table(head, rows)
    yield from _left("outliers", len(comparison.outliers) - _OUTLIERS)


def _same(comparison: Comparison) -> Iterator[str]:
    same = words.alike(comparison.rows)
    if same:
        yield from ("", f"The same everywhere: {_md(', '.join(row.name for row in same))}.")


def _platforms(platforms: Sequence[Platform]) -> Iterator[str]:
    yield from ("", "## Platforms", "")
    rows = (
        (_md(one.label), f"{SIGNS[one.report.verdict]} {one.report.verdict.value}", _md(one.device or "not read"),
         _md(one.report.target.torch or "none"), _md(one.report.machine.driver or "none"),
         _md(one.report.machine.host or "not known"), _md(f"{one.report.started} ({one.kind})"))
        for one in platforms
    )  # fmt: skip
    yield from _table(("platform", "verdict", "device", "torch", "driver", "host", "made"), rows)


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "")
        yield from (f"- {_md(line)}" for line in lines[:_NOTES])
        yield from _left("lines", len(lines) - _NOTES)


def _left(what: str, count: int, none: str = "") -> Iterator[str]:
    """What a ticket has no room for."""
    if count > 0:
        yield from ("", f"{count:,} more {what} are in the JSON.")
    elif none and count <= -_CAUSES:
        yield none


# --- pieces -------------------------------------------------------------------------------------------------------


def _table(head: Sequence[str | tuple[str, str]], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; cells are Markdown already, of which `_md` and `_code` made one line without a bar."""
    columns = [(name, "") if isinstance(name, str) else name for name in head]
    yield f"| {' | '.join(name for name, _ in columns)} |"
    yield f"|{'|'.join(_RULES[kind] for _, kind in columns)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _redaction(masked: str) -> Iterator[str]:
    if masked:
        yield from ("", f"Redaction: {_md(masked)}")


def _cut(said: str) -> str:
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} … ({len(said) - _LONGEST:,} more characters)"


def _md(text: object) -> str:
    """Text that stays text in Markdown and in HTML made of it."""
    line = _ANYWHERE.sub(lambda match: "".join(f"\\{sign}" for sign in match.group()), plain(_cut(str(text))))
    return _LEADING.sub(r"\1\\\2", line)


def _code(text: str) -> str:
    """One line as an inline code span that its content cannot close; not for tables, where a bar ends a cell."""
    line = plain(_cut(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"
