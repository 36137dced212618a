"""`logs`: the console on somebody's logs; with `--explain` what they say, without a screen."""

from __future__ import annotations

import os

import click

from torchprobes.reports.text import plain

from ._options import json_flag, settings_of, settings_options
from ._output import say, say_document
from .console import open_console


@click.command("logs")
@click.argument("path", metavar="DIR|FILE|RUN")
@click.option("--explain", is_flag=True, help="Say what torch.compile did, and end.")
@json_flag("With --explain: all of it")
@click.option("--tlparse", "html", metavar="OUT", help="Let tlparse make its HTML in a new folder, and end.")
@settings_options("out", "slow", "ascii", "colour", "theme", "read_only")
@click.pass_context
def logs_(ctx: click.Context, path: str, explain: bool, as_json: bool, html: str | None) -> int:
    """Open the console on a log, a folder of logs, a torch_compile_debug tree or a run, also while it grows.

    A run is named by its folder, its name, or the beginning of its name.
    """
    if as_json and not explain:
        raise click.UsageError("--json goes with --explain")
    found = path if os.path.exists(path) else _run(ctx, path)
    if html is not None:
        if explain:
            raise click.UsageError("--tlparse and --explain are two things: ask for one of them")
        return _tlparse(os.path.abspath(found), os.path.abspath(html))
    if explain:
        _explain(ctx, os.path.abspath(found), as_json)
        return 0
    return open_console(ctx, os.path.abspath(found))


def _run(ctx: click.Context, name: str) -> str:
    """The folder of the run of that name."""
    from torchprobes.rundir import RunError, open_run

    from .runs import place_of

    try:
        return str(open_run(place_of(settings_of(ctx)), name).path)
    except RunError as error:
        kinds = "name a log, a folder of logs, a torch_compile_debug tree, or a run"
        raise click.UsageError(f"{name} does not exist: {kinds} ({error})") from None


def _tlparse(path: str, out: str) -> int:
    """The HTML of each structured trace below a path; where it is, a line each on stdout."""
    from torchprobes.compilelog import tlparse

    program = tlparse.find()
    if not program:
        raise click.UsageError(tlparse.HOW_TO_GET_IT)
    found = tlparse.traces(path)
    if not found:
        why = "TORCH_TRACE, or `torchdoctor capture`, has torch write one"
        raise click.UsageError(f"{plain(path)} holds no structured trace: {why}")
    for trace in found:
        place = out if len(found) == 1 else os.path.join(out, os.path.basename(trace).removesuffix(".log"))
        try:
            say(plain(tlparse.html(trace, place, program)) + "\n")
        except tlparse.TlparseError as error:
            raise click.UsageError(plain(str(error))) from None
    return 0


def _explain(ctx: click.Context, path: str, as_json: bool) -> None:
    """Graph breaks, recompiles, failures and the rest, as text or as JSON."""
    from torchprobes.compilelog.engine import explain

    if not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
        raise click.UsageError(f"{path} cannot be read")
    explanation = explain(path)
    if as_json:
        from torchprobes.compilelog.ledger import document

        say_document(document(explanation))
        return
    from torchdoctor.terminal import decide

    from ._explain_text import explanation_text
    from .runs import terminal_width

    ascii_only = decide(settings_of(ctx)).ascii
    say(explanation_text(explanation, ascii_only=ascii_only, width=terminal_width(), cwd=os.getcwd()))
