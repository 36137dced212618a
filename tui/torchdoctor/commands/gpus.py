"""`gpus`: one sample of every GPU, with what the health rules find in it.

Scripts ask this in a loop. The sampler child runs since before we were imported (`early`), and nothing is imported
here that a document does not need; what a person reads is imported when a person reads it.
"""

from __future__ import annotations

from typing import Any

import click
import msgspec

from torchprobes.model import SCHEMA

from ._look import Look, exit_code, look
from ._options import json_flag, settings_of, settings_options
from ._output import say, say_document


@click.command("gpus")
@json_flag("The sample and the findings")
@settings_options("read_only")
@click.pass_context
def gpus_(ctx: click.Context, as_json: bool) -> int:
    """One sample of every GPU, with what the health rules find in it."""
    looked = look(settings_of(ctx).thresholds)
    if as_json:
        say_document(gpus_document(looked))
    else:
        say_gpus(looked)
    return exit_code(looked)


def gpus_document(looked: Look) -> dict[str, Any]:
    """`gpus --json`: keys carry units, known keys are never left out, an absent cell says why."""
    sample: dict[str, Any] = msgspec.to_builtins(looked.sample)
    return {
        "schema": SCHEMA,
        **sample,
        "findings": msgspec.to_builtins(looked.findings),
        "verdict": looked.verdict.value,
        "line": looked.line,
    }


def say_gpus(looked: Look) -> None:
    """GPUs, processes, what happened, findings, and the verdict line."""
    say("\n".join(gpus_lines(looked)) + "\n")


def gpus_lines(looked: Look) -> list[str]:
    """The same as lines."""
    from torchprobes.reports.text import plain

    from ._readings import event_lines, gpu_lines, process_lines
    from ._table import finding_lines
    from .runs import terminal_width

    width, sample = terminal_width(), looked.sample
    rows = [
        *gpu_lines(sample, looked.findings, looked.past, width),
        *process_lines(sample, width),
        *event_lines(looked.past.events, sample, width),
    ]
    for finding in looked.findings:
        rows += finding_lines(finding, width)
    return [*rows, plain(looked.line)]
