"""Two to many reports as a page: likely causes, what differs, figures side by side, and what no probe covered."""

from __future__ import annotations

from torchprobes.quantity import quantity

from ..comparison import words
from ..comparison.model import Cause, Comparison, Outlier, Platform
from ..signs import SIGNS
from .crowd import crowd, crowd_figures, crowd_platforms
from .document import document
from .elements import Child, Markup, el, join
from .matrix import figures, matrix
from .tables import NUMBER, folded, mono, pairs, section, table

_CAUSES = 3
"""Causes that are shown in full; the rest is folded."""

_FEW = 3
"""Platforms that stand side by side on a page of the usual width."""

_MOST = 200


def comparison_html(comparison: Comparison, masked: str = "") -> bytes:
    """The comparison as one HTML file; `masked` is what the redactor says that it did."""
    platforms, many = comparison.platforms, len(comparison.platforms) > words.MANY
    title = f"{len(platforms):,} platforms"
    return document(
        f"torchdoctor: {title} compared",
        _head(comparison, title),
        crowd_platforms(platforms) if many else _platforms(platforms),
        _causes(comparison),
        crowd(comparison) if many else matrix(comparison),
        crowd_figures(comparison) if many else figures(comparison),
        _outliers(comparison.outliers),
        _limits(comparison),
        masked=masked,
        wide=len(platforms) > _FEW,
    )


def _head(comparison: Comparison, title: str) -> Markup:
    first = next(iter(comparison.causes), None)
    return el(
        "header",
        el("p", "torchdoctor comparison", class_="over"),
        el("h1", title, el("span", " compared", class_="of")),
        el("p", f"{words.headline(comparison)}.", class_="lead"),
        el("p", el("b", "Likeliest cause: "), first.words, class_="lead") if first else None,
    )


def _platforms(platforms: tuple[Platform, ...]) -> Markup:
    return el("div", (_platform(n, platform) for n, platform in enumerate(platforms)), class_="platforms")


def _platform(n: int, platform: Platform) -> Markup:
    report = platform.report
    verdict = el("span", f"{SIGNS[report.verdict]} {report.verdict.value}", class_=f"v v-{report.verdict.value}")
    kind = f"{platform.kind}, tier {report.tier}" if platform.kind == "check" and report.tier else platform.kind
    said: list[tuple[str, Child]] = [
        ("verdict", verdict), ("device", platform.device or "not read"), ("torch", report.target.torch or "none"),
        ("driver", report.machine.driver or "none"), ("host", report.machine.host or "not known"),
        ("made", report.started), ("by", kind),
    ]  # fmt: skip
    return el("div", el("h3", platform.label), pairs(said), class_=f"platform p{n}")


# --- causes -------------------------------------------------------------------------------------------------------


def _causes(comparison: Comparison) -> Markup:
    shown, rest = comparison.causes[:_CAUSES], comparison.causes[_CAUSES:_MOST]
    left = len(comparison.causes) - len(rest) - len(shown)
    more = f" ({left:,} more are in the JSON)" if left else ""
    none = "The reports say of nothing in which these platforms differ."
    return section(
        "Likely causes",
        None if shown else el("p", none, class_="soft"),
        (_cause(cause, comparison.platforms) for cause in shown),
        folded(f"{len(rest)} less likely{more}", (_cause(cause, comparison.platforms) for cause in rest))
        if rest
        else None,
        note="ranked by evidence",
    )


def _cause(cause: Cause, platforms: tuple[Platform, ...]) -> Markup:
    sure = el("span", "evidence in the reports" if cause.sure else "by its kind", class_=f"tag{' sure' * cause.sure}")
    explained = f"may explain {words.explains(cause)}" if cause.explains else "explains no row that differs"
    nobody = words.unknown(cause, platforms)
    return el(
        "div",
        el("p", cause.words, f"; not read on {nobody}" if nobody else None),
        el("p", f"{explained} ", sure, class_="soft"),
        el("p", cause.why, class_="note") if cause.why else None,
        _who(cause, platforms) if len(platforms) > words.MANY else None,
        class_="cause",
    )


def _who(cause: Cause, platforms: tuple[Platform, ...]) -> Markup:
    """Who has which value, the rarest first: of many, the words of a cause count and do not name."""
    each = (el("li", mono(value), f" on {who}") for value, who in words.sides(cause, platforms)[:_MOST])
    return folded("who has which", el("ul", each))


# --- the end ------------------------------------------------------------------------------------------------------


def _outliers(outliers: tuple[Outlier, ...]) -> Markup | None:
    if not outliers:
        return None
    head = (("platform", "name"), ("feature", "name"), ("figure", ""), ("value", NUMBER), ("median", NUMBER),
            ("robust z", NUMBER), ("among", NUMBER))  # fmt: skip
    rows = (
        (el("b", one.platform), one.row, words.key_words(one.key), quantity(one.value, one.unit),
         quantity(one.median, one.unit), f"{one.z:+.1f}", f"{one.of:,}")
        for one in outliers[:_MOST]
    )  # fmt: skip
    left = len(outliers) - _MOST
    more = el("p", f"{left:,} more are in the JSON", class_="note") if left > 0 else None
    return section("Outliers", table(head, rows), more, note="against platforms with the same kind of device")


def _limits(comparison: Comparison) -> Markup:
    notes = comparison.notes[:_MOST]
    uncovered = el("ul", (el("li", line) for line in comparison.uncovered))
    return join(
        section("What limits this comparison", el("ul", (el("li", note) for note in notes))) if notes else None,
        section("What no probe covered", uncovered, note="a green matrix says nothing of these"),
    )
