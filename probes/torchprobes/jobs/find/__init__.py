"""The distributed jobs of this node, ours or not: which processes are ranks, of what, where their output goes.

`find_jobs` looks in a child that can be lost, so that no process which is stuck in the kernel can hold up the asker.
`Finder` looks in this process, and again and again at little cost: for the watcher, which can be lost itself.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ... import child
from ...distributed import JobIdentity
from ...model import Frozen
from . import answers
from .scan import Scanner

PROGRAM: Final = Path(__file__).parent / "program.py"
DEADLINE_S: Final = 1.0


class JobError(Exception):
    """There is no such job, or more than one; the text is one line."""


class Found(Frozen, frozen=True, kw_only=True):
    """All jobs that were found, by key. `notes` say what could not be seen, and how it could."""

    jobs: tuple[JobIdentity, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


class Finder:
    """Looks for jobs in this process, which must be one that may be killed: reading a process can block a thread."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._scanner = Scanner(str(proc))

    def find(self, deadline_s: float = DEADLINE_S) -> Found:
        """All jobs of this node now; what does not answer within the deadline is told in the notes."""
        return _found(answers.look(self._scanner, time.monotonic() + deadline_s))


def find_jobs(proc: Path = Path("/proc"), deadline_s: float = DEADLINE_S, named: int = 0) -> Found:
    """All distributed jobs of this node, within the deadline; never an error: what went wrong is a note.

    `named` is a pid that somebody means: where no job holds it, it is one of its own, `pid:N`.
    """
    began = time.monotonic()
    try:
        answer = child.ask("jobs", {"proc": str(proc), "named": named}, deadline_s, program=PROGRAM)
        return _found(answer)
    except child.Hung:
        why = f"the processes of this machine could not be read within {deadline_s:g} s: ask again"
    except (child.ChildFailed, msgspec.ValidationError) as error:
        why = f"the processes of this machine could not be read: {error}"
    return Found(notes=(why,), seconds=time.monotonic() - began)


def _found(answer: Any) -> Found:
    return msgspec.convert(answer, Found)


def find_job(key_or_pid: str, proc: Path = Path("/proc"), deadline_s: float = 5.0) -> JobIdentity:
    """The one job that a person means: its key, what follows the colon of it, a Slurm job id, or a pid in it.

    Raises:
        JobError: there is none, or there are several.
    """
    text = key_or_pid.strip()
    named = int(text) if text.isdigit() and len(text) < 10 else 0
    found = find_jobs(proc, deadline_s, named)
    for means in (_by_key, _by_pid, _by_part):
        jobs = [job for job in found.jobs if means(job, text)]
        if len(jobs) == 1:
            return jobs[0]
        if jobs:
            raise JobError(f"{text} means {len(jobs)} jobs: name one of {', '.join(job.key for job in jobs)}")
    known = f"there are {', '.join(job.key for job in found.jobs[:8])}" if found.jobs else "no job was found here"
    raise JobError("; ".join((f"no distributed job {text!r} on this node: {known}", *found.notes)))


def _by_key(job: JobIdentity, text: str) -> bool:
    """By its key, also the one that it had while an elder job of the same name lived; by its run."""
    name, _, pid = text.rpartition("@")
    once = job.key == name and pid == str(job.launcher_pid)
    return job.key == text or once or bool(job.run and Path(job.run).name == text)


def _by_pid(job: JobIdentity, text: str) -> bool:
    pids = {job.launcher_pid, *(rank.pid for rank in job.ranks), *(rank.inner_pid for rank in job.ranks)}
    return text.isdigit() and int(text) in pids


def _by_part(job: JobIdentity, text: str) -> bool:
    name = job.key.partition(":")[2]
    return bool(text) and (text in (name, job.slurm_job) or (len(text) > 3 and name.startswith(text)))


__all__ = ["Finder", "Found", "JobError", "find_job", "find_jobs"]
