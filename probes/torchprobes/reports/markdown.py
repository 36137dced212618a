"""A report, or a comparison, for a ticket: Markdown of which nothing that a payload said can be markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from torchprobes.model import Report

from . import digest
from .comparison.model import Cell, Comparison
from .digest import Told
from .export import SIGNS, counts
from .text import plain

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def to_markdown(report: Report, masked: str = "") -> str:
    """The report for a ticket: identity, verdicts as a table, then every finding with its fix.

    `masked` is what the redactor says that it did; it is told at the end.
    """
    return "\n".join(_lines(report, masked)) + "\n"


def _lines(report: Report, masked: str) -> Iterator[str]:
    yield f"# torchdoctor: {report.verdict.value} ({_md(report.machine.host or 'host not known')})"
    yield ""
    yield from (f"- {_md(name)}: {_md(value)}" for name, value in digest.identity(report))
    yield ""
    yield "| verdict | probe | device | seconds | reason |"
    yield "|---|---|---|--:|---|"
    for r in report.results:
        sign = f"{SIGNS[r.verdict]} {r.verdict.value}"
        yield f"| {sign} | {_md(r.name)} | {_md(r.device)} | {r.seconds:.1f} | {_md(r.reason)} |"
    yield ""
    yield _md(counts(report.results))
    for told in digest.told(report):
        yield from _finding_lines(told)
    if masked:
        yield ""
        yield f"Redaction: {_md(masked)}"


def _finding_lines(told: Told) -> Iterator[str]:
    finding = told.finding
    yield ""
    yield f"## {_md(finding.id)} · {finding.severity.value}"
    yield ""
    for seen, where in told.seen:
        yield f"{_md(seen)} ({_md(where)})\\"
    yield _md(finding.why)
    if finding.fix:
        yield ""
        needs = f"; needs: {', '.join(finding.fix.needs)}" if finding.fix.needs else ""
        yield f"Fix ({finding.fix.scope.value}{_md(needs)}): {_code(finding.fix.command)}"
    if finding.source:
        yield ""
        yield f"Source: {_md(finding.source)}"


def comparison_markdown(comparison: Comparison, masked: str = "") -> str:
    """The comparison for a ticket: likely causes, the matrix, and what no probe covered."""
    return "\n".join(_comparison_lines(comparison, masked)) + "\n"


def _comparison_lines(comparison: Comparison, masked: str) -> Iterator[str]:
    platforms = comparison.platforms
    yield f"# torchdoctor: {len(platforms)} platforms compared"
    yield ""
    yield from (f"{n}. {_md(cause.words)}" for n, cause in enumerate(comparison.causes, 1))
    yield ""
    yield f"| probe | {' | '.join(_md(platform.label) for platform in platforms)} |"
    yield "|---" * (len(platforms) + 1) + "|"
    for row in comparison.rows:
        yield f"| {_md(row.name)} | {' | '.join(map(_cell, row.cells))} |"
    yield ""
    yield from (f"- {_md(words)}" for words in comparison.uncovered)
    if masked:
        yield ""
        yield f"Redaction: {_md(masked)}"


def _cell(cell: Cell) -> str:
    return "" if cell.verdict is None else f"{SIGNS[cell.verdict]} {cell.verdict.value}"


def _md(text: object) -> str:
    """Text that stays text in Markdown and in HTML made of it."""
    return _MARKUP.sub(r"\\\1", plain(text))


def _code(text: str) -> str:
    """One line as an inline code span that its content cannot close."""
    line = plain(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"
