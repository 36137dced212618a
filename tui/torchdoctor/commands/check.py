"""`check`: probes without a screen."""

from __future__ import annotations

import os
from functools import partial

import click

from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchprobes import catalogue
from torchprobes.model import Report
from torchprobes.reports import exit_codes
from torchprobes.reports.exit_codes import FailOn
from torchprobes.reports.export import EXPORTERS
from torchprobes.reports.signs import counts
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir
from torchprobes.runner import graphs

from ._baseline import known_good
from ._options import fail_on_option, refuse_if_read_only, settings_of, settings_options
from ._output import Destination, Undelivered, note, only_one_to_stdout, say
from ._redacting import redact_option, redactor_for
from ._session import Ended, detach, new_run, resumed_run, run_to_its_end
from ._table import report_text
from .runs import keep_quota, terminal_width

Exports = tuple[tuple[str, Destination | None], ...]


@click.command("check")
@click.argument("names", metavar="[NAME|GROUP]...", nargs=-1)
@settings_options("tier", "device", "python", "target", "out", "force", "as_root", "read_only", "ascii")
@click.option(
    "--entry",
    metavar="M:F",
    default="",
    help="Your own model: MODULE:F or PATH.py:F, a factory that takes the device string and returns (callable, args).",
)
@click.option(
    "--graph",
    metavar="FILE",
    default="",
    help="One graph of a torch.compile run, alone: its fx_graph_runnable.py, or a minifier's repro.",
)
@click.option(
    "--like",
    type=click.IntRange(min=1),
    metavar="PID",
    help="Run as a live process does: its interpreter, environment, cores and limits; what differs is told first.",
)
@click.option("--json", "json_to", metavar="FILE|-", help="The report as JSON; - puts it alone on stdout.")
@click.option("--junit", "junit_to", metavar="FILE|-", help="The report as JUnit XML, a test case a probe.")
@click.option(
    "--baseline",
    "baseline",
    metavar="FILE|RUN",
    help="The report of a known good node: what is lost or worse than there is a finding, beyond the recorded noise.",
)
@redact_option
@fail_on_option
@click.option(
    "--gate",
    type=click.Choice(["prolog"]),
    help="Alone: judge this node passively within 2 s; 1 only for a sure critical fault, 0 whatever else happens.",
)
@click.option("--resume", "resume", metavar="RUN", help="Do what is missing of an earlier run.")
@click.option("--from-owner", type=int, hidden=True)
@click.option("--detach", "detached", is_flag=True, help="Let it live on when the terminal goes; says where it writes.")
@click.pass_context
def check_(
    ctx: click.Context,
    names: tuple[str, ...],
    entry: str,
    graph: str,
    like: int | None,
    json_to: str | None,
    junit_to: str | None,
    baseline: str | None,
    redact: str | None,
    fail_on: FailOn,
    gate: str | None,
    resume: str | None,
    from_owner: int | None,
    detached: bool,
) -> int:
    """Run probes without a screen, and report.

    Without a NAME or GROUP it runs all of the tier (`torchdoctor list` shows them); with --entry, the compile, export
    and cudagraph probes on your own model; with --graph, that graph. Ctrl-C cancels what runs and writes the report of
    what was finished; a second one ends at once.
    """
    if gate:  # the program itself goes there before it comes here: `__main__`
        from torchdoctor.gate import run as judge_here

        return judge_here(("check", "--gate", gate))
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "check runs code on this node and writes a run")
    if entry and graph:
        raise click.UsageError("--entry and --graph are two checks: ask for one of them")
    probes = catalogue.select(names, settings.tier, entry=bool(checked_entry(entry, settings)), graph=bool(graph))
    exports = _exports(json_to, junit_to, detached)
    if resume and (names or entry or graph or like or baseline):
        raise click.UsageError(
            "--resume RUN does what that run was asked: it takes no names, no --entry, no --graph, no --like, "
            "no --baseline"
        )
    if like and {"python", "target"} & ctx.ensure_object(dict).keys():
        raise click.UsageError("--like takes the interpreter of the process: it goes with no --python and no --target")
    file = checked_graph(graph, settings)
    good = known_good(baseline, settings) if baseline else None
    run = resumed_run(settings, resume, from_owner) if resume else new_run(settings, probes, entry, like, file, good)
    if detached:
        return _detach(run, settings, exports, fail_on, redact)
    ended = run_to_its_end(run, settings)
    code = _deliver(ended, run, exports, settings, fail_on, redact)
    keep_quota(run, settings)
    return code if ended.signal is None else exit_codes.of_signal(ended.signal)


def checked_entry(entry: str, settings: Settings) -> str:
    """The entry as it was given, if it can be one; whether it is there behind a launcher prefix, only the probe sees.

    Raises:
        click.UsageError: if it has no function's name, or names a file that is not there.
    """
    place, _, function = entry.rpartition(":")
    if entry and not (place and function.isidentifier()):
        raise click.UsageError(f"--entry {plain(entry)!r} is not MODULE:F or PATH.py:F")
    if place.endswith(".py") and not settings.target and not os.path.isfile(place):
        raise click.UsageError(f"--entry: there is no file {plain(place)}")
    return entry


def checked_graph(path: str, settings: Settings) -> str:
    """The path of a graph, absolute, if it is one that may be run here; "" for none.

    Raises:
        click.UsageError: in one line, why not.
    """
    try:
        return graphs.checked(path, as_root=settings.as_root) if path else ""
    except graphs.GraphFileError as error:
        raise click.UsageError(f"--graph: {plain(str(error))}") from None


def _exports(json_to: str | None, junit_to: str | None, detached: bool) -> Exports:
    """Where the report goes besides the run directory; tried before anything runs."""
    exports = (
        ("json", Destination.checked("--json", json_to)),
        ("junit", Destination.checked("--junit", junit_to)),
    )
    only_one_to_stdout(dict(exports))
    to_stdout = [form for form, destination in exports if destination and destination.is_stdout]
    if to_stdout and detached:
        raise click.UsageError(f"--detach has no stdout: name a file for --{to_stdout[0]}")
    return exports


def _detach(run: RunDir, settings: Settings, exports: Exports, fail_on: FailOn, redact: str | None) -> int:
    arguments = ["--fail-on", fail_on, *(("--redact", redact) if redact else ())]
    for form, destination in exports:
        if destination:
            arguments += [f"--{form}", destination.absolute]
    arguments += [flag for flag, on in (("--force", settings.force), ("--as-root", settings.as_root)) if on]
    pid = detach(run, arguments)
    say(f"{run.path}\n")
    note(f"detached as pid {pid}; `torchdoctor report {run.name}` shows it, its words are in check.log")
    return exit_codes.OK


def _deliver(
    ended: Ended, run: RunDir, exports: Exports, settings: Settings, fail_on: FailOn, redact: str | None
) -> int:
    """Hand the report over in every form that was asked for; what cannot be written is said and makes 4."""
    report = ended.report
    codes = [exit_codes.of_report(report, fail_on)] + [exit_codes.INCOMPLETE] * (not ended.kept)
    kept = f"; the report is in {run.report}" if ended.kept else ""
    deliveries = [partial(d.deliver, _exported(report, form, redact)) for form, d in exports if d]
    if any(d.is_stdout for _, d in exports if d):
        note(f"run: {run.path}")
        note(f"{report.verdict.value}: {counts(report.results)} in {report.seconds:.1f} s")
    else:
        masking = redactor_for("text", redact)
        shown, where = masking.report(report), masking.text(str(run.path))
        table = report_text(shown, signs=not decide(settings).ascii, where=where, width=terminal_width())
        deliveries.append(partial(say, table))
    for deliver in deliveries:
        try:
            deliver()
        except Undelivered as error:
            note(f"torchdoctor: {error}{kept}")
            codes.append(exit_codes.INCOMPLETE)
    return exit_codes.first(codes)


def _exported(report: Report, form: str, redact: str | None) -> bytes:
    masking = redactor_for(form, redact)
    return EXPORTERS[form](masking.report(report), masking.masked)
