"""Where in a Slurm allocation this process runs, and what torchrun must be told there.

In a batch script (or after salloc) of several nodes nothing runs on the others yet: `srun` starts one agent a node.
In a step that srun started with a task a node, this is that agent's node already.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from . import slurm

Where = Literal["none", "batch", "step"]

FIRST_PORT, PORTS = 20_000, 12_000
"""Below the ports that the kernel gives to clients (ip_local_port_range begins at 32768)."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """`nodes` of the job or step, `number` of this one among them, `nodelist` their names as Slurm writes them."""

    where: Where = "none"
    job: str = ""
    nodes: int = 1
    number: int = 0
    nodelist: str = ""


def allocation(environ: Mapping[str, str] = os.environ) -> Allocation:
    """What Slurm's variables say of this process; a job of one node is none, because nothing is to be spread."""
    job, nodes = (
        environ.get("SLURM_JOB_ID", ""),
        _number(environ.get("SLURM_NNODES", environ.get("SLURM_JOB_NUM_NODES"))),
    )
    if not re.fullmatch(r"\d{1,10}", job) or nodes < 2:
        return Allocation()
    step_nodes = _number(environ.get("SLURM_STEP_NUM_NODES"))
    # srun gives each task its number; the batch script has a SLURM_PROCID too, but no step of several nodes.
    if "SLURM_STEP_ID" in environ and step_nodes > 1 and "SLURM_PROCID" in environ:
        number = _number(environ.get("SLURM_NODEID"))
        return Allocation("step", job, step_nodes, number, environ.get("SLURM_STEP_NODELIST", ""))
    return Allocation("batch", job, nodes, 0, environ.get("SLURM_JOB_NODELIST", environ.get("SLURM_NODELIST", "")))


def _number(text: str | None) -> int:
    return int(text) if text is not None and re.fullmatch(r"\d{1,6}", text) else 0


def step_command(found: Allocation, command: Sequence[str], given: Sequence[str]) -> list[str]:
    """The srun that starts one agent a node; a dead agent ends no other, because its peers' evidence is wanted."""
    return [
        "srun", f"--nodes={found.nodes}", f"--ntasks={found.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=0",
        "--wait=0", "--cpu-bind=none", *given, *command,
    ]  # fmt: skip


def port_of(job: str, step: str = "") -> int:
    """A port that every node of a step works out by itself."""
    return FIRST_PORT + zlib.crc32(f"{job}.{step}".encode()) % PORTS


def words_of(found: Allocation, environ: Mapping[str, str]) -> list[str]:
    """The options of torchrun in a step: how many nodes, which of them this is, and where they meet.

    Raises:
        SlurmError: if Slurm does not say which nodes they are.
    """
    first = slurm.address_of(slurm.expand(found.nodelist)[0])
    port = port_of(found.job, environ.get("SLURM_STEP_ID", ""))
    return [f"--nnodes={found.nodes}", f"--node-rank={found.number}", "--rdzv-backend=c10d",
            f"--rdzv-endpoint={first}:{port}"]  # fmt: skip


def run_id_of(job: str, environ: Mapping[str, str]) -> str:
    """The rendezvous id of a step, again after Slurm restarted the job another one."""
    return f"td-{job}-{environ.get('SLURM_STEP_ID', '0')}-{environ.get('SLURM_RESTART_COUNT', '0')}"


def shared_name(found: Allocation, environ: Mapping[str, str]) -> str:
    """The name of a step's run directory that all of its nodes come to, so that on a shared place it is one run."""
    began = environ.get("SLURM_JOB_START_TIME", "")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(int(began) if re.fullmatch(r"\d{9,11}", began) else 0))
    step = f"{found.job}.{environ.get('SLURM_STEP_ID', '0')}.{environ.get('SLURM_RESTART_COUNT', '0')}"
    safe = re.sub(r"[^\w.-]", "-", step)[:48]
    return f"{stamp}-slurm-{safe}-{zlib.crc32(safe.encode()) & 0xFFFFFF:06x}"
