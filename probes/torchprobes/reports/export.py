"""A report in the forms that other programs and people read: JSON and Markdown here, JUnit XML in `junit`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from torchprobes.model import Finding, Report, Result, Verdict

from .text import mask, plain

SIGNS: Final = {
    Verdict.PASS: "✔",
    Verdict.DEGRADED: "▲",
    Verdict.FAIL: "✘",
    Verdict.SKIP: "–",
    Verdict.UNSURE: "?",
    Verdict.ERROR: "!",
}
ASCII_SIGNS: Final = {
    Verdict.PASS: "+",
    Verdict.DEGRADED: "^",
    Verdict.FAIL: "x",
    Verdict.SKIP: "-",
    Verdict.UNSURE: "?",
    Verdict.ERROR: "!",
}
"""A verdict is a sign and a word; the sign in a terminal without Unicode."""


def to_json(report: Report) -> bytes:
    """The report as indented JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def counts(results: tuple[Result, ...]) -> str:
    """How many probes came to what, in the order of weight: `1 fail, 3 pass`."""
    verdicts = [result.verdict for result in results]
    said = [f"{verdicts.count(v)} {v.value}" for v in SIGNS if v in verdicts]
    return ", ".join(said) or "no probe was asked for"


# --- Markdown ----------------------------------------------------------------------------------------------------

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def _md(text: object) -> str:
    """Text that stays text in Markdown and in HTML made of it."""
    return _MARKUP.sub(r"\\\1", plain(mask(str(text))))


def _code(text: str) -> str:
    """One line as an inline code span that its content cannot close."""
    line = plain(mask(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}"


def to_markdown(report: Report) -> str:
    """The report for a ticket: identity, verdicts as a table, then every finding with its fix."""
    return "\n".join(_markdown_lines(report)) + "\n"


def _markdown_lines(report: Report) -> Iterator[str]:
    yield f"# torchdoctor: {report.verdict.value} ({_md(report.machine.host or 'host not known')})"
    yield ""
    yield from (f"- {name}: {_md(value)}" for name, value in _identity(report) if value)
    yield ""
    yield "| verdict | probe | device | seconds | reason |"
    yield "|---|---|---|--:|---|"
    for r in report.results:
        sign = f"{SIGNS[r.verdict]} {r.verdict.value}"
        yield f"| {sign} | {_md(r.name)} | {_md(r.device)} | {r.seconds:.1f} | {_md(r.reason)} |"
    yield ""
    yield _md(counts(report.results))
    for where, finding in _findings(report):
        yield from _finding_lines(where, finding)


def _identity(report: Report) -> Iterator[tuple[str, str]]:
    machine, target = report.machine, report.target
    yield "started", f"{report.started}, {report.seconds:.1f} s"
    yield "machine", f"{machine.os}, {machine.arch}, {machine.cpu}, {machine.cores} cores" if machine.os else ""
    yield "driver", f"{machine.driver or 'none'}, CUDA {machine.cuda or 'none'}, {len(machine.gpus)} GPUs"
    yield "target", " ".join([*target.prefix, target.python])
    if target.like is not None:
        yield "like", f"pid {target.like.pid} ({target.like.user}): {target.like.command}"
        for each in target.like.differences:
            here = f", in the shell {each.here}" if each.here else ""
            yield f"there {_md(each.what)}", f"{each.there}{here}{'' if each.applied else ' (told only)'}"
    yield "torch", f"{target.torch or 'none'} on Python {target.python_version or 'not known'}"
    yield "torchdoctor", f"{report.torchdoctor}, tier {report.tier}"


def _findings(report: Report) -> Iterator[tuple[str, Finding]]:
    yield from (("this machine", finding) for finding in report.findings)
    for result in report.results:
        yield from ((result.name, finding) for finding in result.findings)


def _finding_lines(where: str, finding: Finding) -> Iterator[str]:
    yield ""
    yield f"## {_md(finding.id)} · {finding.severity.value} · {_md(where)}"
    yield ""
    yield _md(finding.seen) + "\\"
    yield _md(finding.why)
    if finding.fix:
        yield ""
        needs = f"; needs: {', '.join(finding.fix.needs)}" if finding.fix.needs else ""
        yield f"Fix ({finding.fix.scope.value}{_md(needs)}): {_code(finding.fix.command)}"
    if finding.source:
        yield ""
        yield f"Source: {_md(finding.source)}"


def _to_junit(report: Report) -> bytes:
    from .junit import to_junit  # deferred: it brings an XML library that the console never needs

    return to_junit(report)


EXPORTERS: Final[dict[str, Callable[[Report], bytes]]] = {
    "json": to_json,
    "markdown": lambda report: to_markdown(report).encode(),
    "junit": _to_junit,
}
"""Every form by the name of its flag."""
