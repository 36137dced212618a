"""One probe in full: what it came to and why, what to do, and everything that it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len

from torchdoctor.paint import BLANK, Line, Page, Span, bar, fit, heading, join, labelled, line, wrap
from torchdoctor.signs import NOT_RUN, QUEUED, RUNNING, VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.finding_rows import by_weight, finding_rows
from torchprobes.model import Evidence, Fact, Figure, Result

if TYPE_CHECKING:
    from torchprobes.catalogue import Probe
    from torchprobes.runner.snapshot import ProbeView

_FACT_NAMES = 26
_PROGRESS = 24


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
    role = VERDICTS[result.verdict][1]
    rows += [BLANK, *(line(("  " + text, role)) for text in wrap(safe(result.reason), width - 4))]
    marks = []
    for finding in by_weight(result.findings):
        rows.append(BLANK)
        marks.append(len(rows))
        rows += finding_rows(finding, width)
    rows += _section("figures", figure_rows(result.figures, width))
    rows += _section("evidence", _evidence_rows(result.evidence, width))
    rows += _section("facts", fact_rows(result.facts, width))
    rows += _repeat(safe(result.command) or repeat, width)
    if result.log:
        rows += [BLANK, *labelled("log", safe(result.log), width, at=10)]
    return Page(rows, marks=frozenset(marks))


def _section(title: str, rows: list[Line]) -> list[Line]:
    return [BLANK, heading(title), *rows] if rows else []


def _repeat(command: str, width: int) -> list[Line]:
    return [BLANK, *labelled("repeat", command, width, at=10, role="key")] if command else []


# --- figures and facts -------------------------------------------------------------------------------------------

_BYTES = ("GiB", "MiB", "KiB")


def value_text(value: float) -> str:
    """A measured number with four figures that count; no false precision."""
    if value == 0 or not abs(value) < float("inf"):
        return f"{value:g}"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        return f"{value:.3g}"
    if value == int(value) or size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def scaled(figure: Figure) -> tuple[str, str, str]:
    """(value, unit, spread) for people: bytes in the binary unit that keeps the number short."""
    unit, divisor = figure.unit, 1.0
    if unit in ("B", "bytes"):
        power = next((3 - i for i in range(3) if abs(figure.value) >= 1024 ** (3 - i)), 0)
        unit, divisor = (_BYTES[3 - power] if power else "B"), float(1024**power)
    spread = "" if figure.spread is None else f"± {value_text(figure.spread / divisor)}"
    return value_text(figure.value / divisor), safe(unit), spread


def figure_rows(figures: Iterable[Figure], width: int) -> list[Line]:
    """Name, value and unit in columns; then what tells figures of one name apart, the spread, and how many."""
    rows = []
    for figure in figures:
        labels = join(map(_label, figure.labels.items()), " ")
        value, unit, spread = scaled(figure)
        note = join((labels, spread, f"n {figure.n}" if figure.n > 1 else ""), "  ")
        name = fit(safe(figure.name), min(_FACT_NAMES, max(16, width - 40)))
        rows.append(line("    ", name, fit(value, 10, "right"), " ", fit(unit, 9), (note, "dim")))
    return rows


def _label(label: tuple[str, str]) -> str:
    """A label's value where it is a word of its own, else with its key."""
    key, value = label
    return safe(value) if value.replace("-", "").replace(" ", "").isalpha() else f"{safe(key)}={safe(value)}"


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
