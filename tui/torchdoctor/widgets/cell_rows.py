"""One row of a comparison in full, the values of one cause, and nodes over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from torchdoctor.paint import BLANK, Line, Page, Span, fit, heading, join, labelled, line, wrap
from torchdoctor.signs import STEPS, VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.matrix_rows import ABSENT, CHANGES, MANY, named
from torchprobes.quantity import quantity
from torchprobes.reports.seen import (
    CauseSeen,
    CauseValues,
    CellSeen,
    LineSeen,
    RowCells,
    RowSeen,
    Seen,
    SpanSeen,
    TimelineSeen,
    TrackSeen,
)

_AT: Final = 14
_NAME: Final = 34
_LABEL: Final = 18
LEAST, MOST = 20, 34
"""Cells of a platform in an opened row."""

MOST_CAUSES: Final = 5
_MOST_NAMES: Final = 200


def row_page(seen: Seen, row: RowSeen, cells: RowCells | None, note: str, width: int) -> Page:
    """One probe: what differs, what may explain it, each figure over all platforms, then platform beside platform."""
    rows: list[Line] = [BLANK, line(("  " + safe(row.name), "title"), "   ", (row.change, CHANGES.get(row.change, "")))]
    rows += [line("    ", text) for each in row.words for text in wrap(safe(each), max(20, width - 6))]
    causes = [cause for cause in seen.causes if row.name in cause.explains][:MOST_CAUSES]
    if causes:
        rows += [BLANK, heading("what may explain it")]
        rows += [line("    ", text) for each in causes for text in wrap(safe(each.words), max(20, width - 6))]
    if cells is None or cells.row != row.name:
        return Page([*rows, BLANK, line(("    " + safe(note), "dim"))])
    if len(seen.platforms) > MANY and cells.spans:
        rows += [BLANK, heading("figures over all platforms", "lowest, middle, highest"), *_spans(cells.spans, width)]
    rows += _beside(seen, cells, width)
    return Page(rows)


def beside(width: int) -> int:
    """How many platforms stand beside each other in an opened row."""
    return max(1, (width - _NAME - 4) // LEAST)


def _beside(seen: Seen, cells: RowCells, width: int) -> Iterator[Line]:
    """Tables of the platforms from the first that is looked at: verdict, ways, figures; then reasons and findings."""
    shown = list(cells.cells)
    wide = min(MOST, max(LEAST, (width - _NAME - 4) // max(1, len(shown))))
    labels = [safe(seen.platforms[at].label) for at in range(cells.first, cells.first + len(shown))]
    last, count = cells.first + len(shown), len(seen.platforms)
    where = f"platforms {cells.first + 1:,}–{last:,} of {count:,}, ← → go on" if len(shown) < count else ""
    yield from (BLANK, heading("side by side", where))
    lead = " " * (_NAME + 4)
    yield line(lead, *((fit(label, wide - 1) + " ", "title") for label in labels))
    yield line(lead, *(_verdict(cell, wide) for cell in shown))
    for title, tables in (("how", [cell.ways for cell in shown]), ("figures", [cell.figures for cell in shown])):
        table = [dict(pairs) for pairs in tables]
        names = dict.fromkeys(name for pairs in table for name in pairs)
        if names:
            yield from (BLANK, line(("    " + title, "title")))
        for name in names:
            told = [pairs.get(name, "–") for pairs in table]
            role = "" if len(set(told)) > 1 else "dim"
            yield line(("    " + fit(safe(name), _NAME - 1) + " ", "dim"),
                       *((fit(safe(text), wide - 1) + " ", role) for text in told))  # fmt: skip
    yield from (BLANK, line(("    said", "title")))
    for label, cell in zip(labels, shown, strict=True):
        for text in (cell.reason, *cell.findings):
            if text:
                yield from labelled(fit(label, _LABEL).rstrip(), safe(text), width, at=_LABEL + 6, indent=4)


def _verdict(cell: CellSeen, width: int) -> Span:
    sign, role = ABSENT if cell.verdict is None else VERDICTS[cell.verdict]
    return fit(f"{sign} {'not asked' if cell.verdict is None else cell.verdict.value}", width - 1) + " ", role


def _spans(spans: Sequence[SpanSeen], width: int) -> Iterator[Line]:
    name = min(44, max(18, width // 3))
    for each in spans:
        ends = f"{each.low} ({safe(each.low_at)})  {each.middle}  {each.high} ({safe(each.high_at)})"
        yield line(("    " + fit(safe(each.key), name), "dim"), "  ", ends, (f"  n {each.n}", "dim"))


def cause_page(cause: CauseSeen, values: CauseValues | None, note: str, width: int) -> Page:
    """One cause: what it may explain and why, and which platform has what."""
    rows: list[Line] = [BLANK, *(line(("  " + text, "title")) for text in wrap(safe(cause.words), max(20, width - 4)))]
    pairs = (("kind", cause.kind), ("name", cause.name), ("may explain", ", ".join(cause.explains) or "no row that "
             "differs"), ("how sure", "evidence in the reports" if cause.sure else "by its kind"),
             ("rule", cause.why))  # fmt: skip
    rows += [row for name, text in pairs if text for row in labelled(name, safe(text), width, at=16, indent=4)]
    if values is None:
        return Page([*rows, BLANK, line(("    " + safe(note), "dim"))])
    rows += [BLANK, heading("who has what")]
    for value, labels in values.values:
        said = "not there" if value is None else value or "not read"
        rows += [BLANK, line("    ", (f"{len(labels):,} × ", "dim"), (safe(said), "title"))]
        rows += [line(("      " + text, "dim")) for text in wrap(named(labels, _MOST_NAMES), max(20, width - 8))]
    return Page(rows)


# --- over time ---------------------------------------------------------------------------------------------------


def time_page(made: TimelineSeen, width: int) -> Page:
    """Nodes, each over its reports, oldest first: what changed from one to the next, and which figures moved."""
    rows: list[Line] = [BLANK, heading("over time", f"{len(made.lines)} {'node' if len(made.lines) == 1 else 'nodes'}")]
    marks: list[int] = []
    for each in made.lines:
        rows += [BLANK, line("  ", (safe(each.host), "title"), (f"   {len(each.moments)} reports", "dim"))]
        rows += _tracks(each, width)
        for row, marked in _moments(each, width):
            if marked:
                marks.append(len(rows))
            rows.append(row)
    if made.alone:
        rows += [BLANK, *labelled("once only", named(made.alone, 20), width, at=_AT)]
    rows += [row for each in made.notes for row in labelled("not read", safe(each), width, at=_AT)]
    if made.masked:
        rows += [BLANK, *labelled("masked", safe(made.masked), width, at=_AT)]
    return Page(rows, marks=frozenset(marks))


def _moments(each: LineSeen, width: int) -> Iterator[tuple[Line, bool]]:
    """(line, whether something changed there)."""
    yield BLANK, False
    for moment in each.moments:
        sign, role = VERDICTS[moment.verdict]
        when = f"{safe(moment.started)[:16].replace('T', ' ')}Z"
        quiet = "" if moment.changes or moment.causes or moment is each.moments[0] else "nothing changed"
        yield (
            line("    ", when, "  ", (f"{sign} {fit(moment.verdict.value, 9)}", role), (quiet, "dim")),
            bool(moment.changes or moment.causes),
        )
        for text in (text for said in moment.changes for text in wrap(safe(said), max(20, width - 12))):
            yield line("          ", text), False
        for text in (text for said in moment.causes[:3] for text in wrap(safe(said), max(20, width - 12))):
            yield line(("          " + text, "dim")), False


def _tracks(each: LineSeen, width: int) -> Iterator[Line]:
    if not each.tracks:
        return
    yield line(("    what moved", "dim"))
    name = min(40, max(20, width // 3))
    for track in each.tracks:
        yield line("    ", fit(f"{safe(track.row)} {safe(track.key)}", name), "  ", (spark(track.values), "accent"),
                   "  ", ends(track))  # fmt: skip


def spark(values: Sequence[float | None]) -> str:
    """A step a value between the lowest and the highest; a blank where there is none. The newest 60."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    scale = (len(STEPS) - 1) / (high - low) if high > low else 0.0
    steps = (" " if value is None else STEPS[round((value - low) * scale)] for value in values[-60:])
    return "".join(steps)


def ends(track: TrackSeen) -> str:
    """First and last value, and the last as a multiple of the first."""
    known = [quantity(value, track.unit) for value in track.values if value is not None]
    if not known:
        return ""
    drift = "" if track.drift is None else f"{track.drift - 1:+.1%}".replace("%", " %")
    return join((f"{known[0]} → {known[-1]}", drift), "  ")
