"""`status` and `snapshot`: the node as it is, looked at and never touched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from torchdoctor.settings import Settings
from torchdoctor.status import status_lines
from torchprobes import __version__, rundir
from torchprobes.environment import describe_machine, describe_node, sampled_inventory
from torchprobes.model import SCHEMA, Machine, Target
from torchprobes.reports.inventory import joined
from torchprobes.reports.read import read_run
from torchprobes.reports.signs import counts
from torchprobes.reports.text import plain
from torchprobes.rundir import RunError
from torchprobes.target import TargetChoice, TargetError, find_targets

from ._look import Look, exit_code, look
from ._options import json_flag, settings_of, settings_options
from ._output import say, say_document
from ._readings import topology_lines
from ._redacting import redact_option, redactor_for
from .gpus import gpus_lines
from .runs import terminal_width

if TYPE_CHECKING:
    from torchprobes.reports.redaction import Redactor

TARGET_DEADLINE_S = 5.0
MACHINE_DEADLINE_S = 5.0


@click.command("status")
@settings_options("python", "target", "out", "read_only")
@click.pass_context
def status_(ctx: click.Context) -> int:
    """How this node is, in at most 24 plain ASCII lines of 79 characters."""
    return show_status(settings_of(ctx))


def show_status(settings: Settings) -> int:
    """Print the status; the exit code of its findings."""
    looked = look(settings.thresholds)
    machine, target = describe_machine(MACHINE_DEADLINE_S), _target(settings)
    lines = status_lines(machine, looked.sample, looked.findings, looked.line, target, _last_check(settings))
    say("\n".join(lines) + "\n")
    return exit_code(looked)


def _target(settings: Settings) -> Target | None:
    try:
        return _choice(settings).chosen
    except TargetError as error:
        raise click.UsageError(str(error)) from None


def _choice(settings: Settings) -> TargetChoice:
    return find_targets(settings.python, settings.target, TARGET_DEADLINE_S)


def _last_check(settings: Settings) -> str:
    """What the newest check that can be read came to."""
    try:
        runs = rundir.list_runs(Path(rundir.choose_place(settings.out).path))
    except RunError as error:
        return str(error)
    for run in runs:
        try:
            report = read_run(run)
        except RunError:
            continue
        return f"{report.verdict.value}: {counts(report.results)}, {report.started}"
    return "none yet: `torchdoctor check` makes one"


@click.command("snapshot")
@json_flag("All of it")
@click.option("--job", metavar="KEY|JOBID", default="", help="Of the jobs only this one.")
@click.option("--only-jobs", is_flag=True, help="Nothing but the jobs; implies --json.")
@click.option("--no-jobs", is_flag=True, help="Without the jobs.")
@click.option("--sure", is_flag=True, help="With --only-jobs: look again two seconds later.")
@click.option("--ping", is_flag=True, hidden=True)
@redact_option
@settings_options("python", "target", "read_only")
@click.pass_context
def snapshot_(
    ctx: click.Context,
    as_json: bool,
    job: str,
    only_jobs: bool,
    no_jobs: bool,
    sure: bool,
    ping: bool,
    redact: str | None,
) -> int:
    """All passive evidence of this node: machine, sample, findings, interpreters, jobs. Nothing is run on it."""
    if only_jobs:
        from ._job_snapshot import say_jobs

        return say_jobs(settings_of(ctx), job, ping=ping, twice=sure)
    settings = settings_of(ctx)
    looked, machine, choice = _seen(settings, _choice(settings))
    if as_json:
        document = {**snapshot_document(looked, machine, choice), "jobs": _jobs(looked, job, skip=no_jobs)}
        masking = redactor_for("json", redact)
        shown = masking.document(document)
        say_document({**shown, "redaction": masking.masked})
        return exit_code(looked)
    say(_snapshot_text(looked, machine, choice, redactor_for("text", redact)))
    return exit_code(looked)


def _snapshot_text(looked: Look, machine: Machine, choice: TargetChoice, masking: Redactor) -> str:
    masking.learn((machine, choice, looked.sample, looked.findings))
    shown = msgspec.to_builtins(masking.document(machine))
    lines = [f"{name:13} {value}" for name, value in shown.items() if name not in ("gpus", "inventory")]
    rows = [
        *(plain(line, terminal_width()) for line in lines),
        plain(f"target        {choice.chosen.python if choice.chosen else 'none'}: {choice.why}"),
        *(plain(row, terminal_width()) for row in topology_lines(looked.sample)),
        *gpus_lines(looked),
    ]
    return "\n".join(masking.text(row) for row in rows) + "\n"


def _seen(settings: Settings, choice: TargetChoice) -> tuple[Look, Machine, TargetChoice]:
    looked = look(settings.thresholds)
    return looked, _with_sample(describe_node(choice.chosen, MACHINE_DEADLINE_S), looked), choice


def take_snapshot(settings: Settings) -> dict[str, Any]:
    """`snapshot --json --no-jobs` as a document; a target that cannot be used is none, and the document says why."""
    try:
        choice = _choice(settings)
    except TargetError as error:
        choice = TargetChoice(chosen=None, candidates=(), why=str(error))
    return snapshot_document(*_seen(settings, choice))


def _with_sample(machine: Machine, looked: Look) -> Machine:
    """The machine whose inventory has what the sample says too."""
    return msgspec.structs.replace(machine, inventory=joined(machine.inventory, sampled_inventory(looked.sample)))


def _jobs(looked: Look, what: str, *, skip: bool) -> Any:
    """The evidence of the jobs of this node, None where it was not wanted."""
    if skip:
        return None
    from ._job_evidence import evidence_of_all, jobs_here

    return msgspec.to_builtins(evidence_of_all(jobs_here(what), looked.sample))


def snapshot_document(looked: Look, machine: Machine, choice: TargetChoice) -> dict[str, Any]:
    """`snapshot --json`."""
    return {
        "schema": SCHEMA,
        "torchdoctor": __version__,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": msgspec.to_builtins(machine),
        "sample": msgspec.to_builtins(looked.sample),
        "target": {
            "chosen": msgspec.to_builtins(choice.chosen),
            "candidates": msgspec.to_builtins(choice.candidates),
            "why": choice.why,
        },
        "findings": msgspec.to_builtins(looked.findings),
        "verdict": looked.verdict.value,
        "line": looked.line,
    }
