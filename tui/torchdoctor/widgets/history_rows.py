"""The runs that are kept, and reports of other nodes beside them, as a list to open, mark and look after."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final

from torchdoctor.paint import BLANK, Line, Page, Span, fit, heading, join, labelled, line, wrap
from torchdoctor.signs import RUNNING, VERDICTS
from torchdoctor.text import safe, size_text
from torchdoctor.widgets.lazy_lines import LazyLines
from torchdoctor.widgets.table_rows import Column, Fitted, fit_columns, head_line, table_row
from torchprobes.model import Verdict
from torchprobes.reports.seen import History, RunRow

_VERDICTS: Final = {verdict.value: VERDICTS[verdict] for verdict in Verdict}
_STATES: Final = {"running": RUNNING, "cut off": ("!", "warn"), "unreadable": ("!", "fail"), "ended": ("·", "dim")}
MARK: Final = "◆"


def state_span(state: str) -> Span:
    """How a run ended: sign and word."""
    sign, role = _VERDICTS.get(state) or _STATES.get(state) or ("·", "dim")
    return f"{sign} {safe(state)}", role


def when(row: RunRow) -> str:
    """`2026-01-02 03:04Z`: when it began."""
    return f"{safe(row.started)[:16].replace('T', ' ')}Z" if row.started else ""


def called(row: RunRow) -> str:
    """What a person calls it: its title, else the tier of a check, else its name."""
    if row.title:
        return safe(row.title)
    return safe(row.tier if row.own and row.kind == "check" and row.tier else row.name)


def _said(row: RunRow, width: int) -> Sequence[Span]:
    """How many probes came to what."""
    spans: list[Span] = []
    for verdict, (sign, role) in VERDICTS.items():
        if count := row.counts.get(verdict.value):
            spans += [(" " if spans else "", ""), (f"{sign}{count}", role)]
    used = sum(len(text) for text, _ in spans)
    return [*spans, (" " * (width - used), "")] if used <= width else [(f"{sum(row.counts.values())} probes", "dim")]


def _size(row: RunRow, _: int) -> Sequence[Span]:
    return [("" if row.bytes is None else size_text(row.bytes), "dim")]


_COLUMNS: Final[tuple[Column[RunRow], ...]] = (
    Column("began", 17, 0, lambda row, _: [(when(row), "")], left=True),
    Column("state", 11, 0, lambda row, _: [state_span(row.state)], left=True),
    Column("what", 16, 1, lambda row, _: [(called(row), "title" if row.title else "")], left=True, most=44),
    Column("kind", 8, 6, lambda row, _: [(safe(row.kind), "dim")], left=True),
    Column("probes", 15, 2, _said, left=True, most=30),
    Column("host", 12, 4, lambda row, _: [(safe(row.host), "")], left=True, most=24),
    Column("torch", 12, 7, lambda row, _: [(safe(row.torch or "–"), "dim")], left=True),
    Column("device", 16, 8, lambda row, _: [(safe(row.device), "dim")], left=True, most=28),
    Column("size", 7, 3, _size),
)  # fmt: skip


def history_page(
    history: History | None, files: History | None, note: str, marked: Collection[str], width: int
) -> Page:
    """Runs, newest first, and files that were added; the cursor stands on one of them."""
    lines, keys = LazyLines(), dict[int, str]()
    fitted = fit_columns(_COLUMNS, width - 4)
    lines.add(BLANK, heading("history", _uses(history)))
    if note:
        lines.add(*labelled("", safe(note), width, at=2))
    for each in (history, files):
        if each is None or not each.rows:
            continue
        if each is files:
            lines.add(BLANK, heading("reports in", f"{safe(each.place)} · {len(each.rows):,}"))
        lines.add(BLANK, (("    ", ""), *head_line(fitted)))
        keys.update(enumerate((row.path for row in each.rows), len(lines)))
        lines.later(len(each.rows), partial(_row, each.rows, marked, fitted))
    lines.add(BLANK, *(line(("  " + text, "dim")) for text in wrap(_how(len(marked)), max(20, width - 4))))
    return Page(lines, keys, frozenset(y for y, key in keys.items() if key in marked))


def _row(rows: Sequence[RunRow], marked: Collection[str], fitted: Fitted[RunRow], place: int) -> Line:
    row = rows[place]
    if row.why:
        why = safe(row.why.replace(row.path, "").strip(" :"))
        return line(f"    {fit(when(row), 17)}  ", state_span(row.state), f"  {safe(row.name)}  ", (why, "dim"))
    return ((f"  {MARK if row.path in marked else ' '} ", "accent"), *table_row(row, fitted))


def _uses(history: History | None) -> str:
    if history is None:
        return ""
    held = "" if history.bytes is None else f"{size_text(history.bytes)} of {size_text(history.quota_bytes)}"
    count = len(history.rows)
    return join((f"{count} {'run' if count == 1 else 'runs'}", held, safe(history.place)))


def _how(marked: int) -> str:
    if marked > 1:
        return f"{marked:,} marked: d compares them, t puts them on a time line"
    keys = "enter opens · space marks, * all · d compares what is marked, or this one with the report on screen"
    return f"{keys} · o adds files"
