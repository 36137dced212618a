"""A report as one page for a person: the verdict, what needs somebody with its fix, features, the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from torchdoctor.paint import BLANK, Line, Page, Part, Span, fit, heading, join, labelled, line, stack, wrap
from torchdoctor.signs import EXPECTED, LIMIT, VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.figure_rows import against
from torchdoctor.widgets.figure_rows import said as quantity_of
from torchdoctor.widgets.finding_rows import finding_rows
from torchprobes.model import REPORT_ORDER, Expectation, Figure, Report, Result, Severity
from torchprobes.quantity import quantity
from torchprobes.reports import digest
from torchprobes.reports.digest import Measured, Told

WIDTH = 110
_NAME, _SECONDS, _VERDICT, _VALUE, _SHARE = 26, 9, 11, 14, 7
_WIDE = 72
"""From this width on seconds stand beside a probe, and a figure's name beside its bar."""


def report_page(report: Report, run: str, width: int, masked: str = "") -> Page:
    """A report, what matters first. `masked` says what was masked in it, `run` where it is from."""
    width = min(width, WIDTH)
    told = digest.told(report)
    needed = [one for one in told if one.finding.severity is not Severity.INFO]
    notes = [one for one in told if one.finding.severity is Severity.INFO]
    return stack((
        Part(_head(report, width)),
        _findings("what needs somebody", needed, width),
        Part(_features(report.results, width)),
        Part(_expected([one for result in report.results for one in digest.measured(result)], width)),
        _findings("notes", notes, width),
        Part(_machine(report, run, width, masked)),
    ))  # fmt: skip


def _head(report: Report, width: int) -> list[Line]:
    sign, role = VERDICTS[report.verdict]
    when = join((f"{safe(report.started)[:16].replace('T', ' ')}Z", f"{report.seconds:.0f} s",
                 f"tier {safe(report.tier)}" if report.tier else ""))  # fmt: skip
    words = wrap(safe(digest.verdict_words(report)), max(20, width - 4))
    rows = [BLANK, line("  ", (f"{sign} {report.verdict.value}", role), "   ", *_counts(report.results))]
    return [*rows, *(line("  ", text) for text in words), line((f"  {when}", "dim"))]


def _counts(results: Iterable[Result]) -> list[Span]:
    found = [result.verdict for result in results]
    spans: list[Span] = []
    for verdict in REPORT_ORDER:
        if verdict in found:
            spans += [
                (" · " if spans else "", "dim"),
                (f"{found.count(verdict)} {verdict.value}", VERDICTS[verdict][1]),
            ]
    return spans


def _findings(title: str, told: list[Told], width: int) -> Part:
    """Findings, each with every place where it was seen; `e` goes from one to the next."""
    if not told:
        return Part([])
    rows: list[Line] = [BLANK, heading(title, str(len(told)))]
    marks = []
    for one in told:
        marks.append(len(rows))
        rows += finding_rows(one.finding, width, seen=[f"{seen}  ({where})" for seen, where in one.seen])
    return Part(rows, marks=frozenset(marks))


# --- features ----------------------------------------------------------------------------------------------------


def _features(results: tuple[Result, ...], width: int) -> list[Line]:
    return [BLANK, heading("features", str(len(results))), *(_feature(one, width) for one in digest.by_weight(results))]


def _feature(result: Result, width: int) -> Line:
    sign, role = VERDICTS[result.verdict]
    seconds = fit(f"{result.seconds:.1f} s", _SECONDS, "right") + "   " if width >= _WIDE else " "
    return line("    ", (f"{sign} {fit(result.verdict.value, _VERDICT - 2)}", role), fit(safe(result.name), _NAME),
                (seconds, "dim"), safe(result.reason))  # fmt: skip


def _expected(held: list[Measured], width: int) -> list[Line]:
    """Every figure that something is expected of, on one scale each: what was measured, the limit, the expectation."""
    if not held:
        return []
    rows = [BLANK, heading("figures against expectation", str(len(held)))]
    rows += [row for one in sorted(held, key=lambda one: (one.reached, one.share)) for row in _held(one, width)]
    sources = dict.fromkeys(safe(one.expected.source) for one in held if one.expected.source)
    notes = (f"{EXPECTED} expected   {LIMIT} limit: degraded from here", *(f"expected: {source}" for source in sources))
    return rows + [line(("    " + text, "dim")) for note in notes for text in wrap(note, max(20, width - 6))]


def _held(one: Measured, width: int) -> Iterator[Line]:
    name = figure_name(one.probe, one.figure, one.expected)
    role = "ok" if one.reached else "warn"
    wide = width >= _WIDE
    beside = _NAME + _VERDICT if wide else 0
    room = max(8, min(44, width - 4 - beside - _VALUE - 2 - _SHARE - 1))
    if not wide:
        yield line("    ", name)
    yield line("    ", fit(name, beside - 1) + " " if wide else "",
               (fit(quantity_of(one.figure.value, one.figure.unit), _VALUE, "right"), role), "  ",
               *against(one.figure, one.expected, room, role),
               (fit(quantity(one.share, "share"), _SHARE, "right"), role))  # fmt: skip


def figure_name(probe: str, figure: Figure, expected: Expectation) -> str:
    """`compute.gemm bf16`: the probe and what tells its figures apart; the figure's name where that is nothing."""
    labels = [safe(value) for value in (expected.labels or figure.labels).values()]
    return join((safe(probe), *(labels or [safe(figure.name)])), " ")


# --- the machine -------------------------------------------------------------------------------------------------


def _machine(report: Report, run: str, width: int, masked: str) -> list[Line]:
    made_of = sum(map(len, report.machine.inventory.parts.values()))
    pairs = (
        ("host", report.machine.host),
        *digest.identity(report),
        ("GPUs", _gpus(report)),
        ("memory", f"{report.machine.memory_bytes / (1 << 30):.0f} GiB" if report.machine.memory_bytes else ""),
        ("inventory", f"{made_of:,} things known" if made_of else "none in this report"),
        *((f"not read: {kind}" if kind else "not read", why) for kind, why in report.machine.inventory.unread.items()),
        ("run", os.path.basename(run)),
        ("masked", masked),
    )
    rows = [row for name, text in pairs if text for row in labelled(fit(safe(name), 13).rstrip(), safe(text), width,
                                                                    at=18, indent=4)]  # fmt: skip
    return [BLANK, heading("the machine"), *rows]


def _gpus(report: Report) -> str:
    names = [str(gpu.get("name") or "not named") for gpu in report.machine.gpus]
    return join((f"{names.count(name)} × {name}" for name in dict.fromkeys(names)), ", ")
