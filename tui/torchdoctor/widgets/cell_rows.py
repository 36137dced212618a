"""One row of a comparison in full, the values of one cause, and nodes over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from torchdoctor.paint import BLANK, Line, Page, fit, heading, join, labelled, line, wrap
from torchdoctor.signs import STEPS, VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.matrix_rows import ABSENT, CHANGES, Columns, named
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
_MOST_NAMES: Final = 200


def row_page(seen: Seen, row: RowSeen, cells: RowCells | None, note: str, columns: Columns, width: int) -> Page:
    """One probe: what differs, what may explain it, each figure over all platforms, then platform by platform."""
    rows: list[Line] = [BLANK, line(("  " + safe(row.name), "title"), "   ", (row.change, CHANGES.get(row.change, "")))]
    rows += [line("    ", text) for each in row.words for text in wrap(safe(each), max(20, width - 6))]
    causes = [cause for cause in seen.causes if row.name in cause.explains]
    if causes:
        rows += [BLANK, heading("what may explain it", str(len(causes)))]
        rows += [line("    ", text) for each in causes[:5] for text in wrap(safe(each.words), max(20, width - 6))]
    if cells is None or cells.row != row.name:
        return Page([*rows, BLANK, line(("    " + safe(note), "dim"))])
    if cells.spans:
        rows += [BLANK, heading("figures over all platforms", "lowest, middle, highest"), *_spans(cells.spans, width)]
    marks = []
    for at, cell in enumerate(cells.cells, cells.first):
        rows.append(BLANK)
        marks.append(len(rows))
        rows += _cell(safe(seen.platforms[at].label), cell, width)
    shown = cells.first + len(cells.cells)
    if shown < len(seen.platforms) or cells.first:
        told = f"platforms {cells.first + 1:,}–{shown:,} of {len(seen.platforms):,}: ← → go on"
        rows += [BLANK, line(("    " + told, "dim"))]
    return Page(rows, marks=frozenset(marks))


def _spans(spans: Sequence[SpanSeen], width: int) -> Iterator[Line]:
    name = min(34, max(18, width // 3))
    for each in spans:
        ends = f"{each.low} ({safe(each.low_at)})  {each.middle}  {each.high} ({safe(each.high_at)})"
        yield line(("    " + fit(safe(each.key), name), "dim"), "  ", ends, (f"  n {each.n}", "dim"))


def _cell(label: str, cell: CellSeen, width: int) -> Iterator[Line]:
    sign, role = ABSENT if cell.verdict is None else VERDICTS[cell.verdict]
    word = "not asked" if cell.verdict is None else cell.verdict.value
    yield line("  ", (f"{sign} {fit(word, 9)}", role), (label, "title"))
    if cell.reason:
        yield from labelled("why", safe(cell.reason), width, at=_AT, indent=4)
    for what, how in cell.ways:
        yield from labelled(fit(safe(what), _AT - 6).rstrip(), safe(how), width, at=_AT, indent=4)
    for each in cell.findings:
        yield from labelled("finding", safe(each), width, at=_AT, indent=4)
    name = min(34, max(18, width // 2))
    for key, text in cell.figures:
        yield line(("    " + fit(safe(key), name), "dim"), "  ", safe(text))


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
