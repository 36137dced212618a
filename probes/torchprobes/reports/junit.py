"""A report as JUnit XML, a test case a probe."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

from torchprobes.model import Figure, Report, Result, Verdict

from .text import plain

_JUNIT: Final[dict[Verdict, tuple[str, str]]] = {
    Verdict.FAIL: ("failure", "failures"),
    Verdict.ERROR: ("error", "errors"),
    Verdict.UNSURE: ("error", "errors"),
    Verdict.SKIP: ("skipped", "skipped"),
}
"""The element that tells a verdict, and the attribute that counts it. `degraded` passes, with its words as output:
JUnit knows no warning, and a build must not break on one unless `--fail-on` says so."""


def to_junit(report: Report, masked: str = "") -> bytes:
    """The report, redacted already, as JUnit XML, a test case a probe; what was masked is a property of the suite."""
    suite = ElementTree.Element("testsuite", name="torchdoctor", tests=str(len(report.results)))
    suite.set("hostname", plain(report.machine.host))
    suite.set("timestamp", plain(report.started).removesuffix("Z"))
    suite.set("time", f"{report.seconds:.3f}")
    for attribute in ("failures", "errors", "skipped"):
        hit = [r for r in report.results if _JUNIT.get(r.verdict, ("", ""))[1] == attribute]
        suite.set(attribute, str(len(hit)))
    if masked:
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="redaction", value=plain(masked))
    suite.extend(_case(result) for result in report.results)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(result: Result) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=plain(result.group), name=plain(result.name))
    case.set("time", f"{result.seconds:.3f}")
    said = _JUNIT.get(result.verdict)
    if said:
        message = plain(f"{result.verdict.value}: {result.reason}")
        ElementTree.SubElement(case, said[0], message=message).text = _details(result)
    elif result.reason or result.findings:
        ElementTree.SubElement(case, "system-out").text = _details(result)
    return case


def _details(result: Result) -> str:
    lines = [f"{result.verdict.value}: {result.reason}"]
    for finding in result.findings:
        lines.append(f"{finding.id} {finding.severity.value}: {finding.seen}: {finding.why}")
        if finding.fix:
            lines.append(f"fix: {finding.fix.command}")
    lines += [_figure(figure) for figure in result.figures]
    return "\n".join(plain(line) for line in lines)


def _figure(figure: Figure) -> str:
    return f"{figure.name} {figure.value:g} {figure.unit}"
