"""Which job a person means: a run of ours, a key, a pid, or the id of a Slurm job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from torchdoctor.settings import Settings
from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import JobError, find_job, find_jobs
from torchprobes.jobs.nodes import slurm
from torchprobes.rundir import RunDir

from ._job_own import own_run

FIND_S = 2.0


@dataclass(frozen=True, slots=True)
class Picked:
    """A run of ours (None: the job is not ours) and who is in it on this node (None: none of its ranks is here)."""

    run: RunDir | None = None
    job: JobIdentity | None = None


def pick(settings: Settings, what: str) -> Picked:
    """The job that `what` names: a run first, because its name is ours alone.

    Raises:
        click.UsageError: if there is none.
    """
    run = own_run(settings, what)
    if run is not None:
        return Picked(run=run, job=_living(run))
    try:
        job = find_job(what)
    except JobError as error:
        raise click.UsageError(str(error)) from None
    return Picked(run=_run_of(job), job=job)


def _living(run: RunDir) -> JobIdentity | None:
    """The ranks of a run that live on this node."""
    path = str(run.path.resolve())
    return next((job for job in find_jobs(deadline_s=FIND_S).jobs if job.run and _same(job.run, path)), None)


def _run_of(job: JobIdentity) -> RunDir | None:
    return RunDir(Path(job.run)) if job.run and (Path(job.run) / "run.json").is_file() else None


def _same(one: str, other: str) -> bool:
    return str(Path(one).resolve()) == other


def jobs_named(jobs: tuple[JobIdentity, ...], what: str) -> tuple[JobIdentity, ...]:
    """The jobs of a node that a key, a Slurm job, a run's name or a pid means; several steps of one Slurm job do."""
    number = slurm.job_id(what)
    exact = tuple(job for job in jobs if what in (job.key, job.key.partition(":")[2]))
    return exact or tuple(job for job in jobs if _is_meant(job, what, number))


def _is_meant(job: JobIdentity, what: str, number: str) -> bool:
    pids = {str(rank.pid) for rank in job.ranks} | {str(job.launcher_pid)}
    by_slurm = bool(number) and job.slurm_job.partition(".")[0] == number
    return by_slurm or what in pids or (bool(job.run) and Path(job.run).name == what)
