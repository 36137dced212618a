"""The list of jobs: a row each, ours and others', with what is made of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import BLANK, Line, Page, Span, fit, join, labelled, line, wrap
from torchdoctor.text import safe
from torchdoctor.widgets.table_rows import Column, fit_columns, head_line, table_row

from .job_words import JOB_SIGNS, MILD, UNKNOWN, UNSURE, command_text, job_over, long_text, unsure_text

if TYPE_CHECKING:
    from torchdoctor.job_source import Jobs
    from torchprobes.distributed import JobSummary

INDENT: Final = 2

NOBODY: Final = """\
No distributed job runs on this node.
L launches one: a script or a module through torchrun, watched from its first line on. It goes on when the console or \
the ssh connection ends; nothing of it is left when it is stopped.
Jobs of others (torchrun, srun, mpirun, mp.spawn, Ray) appear here by themselves as they start. Watching one only \
reads: it gets no signal, and nothing is written into its folders."""
"""What to do, where there is nothing to see."""


def name_of(job: JobSummary) -> str:
    """A job in a word: the script or module that it runs, else the key by which it is attached to."""
    words = command_text(job.command).split()
    found = words[1:2] if words[:1] == ["-m"] else [word for word in words[:1] if word.endswith(".py")]
    return found[0].rpartition("/")[2] if found else safe(job.name or job.key, limit=200)


def list_sign(job: JobSummary) -> Span:
    """The sign of a job: of its verdict where there is one, else of its state."""
    if job.cause in ("", "none"):
        return JOB_SIGNS.get(job.state, UNKNOWN)
    return MILD.get(job.cause) or (("✘", "fail") if job.sure else UNSURE)


def _state(job: JobSummary, width: int) -> Sequence[Span]:
    mark, role = list_sign(job)
    return [(f"{mark} " + fit(safe(job.state or "not told", limit=20), width - 2), role)]


def _ranks(job: JobSummary, _: int) -> Sequence[Span]:
    world = job.world_size
    return [(str(job.ranks) if world is None else f"{job.ranks}/{world}", "")]


def now_ns() -> int:
    """The wall clock, to which ages are counted."""
    return time.time_ns()


def _since(job: JobSummary, _: int) -> Sequence[Span]:
    return [(long_text((now_ns() - job.started_ns) / 1e9) if job.started_ns else "", "dim")]


def _said(job: JobSummary, _: int) -> Sequence[Span]:
    role = "" if job.cause in ("", "none") else list_sign(job)[1]
    told = safe(job.line, limit=300)
    told = told if job.sure or job.cause in ("", "none") else unsure_text(told)
    said = told if job.line else command_text(job.command)
    return [(said, role if job.line else "dim")]


COLUMNS: Final[tuple[Column[JobSummary], ...]] = (
    Column("state", 10, 0, _state, left=True),
    Column("job", 20, 0, lambda job, _: [(name_of(job), "title")], left=True, most=34),
    Column("by", 11, 5, lambda job, _: [("torchdoctor" if job.ours else safe(job.launcher, limit=40), "")], left=True),
    Column("ranks", 7, 1, _ranks),
    Column("user", 8, 6, lambda job, _: [(safe(job.user, limit=60), "")], left=True, most=12),
    Column("since", 8, 4, _since),
    Column("verdict, else its command", 30, 0, _said, left=True, most=120),
)


def jobs_page(jobs: Jobs, width: int) -> Page:
    """All jobs: those that run first, then those of ours that ended."""
    if jobs.listed is None:
        return Page([BLANK, line(("  " + (safe(jobs.note) or "looking for distributed jobs"), "dim"))])
    if not jobs.listed:
        return Page([BLANK, *_note(jobs, width), *(line("  " + text) for text in _wrapped(width)), *_more(jobs, width)])
    fitted = fit_columns(COLUMNS, max(20, width - INDENT))
    lines: list[Line] = [BLANK, *_note(jobs, width), ((" " * INDENT, ""), *head_line(fitted))]
    keys: dict[int, str] = {}
    marks: set[int] = set()
    for job in sorted(jobs.listed, key=lambda job: job_over(job.state)):
        if job.cause not in ("", "none"):
            marks.add(len(lines))
        keys[len(lines)] = job.key
        lines.append(((" " * INDENT, ""), *table_row(job, fitted)))
    return Page([*lines, BLANK, *_more(jobs, width)], keys, frozenset(marks))


def job_peek(job: JobSummary, width: int) -> list[Line]:
    """The job under the cursor: who it is, and in full what is said of it."""
    mark, role = list_sign(job)
    key, by = "" if job.key == name_of(job) else job.key, "torchdoctor" if job.ours else job.launcher
    who = join((key, by, job.user, job.host))
    rows = [line(("  " + name_of(job), "title"), ("   " + safe(who, limit=300), "dim"))]
    if job.line:
        said = wrap(_said(job, 0)[0][0], max(20, width - 6))
        rows += [line((f"  {mark} " if not at else "    ", role), row) for at, row in enumerate(said[:2])]
    return [*rows, line(("  " + fit(command_text(job.command), max(10, width - 4)), "dim"))]


def _note(jobs: Jobs, width: int) -> list[Line]:
    return labelled("", safe(jobs.note), width, at=2, role="warn") if jobs.note else []


def _more(jobs: Jobs, width: int) -> list[Line]:
    """What could not be seen."""
    notes = dict.fromkeys((*jobs.unseen, *(note for job in jobs.listed or () for note in job.notes)))
    return [row for note in notes for row in labelled("", safe(note), width, at=2, role="dim")]


def _wrapped(width: int) -> list[str]:
    """What to do, in paragraphs."""
    return [row for text in NOBODY.splitlines() for row in (*wrap(text, min(96, width - 4)), "")]
