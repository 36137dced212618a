"""The one launcher of ranks: the target's own `torch.distributed.run`, with a shim that binds each rank to it.

torchrun is run as a module of the target's interpreter, never as the script on PATH, which may belong to another.
"""

from __future__ import annotations

import os
import posixpath
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..catalogue import Probe
from ..model import Target
from ..runner.command import Command, Plan

SHIM = "rank_shim.py"

SIGNALS_SINCE = (2, 13)
"""`--signals-to-handle` is asked for from here on, where it was tried: a torchrun that lacks it refuses to start."""

LOOPBACK = "127.0.0.1"
CPU_RANKS = 2
MANY_CPU_RANKS = 4
CORES_FOR_MANY = 8


@dataclass(frozen=True, slots=True)
class Launch:
    """One single-node launch of `ranks` processes with the PyTorch (`version`, "" if unknown) of `python`.

    `run_id` names it on torchrun's command line and in its log folder `logs`; `shim` is the path of the rank shim,
    and `command` what each rank runs: an absolute path of a program, and its arguments.
    """

    python: str
    version: str
    run_id: str
    ranks: int
    logs: str
    shim: str
    command: tuple[str, ...]


def torchrun(launch: Launch) -> tuple[str, ...]:
    """The argument list that starts `launch`, for PyTorch 2.1 or later."""
    return (
        launch.python,
        "-B",
        "-m",
        "torch.distributed.run",
        "--nnodes=1",
        f"--nproc-per-node={launch.ranks}",
        *loopback(),
        # Two words: the shim looks for the run id among its parent's arguments.
        "--rdzv-id",
        launch.run_id,
        "--max-restarts=0",
        "--monitor-interval=0.1",
        f"--log-dir={launch.logs}",
        "--redirects=3",
        *signals(launch.version),
        "--no-python",
        *(launch.python, "-I", "-S", "-B", launch.shim, launch.run_id),
        *launch.command,
    )


def build(_probe: Probe, target: Target, request: Mapping[str, Any], plan: Plan) -> Command:
    """A payload in ranks: the command builder of rows whose launch is "torchrun".

    The request's parameter `ranks` says how many, else `ranks_for`. torchrun's logs go below the artifacts, which
    come back from behind a launcher prefix too.
    """
    asked = dict(request.get("params", {})).get("ranks")
    ranks = asked if isinstance(asked, int) and asked > 0 else ranks_for(plan.gpus, _cores(target))
    launch = Launch(
        python=plan.python,
        version=target.torch or "",
        run_id=f"td-{secrets.token_hex(4)}",
        ranks=ranks,
        logs=posixpath.join(plan.artifacts, "logs"),
        shim=posixpath.join(plan.payloads, SHIM),
        command=(plan.python, "-u", "-B", plan.bootstrap, plan.payload),
    )
    return Command(argv=torchrun(launch), ranks=ranks)


def ranks_for(gpus: Sequence[str], cores: int) -> int:
    """How many ranks a check starts: one an allowed GPU; with fewer than two of them, ranks on the CPU.

    One GPU gives one NCCL rank, which communicates with nobody: the payload runs it beside the CPU ranks and says so.
    """
    if len(gpus) > 1:
        return len(gpus)
    return MANY_CPU_RANKS if cores >= CORES_FOR_MANY else CPU_RANKS


def _cores(target: Target) -> int:
    """Cores that the target may use; behind a launcher prefix nobody knows, so few."""
    return CPU_RANKS if target.prefix else len(os.sched_getaffinity(0))


def loopback() -> tuple[str, ...]:
    """The rendezvous of one node.

    It is `--standalone` spelled out, because that takes a run id of its own and asks the resolver for this host's
    name: endpoint and address are the loopback, so that a name that resolves badly cannot break one node.
    """
    endpoint, host = f"--rdzv-endpoint={LOOPBACK}:0", f"--local-addr={LOOPBACK}"
    return ("--rdzv-backend=c10d", endpoint, "--rdzv-conf=is_host=true", host)


def signals(version: str) -> tuple[str, ...]:
    """The signals that torchrun ends its ranks on: not SIGHUP, which a dropped terminal sends."""
    return ("--signals-to-handle=SIGTERM,SIGINT,SIGQUIT",) if release(version) >= SIGNALS_SINCE else ()


def release(version: str) -> tuple[int, int]:
    """Major and minor of a version text, (0, 0) if it names none: nothing new is asked of an unknown version."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
