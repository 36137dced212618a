"""Findings with their fixes, as blocks."""

from __future__ import annotations

from torchprobes.model import Fix, Severity

from ..digest import Told
from .elements import Markup, el, join
from .tables import folded, section

_SHOWN = 20
"""Of what was seen by how many probes; the JSON has all."""


def findings(found: tuple[Told, ...]) -> Markup:
    """What needs somebody, in full; what is only worth knowing, folded."""
    urgent = [one for one in found if one.finding.severity is not Severity.INFO]
    rest = [one for one in found if one.finding.severity is Severity.INFO]
    known = "1 note" if len(rest) == 1 else f"{len(rest)} notes"
    return section(
        "What needs somebody",
        None if urgent else el("p", "No finding is critical or a warning.", class_="soft"),
        map(_finding, urgent),
        folded(known, map(_finding, rest)) if rest else None,
    )


def _finding(told: Told) -> Markup:
    finding = told.finding
    return el(
        "div",
        el("p", el("span", finding.severity.value, class_=f"v v-{finding.severity.value}"), f" · {_where(told)}"),
        el("div", _seen(told), class_="seen"),
        el("p", finding.why) if finding.why else None,
        _fix(finding.fix) if finding.fix else None,
        el("p", f"Source: {finding.source}", class_="note") if finding.source else None,
        class_=f"finding {finding.severity.value}",
    )


def _seen(told: Told) -> Markup:
    """What was seen; by each probe, where they saw different things."""
    said = dict.fromkeys(words for words, _ in told.seen)
    if len(said) == 1:
        return join(next(iter(said)))
    each = (el("li", f"{words} ({where})") for words, where in told.seen[:_SHOWN])
    return el("ul", each)


def _fix(fix: Fix) -> Markup:
    needs = f", needs: {', '.join(fix.needs)}" if fix.needs else ""
    words = el("p", el("b", "Fix"), f" for this {fix.scope.value}{needs}")
    return join(words, el("pre", el("code", fix.command)))


def _where(told: Told) -> str:
    where = list(dict.fromkeys(name for _, name in told.seen))
    named = ", ".join(where[:_SHOWN]) + (f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else "")
    return f"{named} · {told.finding.id}"
