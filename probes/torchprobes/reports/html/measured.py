"""Figures as plots: against what a sound machine reaches, and compiled against eager; and how they were measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torchprobes.model import Figure, Report
from torchprobes.quantity import quantity

from .. import conditions, digest
from ..digest import Measured
from . import plots
from .elements import Child, Markup, el
from .plots import Axis, Bar
from .tables import NUMBER, folded, mono, pairs, section, table

_RATIO = "x"
_DRAW = "draw"
_UNKNOWN = (
    "Nobody says what this kind of device reaches for what was measured here, so no figure is held against a peak. "
    "All of them are with their probes, below."
)


def measured(report: Report) -> Markup:
    """What can be held against something: a part of the expected, a multiple of eager."""
    expected = [one for result in report.results for one in digest.measured(result)]
    ratios = [(result.name, figure) for result in report.results for figure in result.figures if _is_ratio(figure)]
    return section(
        "Figures against expectation",
        _expected(expected) if expected else el("p", _UNKNOWN, class_="soft"),
        _ratios(ratios) if ratios else None,
        _phases(conditions.phases(report.results)),
    )


def _expected(each: Sequence[Measured]) -> Markup:
    on = plots.axis([high for one in each for high in (one.share, one.share + (one.spread or 0))], 1.0, "%")
    head = (("figure", "name"), (plots.ticks(on), _DRAW), ("measured", NUMBER), ("expected", NUMBER), ("share", NUMBER),
            ("n", NUMBER), ("± 95 %", NUMBER))  # fmt: skip
    key = _key(("k-ok", "reached"), ("k-warn", "below the limit"), ("k-line", "expected"), ("k-limit", "limit"))
    plot = table(head, (_expected_row(on, one) for one in each), "plot")
    sources = dict.fromkeys(one.expected.source for one in each if one.expected.source)
    return el("div", key, plot, folded("Who says what is expected", el("ul", (el("li", source) for source in sources))))


def _expected_row(on: Axis, one: Measured) -> Sequence[Child]:
    figure, low, high = one.figure, None, None
    if one.spread is not None:
        low, high = one.share - one.spread, one.share + one.spread
    return (
        named(one.probe, figure, one.expected.labels or figure.labels),
        plots.bar(on, Bar(one.share, low, high, one.limit, "ok" if one.reached else "warn")),
        quantity(figure.value, figure.unit),
        quantity(one.expected.value, one.expected.unit),
        el("b", f"{100 * one.share:.0f} %"),
        f"{figure.n:,}",
        "not measured" if figure.spread is None else quantity(figure.spread, figure.unit),
    )


def _is_ratio(figure: Figure) -> bool:
    return figure.unit == _RATIO and figure.spread is not None and figure.value > 0


def _ratios(each: Sequence[tuple[str, Figure]]) -> Markup:
    on = plots.axis([figure.value + (figure.spread or 0) for _, figure in each], 1.0, "×")
    head = (("ratio", "name"), (plots.ticks(on), _DRAW), ("measured", NUMBER), ("± 95 %", NUMBER), ("n", NUMBER))
    rows = (
        (
            named(probe, figure, figure.labels),
            plots.bar(on, Bar(figure.value, figure.value - (figure.spread or 0), figure.value + (figure.spread or 0))),
            el("b", quantity(figure.value, figure.unit)),
            quantity(figure.spread or 0, figure.unit),
            f"{figure.n:,}",
        )
        for probe, figure in each
    )
    return el("div", el("h3", "Ratios", el("small", "1× is eager, or whatever the probe compares with")),
              table(head, rows, "plot"))  # fmt: skip


def named(probe: str, figure: Figure, labels: Mapping[str, str]) -> Markup:
    """A figure by its probe, what tells it from the others of its name, and its name."""
    return el("span", f"{probe} ", el("b", ", ".join(labels.values())), " ", el("small", figure.name, class_="soft"))


def _key(*each: tuple[str, str]) -> Markup:
    return el("div", (el("span", el("i", class_=name), words) for name, words in each), class_="key")


# --- how it was measured ------------------------------------------------------------------------------------------


def _phases(phases: Sequence[conditions.Phase]) -> Markup | None:
    if not phases:
        return None
    head = [("while", "name"), *((words, NUMBER) for words, _ in conditions.COLUMNS), ("clocks held by", "value")]
    rows = (
        (conditions.while_words(phase), *(cell or "not read" for cell in phase.cells), _held(phase.held))
        for phase in phases
    )
    return el("div", el("h3", "Clocks while it was measured"), table(head, rows))


def _held(held: str | None) -> str:
    return "not read" if held is None else held or "nothing"


def conditions_of(report: Report) -> Markup:
    """What lets somebody else measure it again: versions, caches, who else was there; commands are with the probes."""
    said: list[tuple[str, Child]] = [*_with("caches", conditions.caches(report))]
    said += _with("others on the device", conditions.beside(report)) or [("others on the device", "not recorded")]
    spread = [figure for result in report.results for figure in result.figures]
    with_spread = sum(figure.spread is not None for figure in spread)
    said.append(("spread", f"{with_spread} of {len(spread)} figures have a 95 % interval; each says its n"))
    said.append(("commands", "with each probe, as they were run"))
    said.append(("torchdoctor", mono(report.torchdoctor)))
    return section("How it was measured", pairs(said))


def _with(name: str, each: Iterable[tuple[str, str]]) -> list[tuple[str, Child]]:
    return [(name, f"{words}: {probes}") for words, probes in each]
