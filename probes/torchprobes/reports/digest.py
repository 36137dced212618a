"""What a person reads first in a report, as data: Markdown, HTML and the screen are made of it, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from torchprobes import catalogue
from torchprobes.model import REPORT_ORDER, Expectation, Figure, Finding, Inventory, Report, Result, Severity, Verdict

from .against import in_words

THIS_MACHINE: Final = "this machine"
"""Whose finding it is, where no probe's."""

_WEIGHT: Final = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One finding, told once however many probes have it."""

    finding: Finding
    seen: Pairs
    """(what was seen, by which probe), in the report's order."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure held against what a sound machine of this kind reaches."""

    probe: str
    figure: Figure
    expected: Expectation

    @property
    def share(self) -> float:
        """The figure as a part of what is expected; for a latency, what is expected as a part of the figure."""
        value, most = self.figure.value, self.expected.value
        return value / most if self.expected.higher_is_better else most / value

    @property
    def limit(self) -> float | None:
        """The share at which `degraded` begins."""
        limit, most = self.expected.limit, self.expected.value
        if limit is None or limit <= 0:
            return None
        return limit / most if self.expected.higher_is_better else most / limit

    @property
    def spread(self) -> float | None:
        """The half-width of the figure's 95 % interval as a share."""
        spread, value = self.figure.spread, self.figure.value
        return None if spread is None else self.share * spread / abs(value)

    @property
    def reached(self) -> bool:
        """Whether it is on the right side of the limit; of the expectation, where there is no limit."""
        return self.share >= (1.0 if self.limit is None else self.limit)


def told(report: Report) -> tuple[Told, ...]:
    """Every finding of a report, the most severe first; those that differ only in what was seen are one."""
    groups: dict[tuple[str, str, Severity], list[tuple[str, Finding]]] = {}
    for name, finding in _found(report):
        groups.setdefault((finding.id, finding.why, finding.severity), []).append((name, finding))
    each = [Told(group[0][1], tuple((f.seen, name) for name, f in group)) for group in groups.values()]
    return tuple(sorted(each, key=lambda one: _WEIGHT.index(one.finding.severity)))


def _found(report: Report) -> Iterator[tuple[str, Finding]]:
    yield from ((THIS_MACHINE, finding) for finding in report.findings)
    for result in report.results:
        yield from ((result.name, finding) for finding in result.findings)


def by_weight(results: Iterable[Result]) -> tuple[Result, ...]:
    """Results, what needs somebody first, else in the report's order."""
    return tuple(sorted(results, key=lambda result: REPORT_ORDER.index(result.verdict)))


def measured(result: Result) -> tuple[Measured, ...]:
    """The figures of a probe that something is expected of; one that was not measured, or is no rate, is left out."""
    pairs = ((figure_of(result, expected), expected) for expected in result.expectations)
    return tuple(
        Measured(result.name, figure, expected)
        for figure, expected in pairs
        if figure is not None and figure.value > 0 and expected.value > 0
    )


def figure_of(result: Result, expected: Expectation) -> Figure | None:
    """The last figure that an expectation is of."""
    return next((f for f in reversed(result.figures) if _is_of(f, expected)), None)


def _is_of(figure: Figure, expected: Expectation) -> bool:
    return (
        figure.name == expected.name
        and figure.unit == expected.unit
        and expected.labels.items() <= figure.labels.items()
    )


def title(name: str) -> str:
    """What a probe asks, in the catalogue's words; "" for one that this version does not have."""
    return next((probe.title for probe in catalogue.PROBES if probe.name == name), "")


def identity(report: Report) -> Pairs:
    """What the report is of: when, where and of which PyTorch. What is not known says so."""
    machine, target = report.machine, report.target
    pairs = [
        ("started", f"{report.started}, {report.seconds:.1f} s"),
        (
            "machine",
            f"{machine.os}, {machine.arch}, {machine.cpu}, {machine.cores} cores" if machine.os else "not read",
        ),
        ("driver", f"{machine.driver or 'none'}, CUDA {machine.cuda or 'none'}, {len(machine.gpus)} GPUs"),
        ("target", " ".join([*target.prefix, target.python])),
        ("torch", f"{target.torch or 'none'} on Python {target.python_version or 'not known'}"),
        *_like(report),
        ("torchdoctor", f"{report.torchdoctor}, tier {report.tier}"),
        ("judged against", in_words(report.baseline) if report.baseline else ""),
    ]
    return tuple((name, value) for name, value in pairs if value)


def _like(report: Report) -> Iterator[tuple[str, str]]:
    like = report.target.like
    if like is None:
        return
    yield "like", f"pid {like.pid} ({like.user}): {like.command}"
    for each in like.differences:
        here = f", in the shell {each.here}" if each.here else ""
        yield f"there {each.what}", f"{each.there}{here}{'' if each.applied else ' (told only)'}"


def unread(made_of: Inventory) -> Pairs:
    """(what of an inventory could not be read, why); nobody knows whether any of that is there."""
    return tuple(
        (name.removesuffix(":").replace("/", ", ") or "all of it", why) for name, why in made_of.unread.items()
    )


def verdict_words(report: Report) -> str:
    """What the report comes to in a sentence or two: which probes, then how many findings of which weight."""
    worst = [result for result in report.results if result.verdict is report.verdict]
    named = ", ".join(result.name for result in worst[:_NAMED]) + (
        f" and {len(worst) - _NAMED} more" * (len(worst) > _NAMED)
    )
    severities = [one.finding.severity for one in told(report)]
    counted = [_counted(severities.count(s), s) for s in _WEIGHT[:2] if s in severities]
    found = f"Findings: {', '.join(counted)}." if counted else "No warning and no critical finding."
    return (
        f"{_SENTENCES[report.verdict].format(named=named or 'nothing', n=len(worst), of=len(report.results))} {found}"
    )


def _counted(count: int, severity: Severity) -> str:
    return f"{count} {severity.value}{'s' * (severity is Severity.WARNING and count > 1)}"


_NAMED: Final = 3
_SENTENCES: Final = {
    Verdict.FAIL: "Does not work: {named}.",
    Verdict.ERROR: "Did not come to an end: {named}.",
    Verdict.UNSURE: "Not sure: {named}.",
    Verdict.DEGRADED: "Works, but a named cause holds it back: {named}.",
    Verdict.PASS: "No fault found by the {n} of {of} probes that passed.",
    Verdict.SKIP: "Nothing could be asked here: {n} of {of} probes were skipped.",
}
