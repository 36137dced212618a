"""`env --diagnosable`: what to set before a job starts, so that anybody's job can be explained when it hangs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final, Literal

import click

from torchprobes import child
from torchprobes.jobs.diagnosable import Export, as_pod, as_shell, as_slurm, exports
from torchprobes.model import Target
from torchprobes.reports import exit_codes
from torchprobes.reports.text import plain

from ._options import settings_of, settings_options
from ._output import note, say
from ._session import chosen_target

DEADLINE_S: Final = 2.0
POD_FOLDER: Final = "/var/tmp/torchdoctor"  # noqa: S108 - a volume of the pod's own

Form = Literal["shell", "slurm", "pod"]
FORMS: Final[dict[Form, Callable[[Sequence[Export], str], str]]] = {
    "shell": as_shell, "slurm": as_slurm, "pod": as_pod,
}  # fmt: skip


@click.command("env")
@click.option("--diagnosable", is_flag=True, help="The variables that make a job diagnosable.")
@click.option("--shell", "form", flag_value="shell", default="shell", help="As exports of a shell (the default).")
@click.option("--slurm", "form", flag_value="slurm", help="As lines of an sbatch script.")
@click.option("--pod", "form", flag_value="pod", help="As a part of a pod's specification.")
@click.option("--folder", metavar="DIR", default="", help="Where the ranks write; on each node its own is best.")
@settings_options("python", "target", "as_root", "read_only")
@click.pass_context
def env_(ctx: click.Context, diagnosable: bool, form: Form, folder: str) -> int:
    r"""What to set before a job starts, valid for the target's torch and NCCL, so that it can be explained later.

    \b
    eval "$(torchdoctor env --diagnosable)"
    torchdoctor env --diagnosable --slurm >> job.sh
    """
    if not diagnosable:
        raise click.UsageError("say --diagnosable: it prints what makes a job diagnosable")
    target = chosen_target(settings_of(ctx))
    place = folder or (POD_FOLDER if form == "pod" else f"/tmp/torchdoctor-{os.getuid()}")  # noqa: S108 - made 0700
    nccl = nccl_of(target)
    note(f"for torch {plain(target.torch or 'of an unknown version')}, NCCL {plain(nccl or 'not found beside it')}")
    say(FORMS[form](exports(target.torch or "", nccl, place), place))
    return exit_codes.OK


def nccl_of(target: Target) -> str:
    """The version of NCCL beside the target's torch, "" where nobody can say: behind a prefix, built into torch."""
    if target.prefix:
        return ""
    try:
        return str(child.ask("nccl-version", {"path": target.python}, DEADLINE_S) or "")
    except (child.Hung, child.ChildFailed):
        return ""
