"""One report as a page for a person: the verdict, what is critical with its fix, features, then the machine."""

from __future__ import annotations

from torchprobes.model import Report

from .. import digest
from ..export import SIGNS, counts
from .document import document
from .elements import Markup, el, join


def to_html(report: Report, masked: str = "") -> bytes:
    """The report as one HTML file; `masked` is what the redactor says that it did."""
    host = report.machine.host or "host not known"
    return document(
        f"torchdoctor: {report.verdict.value}, {host}",
        el("h1", f"{SIGNS[report.verdict]} {report.verdict.value}", " · ", host),
        el("p", counts(report.results)),
        _findings(report),
        _results(report),
        el("dl", (join(el("dt", name), el("dd", value)) for name, value in digest.identity(report))),
        masked=masked,
    )


def _findings(report: Report) -> Markup:
    return el("ul", (el("li", f"{one.finding.severity.value}: {one.seen[0][0]}") for one in digest.told(report)))


def _results(report: Report) -> Markup:
    rows = (
        el("tr", el("td", f"{SIGNS[r.verdict]} {r.verdict.value}"), el("td", r.name), el("td", r.reason))
        for r in digest.by_weight(report.results)
    )
    return el("table", rows)
