"""`fleet`: every node of a launcher looked at, kept as reports, and compared."""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from torchdoctor.settings import Settings
from torchprobes import catalogue, rundir
from torchprobes.jobs.nodes.allocation import Allocation, allocation
from torchprobes.model import Tier
from torchprobes.reports.fleet.asking import AT_ONCE, Progress, Question, ask
from torchprobes.reports.fleet.launcher import Launcher
from torchprobes.reports.fleet.nodelist import expand
from torchprobes.reports.fleet.rows import Node
from torchprobes.reports.fleet.saving import new_folder, save

from ._fleet_text import Outcome, deliver
from ._fleet_words import LaunchedCommand, launcher_words
from ._interrupts import Interrupts
from ._job_program import own_program
from ._options import refuse_if_read_only, settings_of, settings_options
from ._output import note
from ._redacting import redact_option, redactor_for

DEADLINES_S: Final = {Tier.QUICK: 300.0, Tier.STANDARD: 900.0, Tier.FULL: 2400.0}
"""Of a check on a node: its tier's own limits with a slow import, and room for the queue of its GPUs' locks."""

SNAPSHOT_S: Final = 60.0
LOOK_S: Final = 0.25
TELL_S: Final = 10.0

NEEDS: Final = (
    "--probe runs code on every node: it needs an allocation of your own; GPUs that others use are left alone, "
    "as `check` does"
)


@click.command("fleet", cls=LaunchedCommand, options_metavar="[OPTIONS] [--probe [NAME|GROUP]...] -- LAUNCHER...")
@click.argument("names", metavar="", nargs=-1)
@settings_options("tier", "device", "python", "target", "force", "as_root", "read_only", "ascii")
@click.option("--probe", is_flag=True, help="Run `check` on every node, with these options and names; not only look.")
@click.option("--out", "folder", metavar="DIR", help="A new folder for the reports, NODE.json each.")
@click.option("--nodes", "nodes", metavar="LIST", default="", help="The nodes: n1,n2 or n[01-16]. Slurm knows its own.")
@click.option("--at-once", type=click.IntRange(1, 512), default=AT_ONCE, show_default=True, help="Nodes at a time.")
@click.option("--jitter", type=click.FloatRange(0, 3600), metavar="S", help="Spread starts over so long.")
@click.option(
    "--deadline", type=click.FloatRange(1, 86400), metavar="S", help="For a node, from its first sign of life."
)
@click.option("--program", metavar="WORDS", default="", help="How torchdoctor is started on the nodes.")
@click.option("--json", "json_to", metavar="FILE|-", help="Rows and comparison as JSON.")
@click.option("--html", "html_to", metavar="FILE|-", help="The comparison as HTML.")
@click.option("--markdown", "markdown_to", metavar="FILE|-", help="The comparison as Markdown.")
@redact_option
@click.option("--answer", hidden=True, default="")
@click.option("--as", "as_", hidden=True, default="")
@click.pass_context
def fleet_(ctx: click.Context, /, **given: Any) -> int:
    r"""Look at every node of a launcher, keep a report of each, and compare them.

    A launcher starts a command on all nodes at once (srun, mpirun, pdsh), or has {node} in it and is started for each
    node by itself. Without --probe it is passive: no CUDA context, no import of torch. A node that gives no report is
    a row with its reason.

    \b
    torchdoctor fleet -- srun -N 8 --ntasks-per-node 1
    torchdoctor fleet --nodes n[01-16] -- ssh {node}
    torchdoctor fleet --probe compile ddp --tier quick -- srun -N 8 --exclusive --ntasks-per-node 1

    Exit codes: as `check` of the worst report; 4 where a node gave none.
    """
    settings = settings_of(ctx)
    if given["answer"]:
        from ._fleet_node import Errand, run_errand

        check = tuple(_check_words(ctx, given["names"])) if given["probe"] else None
        errand = Errand(
            given["answer"], given["as_"], given["at_once"], given["jitter"], _deadline_s(given, settings), check
        )
        return run_errand(settings, errand)
    return _asked(ctx, settings, given)


def _asked(ctx: click.Context, settings: Settings, given: dict[str, Any]) -> int:
    outcome = Outcome.checked(given, settings)
    question = _question(ctx, settings, given)
    folder = new_folder(Path(given["folder"]).absolute() if given["folder"] else _default_folder())
    if given["probe"]:
        note(f"torchdoctor: {NEEDS}")
    nodes, said, interrupted = _ask(question)
    saved = save(folder, nodes, redactor_for("json").report)
    code = deliver(outcome, saved, folder, said)
    return 128 + interrupted if interrupted else code


def _question(ctx: click.Context, settings: Settings, given: dict[str, Any]) -> Question:
    """What is asked of whom; checked before anything is started.

    Raises:
        ViaError, UnknownProbe, click.UsageError: one line: what of it cannot be done.
    """
    launcher, found = Launcher.of(launcher_words(ctx)), allocation()
    names, probing = given["names"], given["probe"]
    if names and not probing:
        raise click.UsageError(f"{names[0]!r} names a probe: --probe runs it; a launcher comes after --")
    if probing:
        refuse_if_read_only(settings, "fleet --probe runs code on every node")
        catalogue.select(names, settings.tier)
    nodes = expand(given["nodes"]) if given["nodes"] else _nodes_of(found, launcher)
    program = tuple(shlex.split(given["program"])) or (tuple(own_program()) if launcher.is_srun else ("torchdoctor",))
    deadline_s, jitter_s = _deadline_s(given, settings), given["jitter"]
    spread = [] if launcher.each else ["--at-once", str(given["at_once"])]
    words = ["fleet", "--deadline", f"{deadline_s:g}", *spread, *_jitter_words(launcher, jitter_s)]
    return Question(
        launcher=launcher,
        program=program,
        words=(*words, *(["--probe", *_check_words(ctx, names)] if probing else _look_words(ctx))),
        nodes=nodes,
        at_once=given["at_once"],
        jitter_s=(1.0 if len(nodes) > given["at_once"] else 0.0) if jitter_s is None else jitter_s,
        deadline_s=deadline_s,
    )


def _nodes_of(found: Allocation, launcher: Launcher) -> tuple[str, ...]:
    """With {node} all nodes of the allocation that this runs in; a launcher for all says itself which they are."""
    return expand(found.nodelist) if launcher.each and found.nodelist else ()


def _jitter_words(launcher: Launcher, jitter_s: float | None) -> list[str]:
    """A node waits by itself where one launcher starts them all; where we start each, we wait."""
    if launcher.each:
        return ["--jitter", "0"]
    return [] if jitter_s is None else ["--jitter", f"{jitter_s:g}"]


def _deadline_s(given: dict[str, Any], settings: Settings) -> float:
    if given["deadline"] is not None:
        return float(given["deadline"])
    return DEADLINES_S[settings.tier] if given["probe"] else SNAPSHOT_S


def _look_words(ctx: click.Context) -> list[str]:
    """The options that a snapshot takes too, as they were given here."""
    chosen = ctx.ensure_object(dict)
    return [word for name in ("python", "target") if name in chosen for word in (f"--{name}", str(chosen[name]))]


def _check_words(ctx: click.Context, names: Sequence[str]) -> list[str]:
    """The options and names of the check, as they were given here."""
    chosen = ctx.ensure_object(dict)
    tier = ["--tier", Tier(chosen["tier"]).value] if "tier" in chosen else []
    device = ["--device", str(chosen["device"])] if "device" in chosen else []
    flags = [flag for name, flag in (("force", "--force"), ("as_root", "--as-root")) if chosen.get(name)]
    return [*names, *tier, *device, *flags, *_look_words(ctx)]


def _default_folder() -> Path:
    """Beside the runs: `fleets/<UTC>-<6 hex>`."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return Path(rundir.choose_place(None).path).parent / "fleets" / f"{stamp}-{secrets.token_hex(3)}"


# --- while they answer -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Asked:
    """What came of the asking, which runs in a thread of its own, so that a signal is heard at once."""

    nodes: tuple[Node, ...] = ()
    said: str = ""
    error: Exception | None = None


def _ask(question: Question) -> tuple[tuple[Node, ...], str, int | None]:
    """Ask all nodes and tell how far it is; a signal ends what still runs, and what came by then is kept."""
    progress, asked = Progress(), _Asked()
    with Interrupts() as interrupts:

        def go() -> None:
            try:
                asked.nodes, asked.said = ask(question, progress, lambda: bool(interrupts.count))
            except Exception as error:  # noqa: BLE001 - raised again below, in the thread that tells a person
                asked.error = error

        asking = threading.Thread(target=go, daemon=True, name="fleet")
        asking.start()
        told = time.monotonic()
        while asking.is_alive():
            asking.join(LOOK_S)
            if time.monotonic() - told >= TELL_S:
                told = time.monotonic()
                note(f"{progress.answered} of {progress.expected or 'as yet unknown'} nodes have answered")
        first = interrupts.first
    if asked.error is not None:
        raise asked.error
    return asked.nodes, asked.said, first
