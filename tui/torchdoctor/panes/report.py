"""The Report pane: hand it over. The last report of this node, and its export."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from torchdoctor.paint import BLANK, Line, Page, fit, heading, join, labelled, line
from torchdoctor.signs import VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.finding_rows import by_weight, finding_rows
from torchprobes.model import REPORT_ORDER, Finding, Report, Result, Verdict

from .base import SnapshotPane

if TYPE_CHECKING:
    from torchdoctor.sources import Snapshot

_WIDTH = 110


class ReportPane(SnapshotPane):
    """The newest report in the state directory."""

    HELP = """\
The report of the last check on this node: verdict, counts, findings, results, and where it was made.
x writes it beside its run, as JSON for programs and as Markdown for a ticket.
"""
    BINDING_GROUP_TITLE = "Report"

    def page(self, snapshot: Snapshot, width: int) -> Page:
        """The report of a snapshot."""
        if snapshot.report is None:
            return Page([BLANK, *labelled("", safe(snapshot.report_note), width, at=2), BLANK,
                         line(("  2, then r, runs one", "dim"))])  # fmt: skip
        return report_page(snapshot.report, snapshot.report_run, width)


def report_page(report: Report, run: str, width: int) -> Page:
    """A report, what matters first."""
    width = min(width, _WIDTH)
    sign, role = VERDICTS[report.verdict]
    when = join((safe(report.started), f"{report.seconds:.0f} s", f"tier {safe(report.tier)}" if report.tier else ""))
    head = line("  ", (f"{sign} {report.verdict.value}", role), "   ", *_counts(report))
    rows: list[Line] = [BLANK, head, line((f"  {when}", "dim"))]
    marks, found = _findings(report, width, len(rows))
    rows += found
    rows += [BLANK, heading("results", str(len(report.results)))]
    rows += [_result_line(result) for result in sorted(report.results, key=lambda r: REPORT_ORDER.index(r.verdict))]
    rows += [BLANK, heading("where"), *_identity(report, run, width)]
    return Page(rows, marks=frozenset(marks))


def _findings(report: Report, width: int, at: int) -> tuple[list[int], list[Line]]:
    """(lines where one begins, lines) of all findings; one that several probes have is told once."""
    where = [("this machine", f) for f in report.findings]
    where += [(result.name, f) for result in report.results for f in result.findings]
    if not where:
        return [], []
    groups: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for name, finding in where:
        groups.setdefault((finding.id, finding.why), []).append((name, finding))
    rows, marks = [BLANK, heading("findings", str(len(groups)))], []
    for first in by_weight(group[0][1] for group in groups.values()):
        group = groups[first.id, first.why]
        marks.append(at + len(rows))
        seen = [f"{finding.seen}  ({name})" for name, finding in group]
        rows += finding_rows(first, width, seen=seen)
    return marks, rows


def _counts(report: Report) -> list[tuple[str, str]]:
    found = [result.verdict for result in report.results]
    present = [verdict for verdict in REPORT_ORDER if verdict in found]
    spans: list[tuple[str, str]] = []
    for verdict in present:
        spans += [(" · " if spans else "", "dim"), (f"{found.count(verdict)} {verdict.value}", _role(verdict))]
    return spans


def _role(verdict: Verdict) -> str:
    return VERDICTS[verdict][1]


def _result_line(result: Result) -> Line:
    sign, role = VERDICTS[result.verdict]
    return line("    ", (f"{sign} {fit(result.verdict.value, 9)}", role), fit(safe(result.name), 26),
                (fit(f"{result.seconds:.1f} s", 8, "right"), "dim"), "   ", safe(result.reason))  # fmt: skip


def _identity(report: Report, run: str, width: int) -> list[Line]:
    machine, target = report.machine, report.target
    gib = machine.memory_bytes / (1 << 30)
    pairs = (
        ("machine", join((machine.host, machine.os, machine.arch))),
        ("CPU", join((machine.cpu, f"{machine.cores} cores" * bool(machine.cores), f"{gib:.0f} GiB" * bool(gib)))),
        ("driver", join((machine.driver or "none", f"CUDA {machine.cuda}" if machine.cuda else "",
                         f"{len(machine.gpus)} GPUs"))),
        ("target", " ".join((*target.prefix, target.python))),
        ("torch", join((target.torch or "none", f"Python {target.python_version}" if target.python_version else "",
                        target.origin))),
        ("run", os.path.basename(run)),
    )  # fmt: skip
    return [row for name, text in pairs for row in labelled(name, safe(text), width, at=14, indent=4)]
