"""What this node sees of its jobs, collected now: for `diagnose`, and for `snapshot` on behalf of another node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from torchprobes.distributed import OVER, JobIdentity, RankIdentity, RankView
from torchprobes.jobs.collect import collect_in_child, together
from torchprobes.jobs.find import find_jobs
from torchprobes.jobs.node import NodeFolder, node_folder
from torchprobes.rank_evidence import NodeEvidence
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir, RunError
from torchprobes.samples import Sample

from ._job_pick import jobs_named
from ._output import note

COLLECT_S = 2.0
TWICE_S = 2.2
FIND_S = 2.0
AT_ONCE = 4
MOST_JOBS = 16
LISTED = f"more than {MOST_JOBS} jobs: this one is only listed"


def folder_of(job: JobIdentity) -> NodeFolder | None:
    """Where this node's part of our own run keeps its files; None for a job that is not ours."""
    return node_folder(RunDir(Path(job.run))) if job.run else None


def with_ended(job: JobIdentity) -> JobIdentity:
    """A job of ours with the ranks of its attempt that are over: what they left is evidence too."""
    folder = folder_of(job)
    try:
        view = folder.read_view() if folder is not None else None
    except RunError:
        return job
    if view is None or not job.ranks:
        return job
    here = {rank.rank for rank in job.ranks}
    attempt = max(rank.attempt for rank in job.ranks)
    gone = [
        _identity(row) for row in view.ranks if row.rank not in here and row.attempt == attempt and row.state in OVER
    ]
    return msgspec.structs.replace(job, ranks=tuple(sorted((*job.ranks, *gone), key=lambda rank: rank.rank)))


def _identity(row: RankView) -> RankIdentity:
    return RankIdentity(
        rank=row.rank, pid=row.pid, start_ticks=row.start_ticks, host=row.host, local_rank=row.local_rank,
        attempt=row.attempt, stdout=row.stdout, stderr=row.stderr, how=("events",),
    )  # fmt: skip


def evidence_of(job: JobIdentity, sample: Sample | None = None, *, twice: bool = False) -> NodeEvidence:
    """Two looks at one job, in a process that can be lost; `sample` is a reading of the GPUs that is there already.

    With `twice` it is collected again TWICE_S later: only then can it be sure that nothing moves.
    """
    begun, job = time.monotonic(), with_ended(job)
    first = collect_in_child(job, folder_of(job), COLLECT_S, looks=2, sample=sample)
    if not twice or first.state != "ok":
        return first
    time.sleep(max(0.0, TWICE_S - (time.monotonic() - begun)))
    return together(first, collect_in_child(job, folder_of(job), COLLECT_S, looks=2, sample=sample))


def evidence_of_all(
    jobs: Sequence[JobIdentity], sample: Sample | None = None, *, twice: bool = False
) -> tuple[NodeEvidence, ...]:
    """All jobs, a few at a time; beyond MOST_JOBS only who is in them."""
    if not jobs:
        return ()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="collect") as pool:
        found = list(pool.map(lambda job: evidence_of(job, sample, twice=twice), jobs[:MOST_JOBS]))
    rest = (NodeEvidence(host=job.host, t_ns=time.time_ns(), job=job, why=LISTED) for job in jobs[MOST_JOBS:])
    return (*found, *rest)


def jobs_here(what: str = "") -> tuple[JobIdentity, ...]:
    """The jobs of this node, or those that a key, a Slurm job, a run's name or a pid means; notes go to stderr."""
    found = find_jobs(deadline_s=FIND_S)
    for line in found.notes:
        note(f"torchdoctor: {plain(line)}")
    return jobs_named(found.jobs, what) if what else found.jobs


def by_job(seen: Sequence[NodeEvidence]) -> dict[str, tuple[NodeEvidence, ...]]:
    """The evidence of several nodes, job by job; a node without an answer belongs to every job."""
    keys = dict.fromkeys(one.job.key for one in seen if one.job is not None)
    return {key: tuple(one for one in seen if one.job is None or one.job.key == key) for key in keys}
