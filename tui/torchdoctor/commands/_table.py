"""A report as text for a person who has no screen for it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import msgspec

from torchprobes.model import Finding, Report, Severity, Target
from torchprobes.reports.against import in_words
from torchprobes.reports.signs import ASCII_SIGNS, SIGNS, counts
from torchprobes.reports.text import mask, plain

_SEVERITY_SIGNS = {Severity.CRITICAL: "x", Severity.WARNING: "^", Severity.INFO: "-"}


def report_text(report: Report, *, signs: bool, where: str = "", width: int = 100) -> str:
    """The table of a report that was redacted, the findings with their fixes, and the counts as the last line.

    `signs` takes signs beyond ASCII; `where` is the run directory. Lines are cut at `width`, never wrapped, but
    reasons, which a person needs whole.
    """
    return "\n".join(_lines(report, signs, where, max(60, width))) + "\n"


def _lines(report: Report, signs: bool, where: str, width: int) -> Iterator[str]:
    python = " ".join([*report.target.prefix, report.target.python])
    yield plain(f"{report.machine.host or 'host not known'}  {_torch(report.target)}  {python}", width)
    yield from _like_lines(report.target, width)
    wide = max((len(r.name) for r in report.results), default=0)
    for r in report.results:
        sign = (SIGNS if signs else ASCII_SIGNS)[r.verdict]
        head = f"{sign} {r.verdict.value:8} {plain(r.name):{wide}} {r.seconds:7.1f} s  "
        yield from hanging(head, plain(r.reason), width)
        for finding in r.findings:
            yield from _finding_lines(finding, width)
    if report.findings:
        yield "this machine:"
        for finding in report.findings:
            yield from _finding_lines(finding, width)
    if report.baseline is not None:
        yield ""
        yield from hanging("judged against the baseline: ", plain(in_words(report.baseline)), width, indent=2)
    yield ""
    if report.redaction:
        yield from hanging("redaction: ", plain(report.redaction), width, indent=2)
    if where:
        yield f"run: {where}"
    yield f"{report.verdict.value}: {counts(report.results)} in {report.seconds:.1f} s"


def _like_lines(target: Target, width: int) -> Iterator[str]:
    """The process that the probes ran like, and what it has otherwise than this shell."""
    if target.like is None:
        return
    head = f"like pid {target.like.pid} ({plain(target.like.user)}): "
    yield from hanging(head, plain(target.like.command, 200), width, indent=2)
    if not target.like.differences:
        yield "  nothing that matters differs from this shell"
    for each in target.like.differences:
        here = f", here {plain(each.here)}" if each.here else ""
        told = "" if each.applied else " (told only)"
        yield from hanging(f"  {plain(each.what)}: ", f"{plain(each.there)}{here}{told}", width, indent=4)
    yield ""


def _torch(target: Target) -> str:
    if target.torch is None:
        return "no torch"
    return f"torch {target.torch or 'not read'}"


def finding_lines(finding: Finding, width: int) -> Iterator[str]:
    """One finding that nobody has redacted: its id and what was seen, why, and what to do; secrets are masked."""
    fix = finding.fix and msgspec.structs.replace(finding.fix, command=mask(finding.fix.command))
    masked = msgspec.structs.replace(finding, seen=mask(finding.seen), why=mask(finding.why), fix=fix)
    return _finding_lines(masked, width)


def _finding_lines(finding: Finding, width: int) -> Iterator[str]:
    head = f"  {_SEVERITY_SIGNS[finding.severity]} {plain(finding.id)} {finding.severity.value}: "
    yield from hanging(head, plain(finding.seen), width, indent=4)
    if finding.why:
        yield from hanging("    why: ", plain(finding.why), width, indent=9)
    if finding.fix:
        needs = f", needs: {', '.join(finding.fix.needs)}" if finding.fix.needs else ""
        # A command is never wrapped: it is there to be copied.
        yield f"    fix ({finding.fix.scope.value}{plain(needs)}): {plain(finding.fix.command)}"


def hanging(head: str, text: str, width: int, indent: int | None = None) -> list[str]:
    """`head` and `text` wrapped at `width`; the following lines are indented by `indent`, else under the text."""
    pad = " " * (min(len(head), width // 2) if indent is None else indent)
    wrapped = textwrap.wrap(head + text, width, subsequent_indent=pad, break_on_hyphens=False, drop_whitespace=True)
    return wrapped or [head.rstrip()]
