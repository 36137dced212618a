"""`status`, `gpus`, `snapshot`: the node as it is, looked at and never touched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from torchdoctor.settings import Settings
from torchdoctor.status import gpu_line, status_lines
from torchprobes import __version__, rundir
from torchprobes.model import SCHEMA, Target
from torchprobes.reports import exit_codes
from torchprobes.reports.export import counts
from torchprobes.reports.read import read_run
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunError
from torchprobes.target import TargetChoice, TargetError, find_targets

from ._node import Node, look
from ._options import json_flag, settings_of, settings_options
from ._output import say
from ._table import finding_lines
from .runs import terminal_width

TARGET_DEADLINE_S = 5.0


@click.command("status")
@settings_options("python", "target", "out", "read_only")
@click.pass_context
def status_(ctx: click.Context) -> int:
    """How this node is, in at most 24 plain ASCII lines of 79 characters."""
    return show_status(settings_of(ctx))


def show_status(settings: Settings) -> int:
    """Print the status; the exit code of its findings."""
    node = look()
    target = _target(settings)
    lines = status_lines(node.machine, node.sample, node.findings, node.line, target, _last_check(settings))
    say("\n".join(lines) + "\n")
    return _code(node)


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


@click.command("gpus")
@json_flag("The sample and the findings")
@settings_options("read_only")
def gpus_(as_json: bool) -> int:
    """One sample of every GPU, with what the health rules find in it."""
    node = look()
    if as_json:
        say(_json(gpus_document(node)))
    else:
        _say_gpus(node)
    return _code(node)


def gpus_document(node: Node) -> dict[str, Any]:
    """`gpus --json`: keys carry units, known keys are never left out, an absent cell says why."""
    sample: dict[str, Any] = msgspec.to_builtins(node.sample)
    return {
        "schema": SCHEMA,
        **sample,
        "findings": msgspec.to_builtins(node.findings),
        "verdict": node.verdict.value,
        "line": node.line,
    }


def _say_gpus(node: Node) -> None:
    width = terminal_width()
    for gpu in node.sample.gpus:
        say(gpu_line(gpu) + "\n")
    for process in node.sample.processes:
        gpu_memory = process.gpu_memory_bytes
        used = f"{gpu_memory / (1 << 20):.0f} MiB" if isinstance(gpu_memory, (int, float)) else "memory not told"
        say(plain(mask(f"pid {process.pid}  {used}  {process.user}  {process.command}"), width) + "\n")
    for finding in node.findings:
        say("\n".join(finding_lines(finding, width)) + "\n")
    say(f"{plain(node.line)}\n")


@click.command("snapshot")
@json_flag("All of it")
@settings_options("python", "target", "read_only")
@click.pass_context
def snapshot_(ctx: click.Context, as_json: bool) -> int:
    """All passive evidence of this node: machine, sample, findings, interpreters. Nothing is run on it."""
    settings = settings_of(ctx)
    node, choice = look(), _choice(settings)
    if as_json:
        say(_json(snapshot_document(node, choice)))
        return _code(node)
    for name, value in msgspec.to_builtins(node.machine).items():
        if name != "gpus":
            say(plain(f"{name:13} {value}", terminal_width()) + "\n")
    say(plain(f"target        {choice.chosen.python if choice.chosen else 'none'}: {choice.why}") + "\n")
    _say_gpus(node)
    return _code(node)


def snapshot_document(node: Node, choice: TargetChoice) -> dict[str, Any]:
    """`snapshot --json`."""
    return {
        "schema": SCHEMA,
        "torchdoctor": __version__,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": msgspec.to_builtins(node.machine),
        "sample": msgspec.to_builtins(node.sample),
        "target": {
            "chosen": msgspec.to_builtins(choice.chosen),
            "candidates": msgspec.to_builtins(choice.candidates),
            "why": choice.why,
        },
        "findings": msgspec.to_builtins(node.findings),
        "verdict": node.verdict.value,
        "line": node.line,
    }


def _json(document: dict[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _code(node: Node) -> int:
    return exit_codes.first(exit_codes.of_findings(node.findings))
