"""Which run of ours a person means: known without a look at any process, and without what looks at them."""

from __future__ import annotations

from pathlib import Path

import click

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.rundir import RunDir, RunError


def own_run(settings: Settings, what: str) -> RunDir | None:
    """The run directory of a job that `what` names; None if it names none.

    Raises:
        click.UsageError: if it names a run that is no job.
    """
    place = Path(rundir.choose_place(settings.out).path)
    named = len(what) >= 8 and "T" in what[:9]  # the beginning of a run's name: a pid or a Slurm job is no run
    try:
        run = rundir.open_run(place if named else None, what)
        kind = run.info.kind
    except RunError:
        return None
    if kind != "job":
        raise click.UsageError(f"{run.name} is a {kind}, no job: `torchdoctor jobs` lists the jobs of this node")
    return run
