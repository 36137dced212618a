"""Every probe with its verdict and, folded, all that the verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable

from torchprobes.model import Evidence, Fact, Figure, Report, Result
from torchprobes.quantity import quantity

from .. import digest
from ..conditions import is_condition
from ..signs import SIGNS, counts
from .elements import Markup, el, join
from .tables import NUMBER, mono, pairs, section, table

_MOST = 400
"""Rows of one table; no probe has as many, the JSON has all."""


def features(report: Report) -> Markup:
    """All probes, what needs somebody first."""
    each = map(_probe, digest.by_weight(report.results))
    return section("Features", each, note=counts(report.results))


def _probe(result: Result) -> Markup:
    asked = digest.title(result.name)
    summary = el(
        "summary",
        el("span", f"{SIGNS[result.verdict]} {result.verdict.value}", class_=f"v v-{result.verdict.value}"),
        el("span", result.name, class_="name"),
        el("span", result.reason, el("small", asked) if asked else None, class_="reason"),
        el("span", f"{result.seconds:.1f} s", class_="num soft"),
    )
    return el("details", summary, el("div", *_inside(result), class_="inside"), class_="probe")


def _inside(result: Result) -> Iterable[Markup]:
    said = [
        ("device", result.device), ("caches at the start", result.cache_state), ("log", result.log),
        *((each.kind, _evidence(each)) for each in result.evidence[:_MOST]),
    ]  # fmt: skip
    if any(words for _, words in said):
        yield pairs((name, words) for name, words in said if words)
    figures = [figure for figure in result.figures if not is_condition(figure)]
    if figures:
        yield join(el("h3", "Figures"), _figures(result, figures))
    if result.facts:
        yield join(el("h3", "Facts"), _facts(result.facts))
    if result.command:
        yield join(el("h3", "Command"), el("pre", el("code", result.command)))


def _evidence(evidence: Evidence) -> str:
    where = f" ({evidence.artifact})" if evidence.artifact else ""
    return f"{evidence.text}{where}"


def _figures(result: Result, figures: list[Figure]) -> Markup:
    expected = {id(one.figure): one for one in digest.measured(result)}
    head = (
        ("figure", "term"),
        ("of", "value"),
        ("value", NUMBER),
        ("± 95 %", NUMBER),
        ("n", NUMBER),
        ("of the expected", NUMBER),
    )
    rows = (
        (
            mono(figure.name),
            ", ".join(f"{name} {value}" for name, value in figure.labels.items()),
            quantity(figure.value, figure.unit),
            "not measured" if figure.spread is None else quantity(figure.spread, figure.unit),
            f"{figure.n:,}",
            f"{100 * expected[id(figure)].share:.0f} %" if id(figure) in expected else "",
        )
        for figure in figures[:_MOST]
    )
    return join(table(head, rows), _left_out(len(figures)))


def _facts(facts: tuple[Fact, ...]) -> Markup:
    rows = ((mono(fact.name), _value(fact.value), el("span", fact.evidence, class_="soft")) for fact in facts[:_MOST])
    return join(table((("fact", "term"), ("value", "value"), ("told by", "value")), rows), _left_out(len(facts)))


def _value(value: str | float | bool | None) -> str:
    if value is None:
        return "not read"
    if value == "":
        return "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _left_out(count: int) -> Markup | None:
    return el("p", f"{count - _MOST:,} more are in the JSON", class_="note") if count > _MOST else None
