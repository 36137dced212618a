"""What the Jobs pane shows: the list, and of an opened job its head, a page, and the rank under the cursor.

Plain functions, imported when there is a job to show.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from torchdoctor.job_source import PROBE
from torchdoctor.paint import BLANK, Line, Page, fit, labelled, line
from torchdoctor.text import safe
from torchdoctor.widgets.job_detail import Tail, evidence_page, rank_page, sources_page, stacks_page
from torchdoctor.widgets.job_head import VIEWS, elapsed_s, tabs_line, title_line, verdict_lines
from torchdoctor.widgets.job_rows import job_peek, jobs_page, name_of
from torchdoctor.widgets.rank_rows import (
    SORTS,
    RankCell,
    Tables,
    guilty_key,
    peek,
    rank_head,
    rank_of,
)

if TYPE_CHECKING:
    from torchdoctor.job_source import Jobs
    from torchprobes.distributed import JobSummary, JobView

ROOMY: Final = 18
"""From so many rows on there are blank lines, and the rank under the cursor is told in full below."""

__all__ = [
    "ORDERS",
    "VIEWS",
    "Look",
    "Shown",
    "Tail",
    "guilty_key",
    "jobs_page",
    "not_ours",
    "rank_of",
    "shown",
    "stop_text",
]

ORDERS: Final = tuple(SORTS)

_tables: Final = Tables()


@dataclass(frozen=True, slots=True)
class Look:
    """How an opened job is looked at: the view, the rank that is open in it, the order, and where the cursor stands."""

    view: str = "ranks"
    rank: str = ""
    sort: str = ORDERS[0]
    cursor: str | None = None
    tail: Tail | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A screenful: rows that stay at the top, a page that scrolls, rows that stay at the bottom."""

    page: Page
    head: tuple[Line, ...] = ()
    foot: tuple[Line, ...] = field(default=())


def shown(jobs: Jobs, look: Look, size: tuple[int, int]) -> Shown:
    """The opened job on a screen of this many columns and rows."""
    width, height = size
    if jobs.view is None:
        return Shown(_opening(jobs, width))
    view = jobs.view
    roomy = height >= ROOMY
    head = [
        title_line(view, elapsed_s(view, time.time_ns()), width),
        *verdict_lines(view, width, most=3 if roomy else 2),
        tabs_line(view, look.view, look.sort, width),
    ]
    if roomy:
        head = [BLANK, head[0], *head[1:-1], BLANK, head[-1]]
    if jobs.opening:
        head += labelled("", safe(jobs.opening), width, at=2, role="warn")
    if look.view == "ranks" and not look.rank:
        return _ranks(view, look, head, width, height)
    return Shown(_PAGES["rank" if look.rank else look.view](view, look, width), tuple(head))


def _ranks(view: JobView, look: Look, head: list[Line], width: int, height: int) -> Shown:
    roomy = height >= ROOMY
    table = _tables.of(view, look.sort, width)
    here = rank_of(look.cursor, view.ranks) or next(iter(view.ranks), None)
    foot: tuple[Line, ...] = ()
    if roomy and here is not None:
        spare = height - len(head) - 1 - len(view.ranks) - 3
        cell = RankCell(here, here.rank in view.verdict.ranks, bool(view.verdict.ranks))
        foot = tuple(peek(cell, width, 1 + max(0, min(2, spare)), table.told))
    return Shown(table.page, (*head, rank_head(table.fitted)), foot)


def listing(jobs: Jobs, cursor: str | None, size: tuple[int, int]) -> Shown:
    """The list of jobs, and the one under the cursor in full."""
    width, height = size
    here = next((job for job in jobs.listed or () if job.key == cursor), next(iter(jobs.listed or ()), None))
    foot = tuple(job_peek(here, width)) if here is not None and height >= ROOMY else ()
    return Shown(jobs_page(jobs, width), foot=foot)


def _opening(jobs: Jobs, width: int) -> Page:
    job = jobs.job
    name = safe(job.name or job.key) if job is not None else safe(jobs.opened)
    said = safe(jobs.opening) or "reading its run directory"
    return Page([BLANK, line(("  " + name, "title")), BLANK, *labelled("", said, width, at=2)])


def _rank(view: JobView, look: Look, width: int) -> Page:
    rank = rank_of(look.rank, view.ranks)
    if rank is None:
        return Page([BLANK, line(("  this rank is no longer told of", "dim"))])
    return rank_page(view, rank, look.tail, width)


_PAGES: Final[dict[str, Callable[[JobView, Look, int], Page]]] = {
    "rank": _rank,
    "evidence": lambda view, _, width: evidence_page(view, width),
    "stacks": lambda view, _, width: stacks_page(view, width),
    "sources": lambda view, _, width: sources_page(view, width),
    "logs": lambda view, _, width: Page(()),
}


def not_ours(job: JobSummary) -> str:
    """Why a job is not stopped."""
    if job.key == PROBE:
        return "this is a probe of this console: ctrl+c cancels it"
    return f"{name_of(job)} was not launched by torchdoctor: it is only read, nothing here can end it"


def stop_text(job: JobSummary) -> str:
    """What a stop does."""
    ranks = f"its {job.ranks} ranks" if job.ranks != 1 else "its rank"
    return f"{fit(name_of(job), 30).rstrip()}: {ranks} are asked to end, then made to."
