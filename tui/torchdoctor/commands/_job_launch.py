"""From what a person asked to a job that runs: target, plan, pre-flight, run directory, supervisor."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.jobs import launch
from torchprobes.jobs.launch import LaunchOptions, LaunchPlan
from torchprobes.jobs.node import NodeFolder, node_folder
from torchprobes.jobs.nodes import allocation, rendezvous
from torchprobes.jobs.nodes.allocation import Allocation
from torchprobes.jobs.preflight import preflight
from torchprobes.model import Severity, Target
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir, RunError

from ._output import note
from ._session import chosen_target
from ._table import finding_lines
from .runs import place_of, terminal_width

APPEAR_S = 20.0
"""So long a node waits for the run directory that another one makes; a shared file system shows it late."""


@dataclass(frozen=True, slots=True)
class Started:
    """A job that its supervisor owns, and this node's part of it."""

    run: RunDir
    node: NodeFolder


def start(
    settings: Settings,
    options: LaunchOptions,
    found: Allocation,
    *,
    join: str = "",
    skip_preflight: bool = False,
    verbose: bool = False,
) -> Started:
    """Plan, look, start. One line on stderr says where the run is, and how it is reached again.

    Raises:
        click.UsageError: if a pre-flight finding is critical, or something cannot be as asked.
        LaunchError, RunError, TargetError, OptionError, SlurmError: one line each.
    """
    target = chosen_target(settings)
    options, notes = _spread(options, found)
    launch.check(launch.plan(target, options, RunDir(Path("/run-to-be"))))
    if not skip_preflight:
        _look_ahead(options, target, force=settings.force)
    run, made = _run_for(settings, target, found, join)
    options = msgspec.structs.replace(options, owner=made)
    plan = launch.plan(target, options, run)
    for line in (*notes, *plan.notes):
        note(plain(mask(line)))
    launch.start(run, plan)
    _tell(run, plan, options, verbose=verbose)
    return Started(run, node_folder(run))


def _spread(options: LaunchOptions, found: Allocation) -> tuple[LaunchOptions, tuple[str, ...]]:
    """The options with what several nodes need beside them."""
    if found.where == "step":
        words = (*allocation.words_of(found, os.environ), *options.torchrun)
        run_id = allocation.run_id_of(found.job, os.environ)
        options = msgspec.structs.replace(options, torchrun=words, run_id=run_id)
    completed = rendezvous.complete(options, os.environ, lambda words: note(plain(words)))
    return completed.options, completed.notes


def _look_ahead(options: LaunchOptions, target: Target, *, force: bool) -> None:
    """Print what pre-flight found; a critical finding ends it here."""
    found = preflight(options, target, os.environ)
    for finding in found:
        for line in finding_lines(finding, terminal_width()):
            note(line)
    critical = [finding.id for finding in found if finding.severity is Severity.CRITICAL]
    if critical and not force:
        raise click.UsageError(f"not launched: {', '.join(critical)}; --force launches all the same")


def _tell(run: RunDir, plan: LaunchPlan, options: LaunchOptions, *, verbose: bool) -> None:
    """Its name, what a person would have typed, and what is put into the ranks; all of it with `--verbose`."""
    note(f"run: {run.path if verbose else run.name}")
    note(f"runs: {plain(mask(plan.shown if verbose else asked_words(options)))}")
    if plan.injected:
        note(f"in each rank: {', '.join(plan.injected)} (--no-inject leaves it out)")


def asked_words(options: LaunchOptions) -> str:
    """The command without what is ours: no paths of the run directory, nothing that is set in the environment."""
    if options.launcher == "command":
        return shlex.join(options.command)
    script = options.command or (f"the {options.preset} probe",)
    before = [shlex.quote(word) for word in options.torchrun]
    return " ".join(["torchrun", *before, *(script if options.preset else map(shlex.quote, script))])


# --- the run directory ---------------------------------------------------------------------------------------------


def _run_for(settings: Settings, target: Target, found: Allocation, join: str) -> tuple[RunDir, bool]:
    """The run directory of this launch, and whether this node is the one that writes its run.json.

    Raises:
        RunError: if it cannot be made, or what another node makes does not appear.
    """
    argv = tuple(plain(mask(word)) for word in sys.argv)
    if join:
        return joined(Path(join).absolute(), target, argv, owner=found.number == 0 if found.where == "step" else None)
    place = place_of(settings)
    if found.where == "step":
        path = place / allocation.shared_name(found, os.environ)
        return joined(path, target, argv, owner=found.number == 0)
    return rundir.create(place, "job", target=target, argv=argv), True


def joined(path: Path, target: Target, argv: Sequence[str], owner: bool | None) -> tuple[RunDir, bool]:
    """The run directory that several nodes share, whoever of them comes first; on a place of its own each makes one.

    `owner` says whether this node writes run.json; None: whoever makes it.
    """
    try:
        run = rundir.create(path.parent, "job", name=path.name, target=target, argv=tuple(argv))
    except RunError:
        if not path.is_dir():
            raise
        return _appeared(RunDir(path)), bool(owner)
    return run, owner is not False


def _appeared(run: RunDir) -> RunDir:
    deadline = time.monotonic() + APPEAR_S
    while not (run.path / "run.json").is_file():
        if time.monotonic() > deadline:
            raise RunError(f"{run.path} has no run.json after {APPEAR_S:g} s: it is no run directory, name another")
        time.sleep(0.1)
    if run.info.kind != "job":
        raise RunError(f"{run.path} is a {run.info.kind}, no job: name another folder")
    return run
