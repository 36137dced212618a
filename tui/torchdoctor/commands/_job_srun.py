"""A launch in a batch script of Slurm: one agent a node through `srun`, all in one run directory, watched from here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.jobs import launch
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.nodes import allocation
from torchprobes.jobs.nodes.allocation import Allocation
from torchprobes.model import Target
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir

from ._job_headless import Headless
from ._job_program import own_program
from ._output import note
from ._session import chosen_target
from .runs import place_of


def over_srun(
    settings: Settings, options: LaunchOptions, headless: Headless, found: Allocation, *, skip_preflight: bool = False
) -> int:
    """Start the agents, follow them to their end, and return the exit code.

    Raises:
        click.UsageError: if srun is not there.
        RunError, TargetError, LaunchError: one line each.
    """
    if shutil.which("srun") is None:
        raise click.UsageError(f"this is Slurm's job {found.job} on {found.nodes} nodes, and there is no srun here")
    target = chosen_target(settings)
    launch.check(launch.plan(target, options, RunDir(Path("/run-to-be"))))
    run = rundir.create(place_of(settings), "job", target=target, argv=tuple(plain(mask(word)) for word in sys.argv))
    command = allocation.step_command(found, _inner(run, target, settings, options, skip_preflight), ())
    note(f"run: {run.path}")
    note(f"runs: one agent a node on {found.nodelist} through srun")
    log = run.path / "srun.log"
    with log.open("ab") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
    return headless.follow_step(run, process, log)


def _inner(run: RunDir, target: Target, settings: Settings, options: LaunchOptions, skip_preflight: bool) -> list[str]:
    """The command of each node: this launch again, in that node's step."""
    flags: Mapping[str, bool] = {
        "--no-inject": not options.inject, "--compile-debug": options.compile_debug, "--as-root": settings.as_root,
        "--force": settings.force, "--skip-preflight": skip_preflight,
    }  # fmt: skip
    values: Mapping[str, str] = {
        "--preset": options.preset, "--torch-logs": options.torch_logs, "--nccl-debug": options.nccl_debug,
        "--distributed-debug": options.distributed_debug, "--python": target.python, "--join": str(run.path),
    }  # fmt: skip
    words = [flag for flag, on in flags.items() if on] + [f"{name}={value}" for name, value in values.items() if value]
    return [*own_program(), "launch", "--headless", *words, *options.torchrun, "--", *options.command]
