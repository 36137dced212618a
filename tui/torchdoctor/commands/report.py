"""`report`: one run as a report, in every form that there is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchprobes import rundir
from torchprobes.model import Report
from torchprobes.reports.export import EXPORTERS
from torchprobes.reports.read import read_file, read_run
from torchprobes.rundir import RunDir

from ._options import settings_of, settings_options
from ._output import Destination, only_one_to_stdout, say
from ._redacting import redact_option, redactor_for
from ._table import report_text
from .runs import place_of, terminal_width, where_of

FORMS: Final = ("json", "markdown", "html", "junit")


@click.command("report")
@settings_options("out", "read_only", "ascii")
@click.argument("run", metavar="RUN")
@click.option("--json", "json_to", metavar="FILE|-", help="As JSON.")
@click.option("--markdown", "markdown_to", metavar="FILE|-", help="As Markdown, for a ticket.")
@click.option("--html", "html_to", metavar="FILE|-", help="As one HTML file with plots, which needs no network.")
@click.option("--junit", "junit_to", metavar="FILE|-", help="As JUnit XML, a test case a probe.")
@redact_option
@click.pass_context
def report_(
    ctx: click.Context,
    run: str,
    json_to: str | None,
    markdown_to: str | None,
    html_to: str | None,
    junit_to: str | None,
    redact: str | None,
) -> None:
    """A stored run as a report.

    RUN is a run's name, the beginning of one, its folder, a report.json, or what `snapshot --json` wrote. A run that
    was cut off, or is still running, gives what it has.
    """
    paths = dict(zip(FORMS, (json_to, markdown_to, html_to, junit_to), strict=True))
    targets = {form: Destination.checked(f"--{form}", path) for form, path in paths.items()}
    only_one_to_stdout(targets)
    settings = settings_of(ctx)
    report, where = _read(settings, run)
    wanted = [(form, target) for form, target in targets.items() if target]
    for form, target in wanted:
        masking = redactor_for(form, redact)
        target.deliver(EXPORTERS[form](masking.report(report), masking.masked))
    if not wanted:
        masking = redactor_for("text", redact)
        shown, signs = masking.report(report), not decide(settings).ascii
        say(report_text(shown, signs=signs, where=masking.text(where), width=terminal_width()))


def _read(settings: Settings, name: str) -> tuple[Report, str]:
    path = Path(name)
    if path.is_file():
        return read_file(path), ""
    run = RunDir(path) if (path / "run.json").exists() else rundir.open_run(place_of(settings), name)
    if run.info.kind == "capture":
        raise click.UsageError(f"{run.name} is a capture: `torchdoctor logs {run.name} --explain` says what it tells")
    return read_run(run), where_of(run)
