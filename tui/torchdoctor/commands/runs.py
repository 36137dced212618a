"""`runs`: what earlier runs left behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from torchdoctor.settings import Settings
from torchprobes import rundir
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir

from . import _kept
from ._kept import size_words
from ._options import json_flag, refuse_if_read_only, settings_of, settings_options
from ._output import note, say, say_document


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
            note(f"runs held more than {size_words(rundir.QUOTA_BYTES)}: deleted the oldest, {name}")
    elif held > NEARLY_FULL * rundir.QUOTA_BYTES:
        quota = size_words(rundir.QUOTA_BYTES)
        note(f"runs in {place} hold {size_words(held)} of {quota}: `torchdoctor runs prune` makes room")


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
@json_flag("The list")
@click.pass_context
def list_runs(ctx: click.Context, as_json: bool) -> None:
    """Newest first: name, state or verdict, size, title; and what all of them hold."""
    _list(settings_of(ctx), as_json=as_json)


def _list(settings: Settings, *, as_json: bool = False) -> None:
    place = place_of(settings)
    rows = _kept.kept(place)
    if as_json:
        say_document(_kept.document(place, rows))
        return
    say("".join(line + "\n" for line in _kept.lines(place, rows)))


def _age(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else _kept.age_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no age: {error}") from None


@runs_.command("prune")
@settings_options("out", "read_only")
@click.option("--keep", type=click.IntRange(0), default=1, show_default=True, help="The newest runs always stay.")
@click.option("--max-mib", type=click.IntRange(0),
              help=f"What all runs together may hold.  [default: {rundir.QUOTA_BYTES >> 20}, with --older-than: any]",
              )  # fmt: skip
@click.option("--older-than", "older_than_s", metavar="AGE", callback=_age, help="Those that ended before: 30d, 12h.")
@click.option("--dry-run", is_flag=True, help="Only say which would go.")
@click.pass_context
def prune(ctx: click.Context, keep: int, max_mib: int | None, older_than_s: float | None, dry_run: bool) -> None:
    """Delete the runs that ended long ago, or the oldest until all fit into the quota; nobody's who still runs."""
    settings = settings_of(ctx)
    if not dry_run:
        refuse_if_read_only(settings, "runs prune deletes runs")
    quota = (
        rundir.QUOTA_BYTES if max_mib is None and older_than_s is None else None if max_mib is None else max_mib << 20
    )
    place = place_of(settings)
    sizes = rundir.held_bytes(place)
    gone = rundir.prune(place, quota, keep, older_than_s, rundir.spared if dry_run else rundir.delete)
    done = "would be deleted" if dry_run else "deleted"
    for name in gone:
        say(f"{plain(name)} would be deleted\n" if dry_run else f"deleted {plain(name)}\n")
    freed = sum(sizes.get(name, 0) for name in gone)
    say(f"{len(gone)} runs {done}, {size_words(freed)}\n")


@runs_.command("rename")
@settings_options("out", "read_only")
@click.argument("run", metavar="RUN")
@click.argument("title", metavar="TITLE")
@click.pass_context
def rename(ctx: click.Context, run: str, title: str) -> None:
    """Give a run a title, by which it is listed and found from then on; "" takes it away."""
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "runs rename changes a run")
    found = rundir.open_run(place_of(settings), run)
    rundir.rename(found, title)
    name = rundir.title_of(found)
    say(f"{plain(found.name)} is now {plain(mask(name))!r}\n" if name else f"{plain(found.name)} has no title\n")


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


def where_of(run: RunDir) -> str:
    """A run by its folder, and by its title where it has one, as safe text."""
    title = rundir.title_of(run)
    return plain(run.path) + (f" ({plain(mask(title), rundir.TITLE_LENGTH)})" if title else "")


def named_run(run: RunDir) -> str:
    """A run by its name, and by its title where it has one, as safe text."""
    title = rundir.title_of(run)
    return plain(run.name) + (f" ({plain(mask(title), rundir.TITLE_LENGTH)})" if title else "")


def _confirm(runs: Iterable[RunDir], yes: bool) -> None:
    named = ", ".join(named_run(run) for run in runs)
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"nobody can be asked here: say --yes to delete {named}")
    click.confirm(f"Delete {named} for good?", abort=True, err=True)


def terminal_width() -> int:
    """Columns of the terminal, 100 without one."""
    return shutil.get_terminal_size((100, 24)).columns
