"""The nodes of a Slurm job, asked of Slurm itself with a deadline."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Final

DEADLINE_S: Final = 5.0
JOB_ID: Final = re.compile(r"(?:slurm:)?(\d{1,10}(?:_\d{1,7})?)(?:\.[\w+]{1,16})?")
"""A job, also as a task of an array or with its step: 42, 42_3, 42.0, slurm:42.0."""

VIA: Final = "srun --overlap --jobid={job} --nodes=1 --ntasks=1 --quiet -w {node}"
"""How a command gets onto a node of a running job beside what runs there (srun(1), --overlap)."""


class SlurmError(Exception):
    """Slurm cannot say it; the text is one line."""


def is_here() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None


def job_id(what: str) -> str:
    """The job in what a person typed, "" if it names none."""
    found = JOB_ID.fullmatch(what)
    return found[1] if found else ""


def nodes_of(job: str) -> tuple[str, ...]:
    """The names of the nodes that a running job holds.

    Raises:
        SlurmError: if it runs nowhere, or Slurm gives no answer.
    """
    listed = _ask("squeue", "--noheader", "--states=RUNNING,COMPLETING,SUSPENDED", "-o", "%N", "-j", job)
    names = ",".join(filter(None, listed.split()))
    if not names:
        raise SlurmError(f"Slurm's job {job} holds no node: it waits, or is over")
    return expand(names)


def expand(nodelist: str) -> tuple[str, ...]:
    """The names in a list of Slurm's (`n[1-3],gpu07`).

    Raises:
        SlurmError: if Slurm does not expand it.
    """
    if not re.fullmatch(r"[\w.,\[\]-]{1,65536}", nodelist):
        raise SlurmError(f"{nodelist[:60]!r} is no list of nodes")
    return tuple(dict.fromkeys(_ask("scontrol", "show", "hostnames", nodelist).split()))


def address_of(node: str) -> str:
    """The address by which Slurm reaches a node: names of nodes need not be names of hosts; the name without one."""
    try:
        told = _ask("scontrol", "--oneliner", "show", "node", node)
    except SlurmError:
        return node
    found = re.search(r"\bNodeAddr=([A-Za-z0-9.:_-]{1,253})", told)
    return found[1] if found else node


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=DEADLINE_S, check=False, stdin=subprocess.DEVNULL, cwd="/"
        )
    except OSError as error:
        raise SlurmError(f"cannot start {command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]} gave no answer in {DEADLINE_S:g} s") from None
    if done.returncode:
        lines = done.stderr[:4096].decode(errors="replace").split("\n")
        raise SlurmError(f"{command[0]} failed: {lines[0].strip()[:200] or done.returncode}")
    return done.stdout[: 1 << 20].decode(errors="replace")
