"""Findings as lines: what was seen, why, and what to do, with what the fix touches and needs first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torchdoctor.paint import BLANK, Line, Part, heading, join, labelled, line, wrap
from torchdoctor.signs import SEVERITIES
from torchdoctor.text import safe
from torchprobes.model import Finding, Fix, Severity

ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
AT = 11


def by_weight(findings: Iterable[Finding]) -> list[Finding]:
    """Critical ones first, else in the order they came."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))


def finding_rows(finding: Finding, width: int, *, indent: int = 2, seen: Sequence[str] = ()) -> list[Line]:
    """A finding: its first line is the one that `e` goes to. `seen` are the places where it was found, if several."""
    sign, role = SEVERITIES[finding.severity]
    rows, inner = [], indent + 2
    for place in seen or (finding.seen,):
        first, *rest = wrap(safe(place), max(20, width - inner - 1))
        rows += [line(" " * indent, (f"{sign} ", role), (first, role if role == "fail" else "title"))]
        rows += [line(" " * inner, (text, "title")) for text in rest]
    rows += labelled("why", safe(finding.why), width, at=inner + 6, indent=inner)
    if finding.fix is not None:
        rows += labelled("fix", safe(finding.fix.command), width, at=inner + 6, indent=inner, role="key")
        rows += [line((" " * (inner + 6) + scope_text(finding.fix), "dim"))]
    rows += [line((" " * (inner + 6) + join((safe(finding.id), safe(finding.source))), "dim"))]
    return rows


def findings_part(findings: Sequence[Finding], width: int) -> Part:
    """All findings, worst first, each with a key, so that the cursor can go to it."""
    if not findings:
        return Part([])
    rows: list[Line] = [BLANK, heading("findings", str(len(findings)))]
    keys: dict[int, str] = {}
    for place, finding in enumerate(by_weight(findings)):
        keys[len(rows)] = f"finding:{place}"
        rows += finding_rows(finding, width)
    return Part(rows, keys, frozenset(keys))


def scope_text(fix: Fix) -> str:
    """What a fix touches and needs, in words."""
    touches = {"process": "touches this process only", "gpu": "touches the GPU", "node": "touches the whole node"}
    needs = ", ".join(safe(need) for need in fix.needs)
    return join((touches[fix.scope.value], f"needs: {needs}" if needs else ""))
