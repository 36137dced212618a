"""`attach`: a job watched read-only, ours or not; it notices nothing of that, and no signal goes to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from torchdoctor.early import has_screen
from torchdoctor.settings import Settings
from torchprobes.distributed import JobView
from torchprobes.jobs.nodes import merged_view
from torchprobes.reports import exit_codes
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir

from ._job_follow import OVER, Followed, follow
from ._job_pick import Picked, pick
from ._job_shown import shown
from ._job_text import document_of, exit_code, job_lines
from ._options import settings_of, settings_options
from ._output import note, say, say_bytes
from .runs import place_of, terminal_width


@dataclass(frozen=True, slots=True)
class Source:
    """Where the views of a job come from, and whether somebody still writes them."""

    run: RunDir
    watched: Callable[[], bool]


@click.command("attach")
@click.argument("what", metavar="RUN|PID|KEY")
@click.option("--once", is_flag=True, help="The job as it is now, then leave.")
@click.option("--json", "as_json", is_flag=True, help="The job document at the end; with --once, now.")
@settings_options("out", "slow", "ascii", "colour", "theme", "read_only")
@click.pass_context
def attach_(ctx: click.Context, what: str, once: bool, as_json: bool) -> int:
    """Watch a job read-only: the console on a terminal, else a line a change until it ends.

    RUN is a run of `torchdoctor launch`, KEY what `torchdoctor jobs` lists, PID any process of the job. Nothing is
    sent to the job and nothing written into its folders; several consoles may watch it at once.
    """
    settings = settings_of(ctx)
    picked = pick(settings, what)
    if has_screen() and not once and not as_json:
        from .console import open_console

        return open_console(ctx, open_job=str(picked.run.path) if picked.run else _key(picked))
    with source_of(settings, picked) as source:
        return _once(source, as_json) if once else _to_the_end(source, as_json)


def _key(picked: Picked) -> str:
    return picked.job.key if picked.job is not None else ""


@contextlib.contextmanager
def source_of(settings: Settings, picked: Picked) -> Iterator[Source]:
    """The run directory of a job of ours; of another, that of a watcher which ends when it is left.

    Raises:
        RunError: if a watcher cannot be started.
    """
    if picked.run is not None:
        yield Source(picked.run, lambda: True)
        return
    from torchprobes.jobs.watch import attach

    if picked.job is None:
        raise click.UsageError("no such job")
    attached = attach(place_of(settings), picked.job)
    try:
        yield Source(attached.run, attached.alive)
    finally:
        attached.close()


def _once(source: Source, as_json: bool) -> int:
    """The first view that has ranks, or the last one of a job that has ended."""
    followed = follow(lambda: merged_view(source.run), lambda view: _told(view, source), lambda _: None)
    return _deliver(followed, as_json)


def _told(view: JobView | None, source: Source) -> bool:
    return not source.watched() or (view is not None and (bool(view.ranks) or view.state in OVER))


def _to_the_end(source: Source, as_json: bool) -> int:
    tell = note if as_json else lambda line: say(line + "\n")
    followed = follow(shown(source.run), lambda view: _is_over(view, source), tell)
    if followed.signal is not None:
        note("left; the job goes on")
        return exit_codes.of_signal(followed.signal)
    return _deliver(followed, as_json)


def _is_over(view: JobView | None, source: Source) -> bool:
    return not source.watched() or (view is not None and view.state in OVER)


def _deliver(followed: Followed, as_json: bool) -> int:
    view = followed.view
    if followed.signal is not None:
        return exit_codes.of_signal(followed.signal)
    if view is None:
        note(plain("torchdoctor: nothing was seen of the job: its watcher ended without a view"))
        return exit_codes.INCOMPLETE
    if as_json:
        say_bytes(document_of(view))
    else:
        say("\n".join(job_lines(view, terminal_width())) + "\n")
    return exit_code(view)
