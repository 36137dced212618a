"""The list of probes: a row each, under groups that fold, or worst first; every row says what it came to."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from torchdoctor.paint import BLANK, Line, Page, Span, bar, fit, join, line, text_of
from torchdoctor.signs import CLOSED, NOT_RUN, OPEN, QUEUED, RUNNING, VERDICTS
from torchdoctor.text import safe
from torchprobes.catalogue import OFFERED, PROBES, TIERS, Probe, select
from torchprobes.model import REPORT_ORDER, Tier, Verdict, worst

if TYPE_CHECKING:
    from torchprobes.runner.snapshot import ProbeView

Views = Mapping[str, "ProbeView"]

ALL: Final = "all"
"""The key of the first row: every probe of the tier."""

BAD: Final = (Verdict.FAIL, Verdict.ERROR, Verdict.UNSURE, Verdict.DEGRADED)
"""What is not well, worst first."""

_WORD, _GROUP, _SHORT, _NAME, _SECONDS, _BAR = 9, 11, 29, 35, 7, 12


class Order(str, enum.Enum):
    """How the list is sorted."""

    GROUPS = "by group"
    WORST = "worst first"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list: a probe, a group of several, or all of the tier."""

    key: str
    probes: tuple[Probe, ...]
    indent: int = 0
    open: bool | None = None
    """Whether all probes of a group stand below it, or what matters of them; None for what does not fold."""

    @property
    def single(self) -> bool:
        """Whether it is one probe."""
        return len(self.probes) == 1 and self.key == self.probes[0].name


@dataclass(frozen=True, slots=True)
class Look:
    """How the list is looked at: `folds` are the groups that a person opened or closed, `height` the rows in view.

    A group is open where all fits; a closed one still shows what runs and what is not well in it.
    """

    tier: Tier = Tier.STANDARD
    order: Order = Order.GROUPS
    folds: Mapping[str, bool] = field(default_factory=dict)
    cursor: str | None = None
    height: int = 0


# --- which rows there are --------------------------------------------------------------------------------------


def rows_of(look: Look, views: Views) -> list[Row]:
    """The first row, then every probe: in groups as the catalogue has them, or worst first."""
    rows = [Row(ALL, select((), look.tier)), *_given(views)]
    if look.order is Order.WORST:
        known = {probe.name: place for place, probe in enumerate(OFFERED)}
        by_weight = sorted(OFFERED, key=lambda p: (weight(views.get(p.name)), known[p.name]))
        return rows + [Row(probe.name, (probe,)) for probe in by_weight]
    for group, members in groups().items():
        if len(members) == 1:
            rows.append(Row(members[0].name, members))
            continue
        opened = look.folds.get(group, len(OFFERED) + len(groups()) + 3 <= look.height)
        rows.append(Row(group, select((group,), look.tier), open=opened))
        told = [p for p in members if opened or p.name == look.cursor or _is_told(views.get(p.name))]
        rows += [Row(probe.name, (probe,), indent=2) for probe in told]
    return rows


def _given(views: Views) -> list[Row]:
    """Probes that are offered nowhere, for they need a file of one's own, and were run from another pane."""
    offered = {probe.name for probe in OFFERED}
    return [Row(probe.name, (probe,)) for probe in PROBES if probe.name in views and probe.name not in offered]


def groups() -> dict[str, tuple[Probe, ...]]:
    """The groups of the catalogue, each with all of its probes."""
    names = dict.fromkeys(probe.group for probe in OFFERED)
    return {name: tuple(probe for probe in OFFERED if probe.group == name) for name in names}


def is_bad(view: ProbeView | None) -> bool:
    """Whether it came to something that is not well."""
    return view is not None and view.result is not None and view.result.verdict in BAD


def _is_told(view: ProbeView | None) -> bool:
    """Whether a closed group shows it all the same: it runs, or is not well."""
    return is_bad(view) or (view is not None and view.result is None and state_of(view) != "queued")


def weight(view: ProbeView | None) -> int:
    """Where a probe belongs, worst first: what is not well, what runs, what is well, what waits, what did not run."""
    if view is None:
        return len(BAD) + 4
    if view.result is None:
        return len(BAD) + (2 if state_of(view) == "queued" else 0)
    order = (*BAD, None, Verdict.PASS, None, Verdict.SKIP)
    return order.index(view.result.verdict)


# --- the words of one probe ------------------------------------------------------------------------------------


def state_of(view: ProbeView | None) -> str:
    """queued, starting, running or done; "" for one that was not asked for."""
    return "" if view is None else str(getattr(view.state, "value", view.state)).lower()


def sign(view: ProbeView | None) -> tuple[Span, str]:
    """(sign with its role, word) of a probe as it stands."""
    if view is None:
        return NOT_RUN, "not run"
    if view.result is not None:
        return VERDICTS[view.result.verdict], view.result.verdict.value
    state = state_of(view)
    return (QUEUED if state == "queued" else RUNNING), state


def seconds_text(view: ProbeView | None) -> str:
    """How long it took, or takes so far."""
    if view is None:
        return ""
    if view.result is not None:
        return f"{view.result.seconds:.1f} s"
    return f"{view.started_s:.0f} s" if view.started_s is not None else ""


def said(view: ProbeView | None) -> str:
    """One line: the reason of a result, or what a running one said last."""
    if view is None:
        return ""
    return safe(view.result.reason if view.result is not None else view.progress)


def progress(view: ProbeView) -> str:
    """How far a running one is, and what it said last."""
    return join((f"{view.done * 100:.0f} %" if view.done is not None else "", said(view)), "  ")


def counts(results: Iterable[Verdict], between: str = "  ") -> list[Span]:
    """How many came to what, worst first, as spans."""
    found = list(results)
    spans: list[Span] = []
    for verdict in (verdict for verdict in REPORT_ORDER if verdict in found):
        mark, role = VERDICTS[verdict]
        spans += [(between if spans else "", ""), (f"{mark} {found.count(verdict)}", role)]
    return spans


# --- the page --------------------------------------------------------------------------------------------------


def list_page(views: Views, look: Look, width: int, *, reasons: bool) -> Page:
    """Every row: sign, word, name, seconds, and where there is room what it said."""
    lines: list[Line] = [BLANK]
    keys, marks = dict[int, str](), set[int]()
    wide = _SHORT if look.order is Order.GROUPS else _NAME if reasons else _NAME - 3
    for row in rows_of(look, views):
        if row.single:
            hit = is_bad(views.get(row.key))
            text = _probe_line(row, views.get(row.key), wide, look, reasons=reasons)
        else:
            hit = False
            text = _several_line(row, views, look, width)
        if hit:
            marks.add(len(lines))
        keys[len(lines)] = row.key
        lines += [text, BLANK] if row.key == ALL else [text]
    return Page(lines, keys, frozenset(marks))


def _probe_line(row: Row, view: ProbeView | None, wide: int, look: Look, *, reasons: bool) -> Line:
    (mark, role), word = sign(view)
    probe = row.probes[0]
    text = ""
    if reasons and view is None:
        beyond = TIERS.index(probe.tier) > TIERS.index(look.tier)
        text = join((probe.tier.value if beyond else "", probe.title))
    elif reasons and view is not None:
        text = said(view) if view.result is not None else progress(view)
    name = probe.name.partition(".")[2] if row.indent else probe.name
    return line(
        "  ", (f"{mark} ", role), (fit(word, _WORD), role), fit(" " * row.indent + name, wide),
        (fit(seconds_text(view), _SECONDS, "right"), "dim"), "   ", (text, "dim" if view is None else ""),
    )  # fmt: skip


def _several_line(row: Row, views: Views, look: Look, width: int) -> Line:
    """A group or the whole tier: the worst of it as its sign, how many came to what, and what runs in it now."""
    mine = [views[probe.name] for probe in row.probes if probe.name in views]
    found = [view.result.verdict for view in mine if view.result is not None]
    (mark, role), word = _state_of_several(mine, found)
    fold = {None: " ", True: OPEN, False: CLOSED}[row.open]
    name = f"all of tier {look.tier.value}" if row.key == ALL else row.key
    head: list[Span] = [
        (f"{fold} ", "dim"), (f"{mark} ", role), (fit(word, _WORD), role),
        (fit(name, _GROUP + 12 if row.key == ALL else _GROUP), "title"),
    ]  # fmt: skip
    if not mine:
        return line(*head, (_how_many(row), "dim"))
    running = [view for view in mine if view.result is None]
    tail = counts(found)
    if running:
        tail += [("   " if tail else "", ""), (f"{len(found)} of {len(mine)}", "run"), ("  ", "")]
        room = min(_BAR, width - 2 - cell_len(text_of((*head, *tail))))
        tail += bar(len(found) / len(mine), room, "run") if room > 2 and row.key == ALL else []
    return line(*head, *tail, *(_now(running) if row.key == ALL else []))


def _how_many(row: Row) -> str:
    """How many probes `r` would run, and of how many there are."""
    every = len(OFFERED) if row.key == ALL else sum(probe.group == row.key for probe in OFFERED)
    some = f"{len(row.probes)} of " if len(row.probes) < every else ""
    return f"{some}{every} probes"


def _state_of_several(mine: list[ProbeView], found: list[Verdict]) -> tuple[Span, str]:
    states = {state_of(view) for view in mine if view.result is None}
    if states:
        return (QUEUED, "queued") if states == {"queued"} and not found else (RUNNING, "running")
    return (VERDICTS[worst(found)], worst(found).value) if found else (NOT_RUN, "not run")


def _now(running: list[ProbeView]) -> list[Span]:
    """What runs now."""
    now = [view for view in running if state_of(view) != "queued"]
    return [("  " + join((view.name, progress(view)), " "), "dim") for view in now[:1]]
