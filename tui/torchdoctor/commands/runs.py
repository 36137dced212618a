"""`runs` and `report`: what earlier runs left behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from torchdoctor.settings import Settings
from torchdoctor.terminal import decide
from torchprobes import rundir
from torchprobes.model import Report
from torchprobes.reports.export import EXPORTERS
from torchprobes.reports.read import read_file, read_run
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir, RunError

from ._options import refuse_if_read_only, settings_of, settings_options
from ._output import Destination, note, say
from ._table import report_text


def place_of(settings: Settings) -> Path:
    """Where runs are kept; a line on stderr when a better place was refused.

    Raises:
        RunError: if there is no such place.
    """
    place = rundir.choose_place(settings.out)
    if place.note:
        note(f"torchdoctor: runs are kept in {place.path} ({place.origin}), because {place.note}")
    return Path(place.path)


NEARLY_FULL = 0.9


def keep_quota(run: RunDir, settings: Settings) -> None:
    """After a run: tell the person that the quota is nearly full; once it is, the oldest runs go, and are named.

    A place that the person chose with `--out` is theirs: nothing is deleted there.
    """
    place = run.path.parent
    held = sum(rundir.size_bytes(other.path) for other in rundir.list_runs(place))
    if held > rundir.QUOTA_BYTES and settings.out is None:
        for name in rundir.prune(place, rundir.QUOTA_BYTES):
            note(f"runs held more than {_size(rundir.QUOTA_BYTES)}: deleted the oldest, {name}")
    elif held > NEARLY_FULL * rundir.QUOTA_BYTES:
        note(f"runs in {place} hold {_size(held)} of {_size(rundir.QUOTA_BYTES)}: `torchdoctor runs prune` makes room")


# --- runs --------------------------------------------------------------------------------------------------------


@click.group("runs", invoke_without_command=True)
@settings_options("out", "read_only")
@click.pass_context
def runs_(ctx: click.Context) -> None:
    """The runs that are kept: newest first, with their verdict and size."""
    if ctx.invoked_subcommand is None:
        _list(settings_of(ctx))


@runs_.command("list")
@settings_options("out", "read_only")
@click.pass_context
def list_runs(ctx: click.Context) -> None:
    """Newest first: name, state or verdict, size."""
    _list(settings_of(ctx))


def _list(settings: Settings) -> None:
    place = place_of(settings)
    runs = rundir.list_runs(place)
    sizes = [rundir.size_bytes(run.path) for run in runs]
    for run, size in zip(runs, sizes, strict=True):
        say(f"{plain(run.name)}  {_state(run):11}  {_size(size):>9}\n")
    say(f"{len(runs)} runs, {_size(sum(sizes))} of {_size(rundir.QUOTA_BYTES)}, in {place}\n")


def _state(run: RunDir) -> str:
    try:
        if run.alive() and run.info.finished is None:
            return "running"
        return _capture_state(run) if run.info.kind == "capture" else read_run(run).verdict.value
    except RunError:
        return "unreadable"


def _capture_state(run: RunDir) -> str:
    """How a captured command ended; one whose end nobody wrote was cut off."""
    from torchprobes.runner.capture import end_of  # deferred: the runner, which no other row needs

    end = end_of(run)
    return "cut off" if end is None else end.words


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


@runs_.command("prune")
@settings_options("out", "read_only")
@click.option("--keep", type=click.IntRange(0), default=1, show_default=True, help="The newest runs always stay.")
@click.option("--max-mib", type=click.IntRange(0), default=rundir.QUOTA_BYTES >> 20, show_default=True,
              help="What all runs together may hold.")  # fmt: skip
@click.pass_context
def prune(ctx: click.Context, keep: int, max_mib: int) -> None:
    """Delete the oldest runs that nobody owns until all fit into the quota."""
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "runs prune deletes runs")
    gone = rundir.prune(place_of(settings), max_mib << 20, keep)
    say("".join(f"deleted {plain(name)}\n" for name in gone) + f"{len(gone)} runs deleted\n")


@runs_.command("delete")
@settings_options("out", "read_only")
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(ctx: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete runs for good; one that is still running is refused."""
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "runs delete deletes runs")
    place = place_of(settings)
    runs = [rundir.open_run(place, name) for name in names]
    _confirm(runs, yes)
    for run in runs:
        rundir.delete(run)
        say(f"deleted {plain(run.name)}\n")


def _confirm(runs: Iterable[RunDir], yes: bool) -> None:
    named = ", ".join(plain(run.name) for run in runs)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here: say --yes to delete {named}")
    click.confirm(f"Delete {named} for good?", abort=True, err=True)


# --- report ------------------------------------------------------------------------------------------------------


@click.command("report")
@settings_options("out", "read_only")
@click.argument("run", metavar="RUN")
@click.option("--json", "json_to", metavar="FILE|-", help="As JSON.")
@click.option("--markdown", "markdown_to", metavar="FILE|-", help="As Markdown, for a ticket.")
@click.pass_context
def report_(ctx: click.Context, run: str, json_to: str | None, markdown_to: str | None) -> None:
    """A stored run as a report.

    RUN is a run's name, the beginning of one, its folder, or a report.json. A run that was cut off, or is still
    running, gives what it has.
    """
    targets = (
        ("json", Destination.checked("--json", json_to)),
        ("markdown", Destination.checked("--markdown", markdown_to)),
    )
    settings = settings_of(ctx)
    report, where = _read(settings, run)
    wanted = [(form, destination) for form, destination in targets if destination]
    for form, destination in wanted:
        destination.deliver(EXPORTERS[form](report, ""))
    if not wanted:
        say(report_text(report, signs=not decide(settings).ascii, where=where, width=terminal_width()))


def _read(settings: Settings, name: str) -> tuple[Report, str]:
    path = Path(name)
    if path.is_file():
        return read_file(path), ""
    run = RunDir(path) if (path / "run.json").exists() else rundir.open_run(place_of(settings), name)
    if run.info.kind == "capture":
        raise click.UsageError(f"{run.name} is a capture: `torchdoctor logs {run.name} --explain` says what it tells")
    return read_run(run), str(run.path)


def terminal_width() -> int:
    """Columns of the terminal, 100 without one."""
    return shutil.get_terminal_size((100, 24)).columns
