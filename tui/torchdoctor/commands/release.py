"""`release`: let go of the driver, so that somebody can reset a GPU or unload it."""

from __future__ import annotations

import click

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.reports import exit_codes
from torchprobes.reports.text import plain
from torchprobes.rundir import RunError
from torchprobes.telemetry import holders

from ._options import refuse_if_read_only, settings_of, settings_options
from ._output import say
from .runs import place_of

DEADLINE_S = 1.0
"""Within this all of them have ended; what has not, sits in the kernel."""


@click.command("release")
@settings_options("out", "read_only")
@click.pass_context
def release_(ctx: click.Context) -> int:
    """Close every driver handle that torchdoctor of this user holds on this node.

    Samplers of open consoles end and rest; the consoles go on without telemetry. A running check is only told of:
    ending it is up to whoever started it. Processes of others are not touched.
    """
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "release ends samplers")
    stuck = 0
    found = holders.find()
    for holder, cause in zip(found, holders.close(found, DEADLINE_S), strict=True):
        stuck += bool(cause)
        words = f"NOT closed: {cause}" if cause else "closed"
        say(f"sampler {holder.pid} of process {holder.parent}: {plain(words)}\n")
    for name, pid in _running(settings):
        say(f"check {plain(name)} still runs as pid {pid} and may hold a GPU: end it where it was started\n")
    say(f"{len(found) - stuck} driver handles closed, {stuck} left\n")
    return exit_codes.INCOMPLETE if stuck else exit_codes.OK


def _running(settings: Settings) -> list[tuple[str, int]]:
    running = []
    for run in rundir.list_runs(place_of(settings)):
        try:
            if run.info.finished is None and run.alive():
                running.append((run.name, run.info.owner.pid))
        except RunError:
            continue
    return running
