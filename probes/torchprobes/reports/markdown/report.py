"""One report as Markdown: the verdict, what needs somebody, features with figures, the machine, how it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torchprobes.model import Figure, Report, Result, Severity
from torchprobes.quantity import quantity

from .. import conditions, digest, inventory
from ..digest import Measured, Told
from ..signs import SIGNS, counts
from .pieces import code, md, redaction, table


def to_markdown(report: Report, masked: str = "") -> str:
    """The report for a ticket: the verdict, what needs somebody with its fix, features with figures, the machine.

    `masked` is what the redactor says that it did; it is told at the end.
    """
    return "\n".join(_report_lines(report, masked)) + "\n"


def _report_lines(report: Report, masked: str) -> Iterator[str]:
    yield f"# torchdoctor: {report.verdict.value} ({md(report.machine.host or 'host not known')})"
    yield from ("", md(digest.verdict_words(report)), "", md(counts(report.results)))
    yield from _findings("What needs somebody", digest.told(report), (Severity.CRITICAL, Severity.WARNING))
    yield from ("", "## Features", "")
    yield from table(
        ("verdict", "probe", "device", ("seconds", "num"), "reason"), map(_feature, digest.by_weight(report.results))
    )
    yield from _expected([one for result in report.results for one in digest.measured(result)])
    yield from _findings("Notes", digest.told(report), (Severity.INFO,))
    yield from ("", "## The machine", "")
    yield from (f"- {md(name)}: {md(value)}" for name, value in digest.identity(report))
    yield from _made_of(report)
    yield from _how(report)
    yield from redaction(masked)


def _feature(result: Result) -> Sequence[str]:
    verdict = f"{SIGNS[result.verdict]} {result.verdict.value}"
    return (verdict, md(result.name), md(result.device), f"{result.seconds:.1f}", md(result.reason))


def _expected(each: Sequence[Measured]) -> Iterator[str]:
    if not each:
        return
    yield from ("", "### Figures against expectation", "")
    head = ("figure", ("measured", "num"), ("expected", "num"), ("share", "num"), ("n", "num"), ("± 95 %", "num"))
    yield from table(head, (_measured(one) for one in each))
    yield ""
    yield from (
        f"- Expected by: {md(source)}" for source in dict.fromkeys(one.expected.source for one in each) if source
    )


def _measured(one: Measured) -> Sequence[str]:
    figure, expected = one.figure, one.expected
    labels = " ".join((expected.labels or figure.labels).values())
    below = "" if one.reached else ", below the limit"
    return (
        md(f"{one.probe} {labels} {figure.name}"),
        md(quantity(figure.value, figure.unit)),
        md(quantity(expected.value, expected.unit)),
        f"{100 * one.share:.0f} %{below}",
        f"{figure.n:,}",
        _spread(figure),
    )


def _spread(figure: Figure) -> str:
    return "not measured" if figure.spread is None else md(quantity(figure.spread, figure.unit))


def _findings(title: str, found: Iterable[Told], severities: Sequence[Severity]) -> Iterator[str]:
    chosen = [told for told in found if told.finding.severity in severities]
    if chosen:
        yield from ("", f"## {title}")
    for told in chosen:
        yield from _finding(told)


def _finding(told: Told) -> Iterator[str]:
    finding = told.finding
    yield from ("", f"### {md(finding.id)} · {finding.severity.value}", "")
    for seen, where in told.seen:
        yield f"{md(seen)} ({md(where)})\\"
    yield md(finding.why)
    if finding.fix:
        needs = f"; needs: {', '.join(finding.fix.needs)}" if finding.fix.needs else ""
        yield from ("", f"Fix ({finding.fix.scope.value}{md(needs)}): {code(finding.fix.command)}")
    if finding.source:
        yield from ("", f"Source: {md(finding.source)}")


def _made_of(report: Report) -> Iterator[str]:
    """How much of it is known; a ticket has no room for the names of all packages, the JSON and the HTML do."""
    made_of = inventory.of(report)
    known = ", ".join(f"{len(parts):,} {_kind(kind)}" for kind, parts in made_of.parts.items())
    yield f"- inventory: {md(known or 'none')}"
    yield from (f"- not read: {md(name)}: {md(why)}" for name, why in digest.unread(made_of))


def _kind(kind: str) -> str:
    return inventory.KINDS[kind].words if kind in inventory.KINDS else kind


def _how(report: Report) -> Iterator[str]:
    """What lets somebody else believe it, and measure it again."""
    yield from ("", "## How it was measured", "")
    yield from (f"- caches {md(state)}: {md(names)}" for state, names in conditions.caches(report))
    others = conditions.beside(report) or (("not recorded", "all probes"),)
    yield from (f"- others on the device: {md(said)}: {md(names)}" for said, names in others)
    phases = conditions.phases(report.results)
    if phases:
        yield ""
        columns: list[str | tuple[str, str]] = [(name, "num") for name, _ in conditions.COLUMNS]
        yield from table(["while", *columns, "clocks held by"], map(_phase, phases))
    commands = [(result.name, result.command) for result in report.results if result.command]
    if commands:
        yield from ("", "### Commands", "")
        yield from (f"- {md(name)}: {code(command)}" for name, command in commands)


def _phase(phase: conditions.Phase) -> Sequence[str]:
    held = "not read" if phase.held is None else phase.held or "nothing"
    return (md(conditions.while_words(phase)), *(md(cell or "not read") for cell in phase.cells), md(held))
