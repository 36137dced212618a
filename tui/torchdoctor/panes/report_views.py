"""The pages of the Report pane, by what is looked at."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import BLANK, Line, Page, labelled, line
from torchdoctor.text import safe, size_text
from torchdoctor.widgets.cell_rows import beside, cause_page, row_page, time_page
from torchdoctor.widgets.history_rows import history_page, when
from torchdoctor.widgets.matrix_rows import MANY, Look, columns_of, head_line, matrix_page
from torchdoctor.widgets.report_rows import report_page
from torchprobes.reports.seen import RunRow

if TYPE_CHECKING:
    from torchdoctor.report_source import Reports
    from torchdoctor.sources import Snapshot

__all__ = ["Look", "columns_of"]

LEVEL_WORDS: Final = {
    "internal": "secrets (internal)",
    "public": "secrets, users, hosts, addresses, UUIDs, paths below a home (public)",
    "none": "nothing (none)",
}
_DAYS: Final = re.compile(r"(\d{1,5})\s*d(?:ays?)?")
_SIZE: Final = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*([kMGT])i?B?", re.IGNORECASE)


def front(snapshot: Snapshot, reports: Reports, width: int) -> Page:
    """The report that was opened, else the newest one of this node."""
    if reports.opened:
        if reports.report is None:
            return _note(reports.report_note, width)
        return report_page(reports.report, reports.opened, width, reports.masked)
    if snapshot.report is None:
        return Page([*_note(snapshot.report_note, width).lines, line(("  2, then r, runs one", "dim"))])
    return report_page(snapshot.report, snapshot.report_run, width)


def _note(note: str, width: int) -> Page:
    return Page([BLANK, *labelled("", safe(note), width, at=2), BLANK])


def history(reports: Reports, marked: Collection[str], width: int) -> Page:
    """The runs that are kept, and files beside them."""
    return history_page(reports.history, reports.files, reports.history_note, marked, width)


def compare(reports: Reports, look: Look, width: int) -> Page:
    """A comparison, or why there is none yet."""
    if reports.compared is None:
        return _note(reports.compared_note, width)
    return matrix_page(reports.compared, look, width)


def compare_head(reports: Reports, look: Look, width: int) -> Line:
    """The labels of the columns, which stay while the rows go by."""
    seen = reports.compared
    if seen is None or look.nodes:
        return BLANK
    return head_line(seen.platforms, columns_of(len(seen.platforms), look, width))


def time_line(reports: Reports, width: int) -> Page:
    """Nodes over time, or why they are not there yet."""
    return _note(reports.timed_note, width) if reports.timed is None else time_page(reports.timed, width)


def detail(reports: Reports, key: str, width: int) -> Page:
    """What of a comparison was opened: a row or a cause."""
    kind, _, name = key.partition(":")
    seen = reports.compared
    if seen is None:
        return _note(reports.compared_note, width)
    if kind == "cause":
        place = int(name)
        values = reports.values if reports.values is not None and reports.values.place == place else None
        return cause_page(seen.causes[place], values, reports.detail_note, width)
    row = next(row for row in seen.rows if row.name == name)
    return row_page(seen, row, reports.cells, reports.detail_note, width)


def asked_cells(reports: Reports, look: Look, width: int) -> tuple[int, int]:
    """Which platforms' cells an opened row shows: (the first, how many)."""
    count = len(reports.compared.platforms) if reports.compared is not None else 0
    shown = min(count, beside(width))
    return max(0, min(look.first, count - shown)), shown


def step(reports: Reports, look: Look, width: int, opened: bool) -> tuple[int, int]:
    """(how far an arrow goes: one where a platform is a column of words, else a screenful; the last place)."""
    count = len(reports.compared.platforms) if reports.compared is not None else 0
    shown = asked_cells(reports, look, width)[1] if opened else columns_of(count, look, width).count
    return 1 if count <= MANY else shown, max(0, count - shown)


def began(row: RunRow | None) -> str:
    """When a run began, in words."""
    return when(row) if row is not None else "an unknown time"


def pruned_by(text: str) -> tuple[str, float | None, int | None] | None:
    """`30d` or `500MB` as (words, days, bytes); None if it is neither."""
    if days := _DAYS.fullmatch(text):
        return f"runs that ended more than {days[1]} days ago", float(days[1]), None
    if size := _SIZE.fullmatch(text):
        most = int(float(size[1]) * 1000 ** ("kMGT".lower().index(size[2].lower()) + 1))
        return f"the oldest runs until all hold at most {size_text(most)}", None, most
    return None
