"""`attach`: a job watched read-only, ours or not; it notices nothing of that, and no signal goes to it."""

from __future__ import annotations

from importlib import import_module

import click

from torchdoctor.early import has_screen
from torchprobes.distributed import JobIdentity

from ._job_own import own_run
from ._options import settings_of, settings_options


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
    screen = has_screen() and not once and not as_json
    if screen:
        import_module(".console", __package__).import_behind()
    settings = settings_of(ctx)
    run = own_run(settings, what)
    if screen and run is not None:
        return _on_screen(ctx, str(run.path))
    from ._job_pick import Picked, pick  # what looks at processes, and below the judge: no screen waits for them

    picked = Picked(run=run) if run is not None else pick(settings, what)
    if screen:
        return _on_screen(ctx, str(picked.run.path) if picked.run else _key(picked.job))
    from . import _job_attached as attached

    with attached.source_of(settings, picked) as source:
        return attached.once(source, as_json) if once else attached.to_the_end(source, as_json)


def _key(job: JobIdentity | None) -> str:
    return job.key if job is not None else ""


def _on_screen(ctx: click.Context, job: str) -> int:
    from .console import open_console

    return open_console(ctx, open_job=job)
