"""The runs that are kept, and reports of other nodes beside them, as a list to open, mark and look after."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from torchdoctor.paint import BLANK, Line, Page, Span, heading, join, labelled, line
from torchdoctor.signs import RUNNING, VERDICTS
from torchdoctor.text import safe, size_text
from torchdoctor.widgets.table_rows import GAP, Column, fit_columns, head_line, table_row
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
    """How many probes came to what; why it cannot be read."""
    if row.why:
        return [(safe(row.why), "fail")]
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
    Column("probes", 19, 2, _said, left=True, most=30),
    Column("host", 12, 4, lambda row, _: [(safe(row.host), "")], left=True, most=24),
    Column("torch", 12, 7, lambda row, _: [(safe(row.torch or "–"), "dim")], left=True),
    Column("device", 16, 8, lambda row, _: [(safe(row.device), "dim")], left=True, most=28),
    Column("size", 7, 3, _size),
)  # fmt: skip


def history_page(
    history: History | None, files: History | None, note: str, marked: Collection[str], width: int
) -> Page:
    """Runs, newest first, and files that were added; the cursor stands on one of them."""
    rows: list[Line] = [BLANK, heading("history", _uses(history))]
    if note:
        rows += labelled("", safe(note), width, at=2)
    fitted = fit_columns(_COLUMNS, width - 4 - GAP)
    rows += [BLANK, (("    ", ""), *head_line(fitted))] if history is not None and history.rows else []
    keys: dict[int, str] = {}
    for each in history.rows if history is not None else ():
        keys[len(rows)] = each.path
        rows.append(_row(each, each.path in marked, fitted))
    if files is not None:
        rows += [BLANK, heading("reports in", safe(files.place)), BLANK, (("    ", ""), *head_line(fitted))]
        for each in files.rows:
            keys[len(rows)] = each.path
            rows.append(_row(each, each.path in marked, fitted))
    rows += [BLANK, line((f"  {_how(len(marked))}", "dim"))]
    return Page(rows, keys, frozenset(y for y, key in keys.items() if key in marked))


def _row(row: RunRow, marked: bool, fitted: object) -> Line:
    return ((f"  {MARK if marked else ' '} ", "accent"), *table_row(row, fitted))  # type: ignore[arg-type]


def _uses(history: History | None) -> str:
    if history is None:
        return ""
    held = "" if history.bytes is None else f"{size_text(history.bytes)} of {size_text(history.quota_bytes)}"
    count = len(history.rows)
    return join((f"{count} {'run' if count == 1 else 'runs'}", held, safe(history.place)))


def _how(marked: int) -> str:
    if marked > 1:
        return f"{marked} marked: d compares them, t puts them on a time line"
    return "enter opens · space marks · d compares what is marked, or this one with the report on screen · o adds files"
