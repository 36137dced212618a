"""One probe in full: what it came to and why, what to do, and everything that it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len

from torchdoctor.paint import BLANK, Line, Page, bar, fit, heading, join, labelled, line, wrap
from torchdoctor.signs import VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.figure_rows import expected_rows, figure_rows
from torchdoctor.widgets.finding_rows import by_weight, finding_rows
from torchdoctor.widgets.probe_rows import said, seconds_text, sign, state_of
from torchdoctor.widgets.repeat import by_hand
from torchprobes.model import Evidence, Fact, Result

if TYPE_CHECKING:
    from torchprobes.catalogue import Probe
    from torchprobes.runner.snapshot import ProbeView

_FACT_NAMES = 26
_PROGRESS = 24
_AT = 12


def probe_page(probe: Probe, view: ProbeView | None, repeat: str, width: int) -> Page:
    """Everything about one probe."""
    (mark, role), word = sign(view)
    right = join((word, seconds_text(view), view.result.device if view is not None and view.result else ""))
    name = fit("  " + probe.name, max(cell_len(probe.name) + 4, width - cell_len(right) - 5))
    rows = [BLANK, line((name, "title"), (mark + " ", role), (right, role))]
    rows += [line(("  " + text, "dim")) for text in wrap(probe.title, width - 4)]
    result = view.result if view is not None else None
    if result is not None:
        return _result_page(rows, result, repeat, width)
    return Page([*rows, BLANK, *_pending(probe, view, width), *_repeat(repeat, width)])


def _pending(probe: Probe, view: ProbeView | None, width: int) -> list[Line]:
    if view is None:
        needs = join((f"tier {probe.tier.value}", f"at most {probe.limit_s:.0f} s after importing torch"))
        rows = [line(("  not run in this session: r runs it", "")), line(("  " + needs, "dim"))]
        return rows + ([line(("  needs " + ", ".join(probe.needs), "dim"))] if probe.needs else [])
    rows = [line(("  " + text, "run")) for text in wrap(said(view) or state_of(view), width - 4)]
    if view.done is not None:
        rows.append(line("  ", *bar(view.done, min(_PROGRESS, width - 10), "run"), f" {view.done * 100:.0f} %"))
    return [*rows, line(("  enter shows its output as it is written", "dim"))]


def _result_page(rows: list[Line], result: Result, repeat: str, width: int) -> Page:
    """What matters first: the reason, what to do, figures against what they should be, then all else that was read."""
    role = VERDICTS[result.verdict][1]
    rows += [BLANK, *(line(("  " + text, role)) for text in wrap(safe(result.reason), width - 4))]
    marks = []
    for finding in by_weight(result.findings):
        rows.append(BLANK)
        marks.append(len(rows))
        rows += finding_rows(finding, width)
    held, others = expected_rows(result, width)
    rows += _section("figures and what is expected of them", held)
    rows += _section("other figures" if held else "figures", figure_rows(others, width))
    rows += _section("evidence", _evidence_rows(result.evidence, width))
    rows += _section("facts", fact_rows(result.facts, width))
    rows += _repeat(repeat, width, result.command)
    more = (("cache", result.cache_state), ("log", result.log))
    rows += [row for name, text in more if text for row in labelled(name, safe(text), width, at=_AT)]
    return Page(rows, marks=frozenset(marks))


def _section(title: str, rows: list[Line]) -> list[Line]:
    return [BLANK, heading(title), *rows] if rows else []


def _repeat(repeat: str, width: int, command: str = "") -> list[Line]:
    """How to do it again: through torchdoctor, judged; and by hand, exactly as it was run, which `y` copies."""
    rows = [BLANK, *labelled("repeat", safe(repeat), width, at=_AT, role="key")] if repeat else []
    if not command:
        return rows
    exact = by_hand(command)
    rows += labelled("by hand", safe(exact.line), width, at=_AT)
    return rows + [line((" " * _AT + safe(note), "dim")) for note in ("y copies this line", *exact.notes)]


# --- facts and evidence ------------------------------------------------------------------------------------------


def fact_rows(facts: Iterable[Fact], width: int) -> list[Line]:
    """Name and value, and where it was seen."""
    rows: list[Line] = []
    for fact in facts:
        text = _value(fact.value)
        evidence = f"  ({safe(fact.evidence)})" if fact.evidence and fact.evidence != text else ""
        texts = wrap(text + evidence, max(20, width - _FACT_NAMES - 6))
        rows.append(line("    ", (fit(safe(fact.name), _FACT_NAMES), "dim"), texts[0]))
        rows += [line(" " * (_FACT_NAMES + 4), part) for part in texts[1:]]
    return rows


def _value(value: str | int | float | bool | None) -> str:
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else safe(str(value))


def _evidence_rows(evidence: Iterable[Evidence], width: int) -> list[Line]:
    rows: list[Line] = []
    for item in evidence:
        text = safe(item.text) + (f"  [{safe(item.artifact)}]" if item.artifact else "")
        rows += labelled(safe(item.kind), text, width, at=18, indent=4)
    return rows
