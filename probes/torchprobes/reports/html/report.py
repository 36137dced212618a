"""One report as a page for a person: the verdict, what needs somebody, features with figures, then the machine."""

from __future__ import annotations

from torchprobes.model import Report

from .. import digest
from ..signs import SIGNS, counts
from .document import document
from .elements import Markup, el
from .features import features
from .findings import findings
from .machine import machine
from .measured import conditions_of, measured


def to_html(report: Report, masked: str = "") -> bytes:
    """The report as one HTML file; `masked` is what the redactor says that it did."""
    host = report.machine.host or "host not known"
    return document(
        f"torchdoctor: {report.verdict.value}, {host}",
        _head(report, host),
        findings(digest.told(report)),
        measured(report),
        features(report),
        machine(report),
        conditions_of(report),
        masked=masked,
    )


def _head(report: Report, host: str) -> Markup:
    verdict, target = report.verdict, report.target
    said = f"{SIGNS[verdict]} {verdict.value}"
    torch = f"torch {target.torch}" if target.torch else "no torch"
    made = (report.started, f"{report.seconds:.0f} s", f"tier {report.tier}" if report.tier else "", torch)
    return el(
        "header",
        el("p", "torchdoctor report", class_="over"),
        el(
            "h1",
            el("span", said, class_=f"v-{verdict.value}"),
            " ",
            el("span", f"{host}, {_device(report)}", class_="of"),
        ),
        el("p", digest.verdict_words(report), class_="lead"),
        el("ul", (_chip(part) for part in counts(report.results).split(", ")), class_="chips"),
        el("p", " · ".join(part for part in made if part), class_="note"),
    )


def _chip(part: str) -> Markup:
    return el("li", part, class_=f"v-{part.rpartition(' ')[2]}")


def _device(report: Report) -> str:
    names = [str(gpu.get("name") or "GPU without a name") for gpu in report.machine.gpus]
    each = [f"{names.count(name)} × {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
    return ", ".join(each) or f"CPU ({report.machine.cpu})" if names or report.machine.cpu else "CPU"
