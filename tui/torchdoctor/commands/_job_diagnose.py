"""A job diagnosed now: the evidence of this node, or of every node over a prefix, judged together."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import click

from torchdoctor.settings import Settings
from torchprobes.distributed import JobIdentity, JobView
from torchprobes.jobs.find import JobError, find_job
from torchprobes.jobs.node import node_folder, nodes
from torchprobes.jobs.nodes import Via, ask_nodes, judged_view, merged_view, newest_evidence, same_clock, slurm
from torchprobes.rank_evidence import NodeEvidence
from torchprobes.rundir import RunDir

from ._job_evidence import by_job, evidence_of
from ._job_own import own_run
from ._job_pick import Picked, pick
from ._job_program import own_program


@dataclass(frozen=True, slots=True)
class Far:
    """How other nodes are asked; "" and () where the person left it to us. `twice`: as of `evidence_of`."""

    via: str = ""
    nodes: tuple[str, ...] = ()
    program: str = ""
    deadline_s: float = 10.0
    twice: bool = False

    @property
    def given(self) -> bool:
        """Whether the person asked for other nodes."""
        return bool(self.via or self.nodes)


def diagnose(settings: Settings, what: str, far: Far) -> JobView:
    """The view of the job that `what` names, from evidence of this moment; of a run that is over, from what it kept.

    Raises:
        click.UsageError, ViaError, SlurmError: one line: what of it cannot be done.
    """
    if far.given:
        return _over_nodes(what, far, slurm.job_id(what))
    picked = _here(settings, what)
    if picked is None:
        return _of_slurm(what, far)
    job = picked.job
    if job is not None and _spreads(job):
        return _over_nodes(job.key, far, job.slurm_job.partition(".")[0])
    if job is None:
        return _kept(picked.run)
    return judged_view(same_clock([evidence_of(job, twice=far.twice), *_others(picked.run)]))


def diagnose_then(settings: Settings, what: str, at_ns: int) -> JobView:
    """A run of ours at a time: from what each of its nodes had collected last by then.

    Raises:
        click.UsageError: if it is no run of ours, or none of its nodes had collected anything yet.
    """
    run = own_run(settings, what)
    if run is None:
        raise click.UsageError(f"--at takes a run that torchdoctor launched, or none: {what} is no such run")
    seen = [found for folder in nodes(run) if (found := newest_evidence(folder, at_ns)) is not None]
    if not seen:
        raise click.UsageError(
            f"no node of {run.name} had collected anything by then: that begins when something happens"
        )
    return judged_view(same_clock(seen))


def _here(settings: Settings, what: str) -> Picked | None:
    """What the name means on this node; None where only Slurm may know it."""
    run = own_run(settings, what)
    if run is None and slurm.job_id(what) and slurm.is_here():
        try:
            find_job(what)
        except JobError:
            return None
    return pick(settings, what)


def _of_slurm(what: str, far: Far) -> JobView:
    """A number that means neither a process nor a job here: Slurm's job, if Slurm knows it."""
    try:
        return _over_nodes(what, far, slurm.job_id(what))
    except slurm.SlurmError as error:
        raise click.UsageError(f"{what} is no process and no job of this node (`torchdoctor jobs`); {error}") from None


def _spreads(job: JobIdentity) -> bool:
    """Whether a Slurm job has other nodes than this one, and Slurm can get us there."""
    number = job.slurm_job.partition(".")[0]
    if not number or not slurm.is_here() or job.world_size in (None, len(job.ranks)):
        return False
    try:
        return len(slurm.nodes_of(number)) > 1
    except slurm.SlurmError:
        return False


def _kept(run: RunDir | None) -> JobView:
    view = merged_view(run) if run is not None else None
    if view is None:
        raise click.UsageError("none of its ranks is here, and no node kept a view of it: ask its nodes with --via")
    return view


def _others(run: RunDir | None) -> list[NodeEvidence]:
    """What the other nodes of a run collected last, where they share the run directory."""
    if run is None:
        return []
    here = node_folder(run).path
    return [seen for folder in nodes(run) if folder.path != here and (seen := newest_evidence(folder)) is not None]


# --- over nodes ------------------------------------------------------------------------------------------------------


def _over_nodes(key: str, far: Far, job: str) -> JobView:
    """Ask every node, and judge what came; nodes without an answer are in it as such."""
    names = far.nodes or _names(key, job)
    via = Via(far.via or _via(job), tuple(shlex.split(far.program)) or _program(far, job), job, far.twice)
    seen = ask_nodes(names, via, key, far.deadline_s)
    jobs = by_job(seen)
    if len(jobs) > 1:
        raise click.UsageError(f"{key} means {len(jobs)} jobs: name one of {', '.join(jobs)}")
    return judged_view(next(iter(jobs.values())) if jobs else seen)


def _names(key: str, job: str) -> Sequence[str]:
    if not job:
        raise click.UsageError(f"which nodes {key} runs on is not known: name them with --nodes a,b")
    return slurm.nodes_of(job)


def _via(job: str) -> str:
    if not job:
        raise click.UsageError("--nodes needs --via, such as --via 'ssh {node}'")
    return slurm.VIA


def _program(far: Far, job: str) -> tuple[str, ...]:
    """Slurm's nodes have our files; what is behind another prefix has its own."""
    return tuple(own_program()) if job and not far.via else ("torchdoctor",)
