"""`jobs`: every distributed job of this node, ours or not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from torchprobes.distributed import JobSummary
from torchprobes.jobs.listing import Listing, listing
from torchprobes.model import SCHEMA
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain

from ._job_text import short
from ._options import json_flag, settings_of, settings_options
from ._output import note, say, say_document
from .runs import place_of, terminal_width

COLUMNS = ("job", "launcher", "ranks", "state", "user", "age", "command")


@click.command("jobs")
@json_flag("All of them")
@settings_options("out", "read_only")
@click.pass_context
def jobs_(ctx: click.Context, as_json: bool) -> int:
    """Every distributed job of this node, ours or not; nothing is touched."""
    found = listing(place_of(settings_of(ctx)))
    if as_json:
        say_document(jobs_document(found))
        return exit_codes.OK
    say("\n".join(job_rows(found.jobs, terminal_width())) + "\n")
    for words in dict.fromkeys((*(words for job in found.jobs for words in job.notes), *found.notes)):
        note(plain(mask(words)))
    return exit_codes.OK


def jobs_document(found: Listing) -> dict[str, Any]:
    """`jobs --json`."""
    return {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "jobs": msgspec.to_builtins(found.jobs),
        "notes": list(found.notes),
    }


def job_rows(found: Sequence[JobSummary], width: int) -> Iterator[str]:
    """A row a job; the first column is what `attach`, `diagnose` and `stop` take."""
    if not found:
        yield "no distributed job is here: no process has a rank, and no run of ours is kept"
        return
    cells = [COLUMNS, *map(_cells, found)]
    wide = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS) - 1)]
    for row in cells:
        head = "  ".join(cell.ljust(size) for cell, size in zip(row, wide, strict=False))
        yield plain(f"{head}  {row[-1]}".rstrip(), max(width, 80))


def _cells(job: JobSummary) -> tuple[str, ...]:
    ranks = f"{_count(job.ranks)}/{job.world_size}" if job.world_size is not None else str(_count(job.ranks))
    name = plain(job.run.rpartition("/")[2] or job.key, 48)
    called = f"{mask(job.title)}: " if job.title else ""
    words = (job.launcher, ranks, job.state, job.user, _age(job), f"{called}{short(job.command)}")
    return (name, *(plain(word) for word in words))


def _age(job: JobSummary) -> str:
    """Since its start, in the largest unit; "" where that is not known."""
    if not job.started_ns:
        return ""
    seconds = max(0.0, time.time() - job.started_ns / 1e9)
    size, unit = next((s, u) for s, u in ((86400, "d"), (3600, "h"), (60, "min"), (0, "s")) if seconds >= 2 * s)
    return f"{seconds // (size or 1):.0f} {unit}"


def _count(ranks: Any) -> int:
    return ranks if isinstance(ranks, int) else len(ranks)
