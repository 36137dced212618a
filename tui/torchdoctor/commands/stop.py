"""`stop`: the end of a job that torchdoctor launched; nobody else's job is ever signalled."""

from __future__ import annotations

import sys

import click

from torchprobes.jobs import control
from torchprobes.jobs.node import nodes
from torchprobes.reports import exit_codes
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir

from ._job_own import own_run
from ._options import refuse_if_read_only, settings_of, settings_options
from ._output import say

WAIT_S = 60.0
"""The grace of a launch (30 s), the two steps after it, and the last view of the watcher."""


@click.command("stop")
@click.argument("run", metavar="RUN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@settings_options("out", "read_only")
@click.pass_context
def stop_(ctx: click.Context, run: str, yes: bool) -> int:
    """End a job that torchdoctor launched: politely first, then for good; nothing is left of it.

    Asked a second time it hurries. A job that torchdoctor did not launch is refused.
    """
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "stop ends a job")
    found = own_run(settings, run)
    if found is None:
        raise click.UsageError(
            f"{plain(run)} is no job that torchdoctor launched: `torchdoctor jobs` lists those; no other is touched"
        )
    _confirm(found, yes)
    words = control.stop(found, WAIT_S)
    say(f"{plain(found.name)}: {plain(words)}\n")
    return exit_codes.INCOMPLETE if control.is_alive(found) else exit_codes.OK


def _confirm(run: RunDir, yes: bool) -> None:
    if yes or all(control.ending(node) is not None for node in nodes(run)):
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here: say --yes to stop {plain(run.name)}")
    click.confirm(f"End {plain(run.name)} and all of its ranks?", abort=True, err=True)
