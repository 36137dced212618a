"""`capture`: any command under switches of torch.compile, all that it says kept in one run directory."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from torchdoctor.settings import Settings
from torchprobes.compilelog import switches
from torchprobes.masking import mask_environment
from torchprobes.model import SCHEMA
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir
from torchprobes.runner import capture
from torchprobes.runner.capture import Capture, End
from torchprobes.runner.capture_plan import Plan, Request
from torchprobes.target import TargetError, find_targets

from ._capture_tee import Tee, write
from ._interrupts import Interrupts
from ._options import refuse_if_read_only, settings_of, settings_options
from ._output import Destination, note
from .runs import keep_quota, place_of, terminal_width

if TYPE_CHECKING:
    from torchprobes.compilelog.explanation import Explanation

LOOK_S: Final = 0.2
DRAIN_S: Final = 5.0
"""How long a terminal may take for the rest of the output, once somebody has asked for an end."""

TARGET_S: Final = 10.0


def _sets() -> str:
    return ", ".join(f"{name} ({each.what})" for name, each in switches.SETS.items())


@click.command("capture", options_metavar="[OPTIONS] --", context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="CMD...", nargs=-1, type=click.UNPROCESSED, required=True)
@settings_options("python", "out", "as_root", "read_only")
@click.option("--switches", "chosen", metavar="A,B", default=switches.DEFAULT, show_default=True,
              help=f"Sets and names of TORCH_LOGS: {_sets()}.")  # fmt: skip
@click.option("--explain", "explained", is_flag=True, help="Say at the end what torch.compile did.")
@click.option("--json", "json_to", metavar="FILE|-", help="How it ended and the explanation; - has stdout alone.")
@click.option("--quiet", is_flag=True, help="Do not hand the command's output on to this terminal.")
@click.pass_context
def capture_(ctx: click.Context, /, words: tuple[str, ...], **given: Any) -> int:
    r"""Run any command under switches of torch.compile, and keep all that it says in a run directory.

    \b
    torchdoctor capture -- python train.py --lr 3e-4
    torchdoctor capture --switches debug,guards --explain -- torchrun --nproc-per-node 2 train.py
    torchdoctor logs RUN                              reads it, also while it runs

    The command's stdin is empty. What the environment sets already (TORCH_LOGS,
    TORCH_TRACE, TORCH_COMPILE_DEBUG) stays. A signal is handed on to the command, a
    second one ends it at once. The exit code is the command's own, 128 and the
    number on a signal, 127 if it could not be run.
    """
    settings = settings_of(ctx)
    refuse_if_read_only(settings, "capture runs a command and writes a run")
    json_to = Destination.checked("--json", given["json_to"])
    asked = Request(words, given["chosen"], os.getcwd(), _python(words, settings))
    run, made = capture.create(place_of(settings), sys.argv, asked, os.environ)
    _tell(made)
    out = 2 if json_to is not None and json_to.is_stdout else 1
    end, code = _run(run, made, None if given["quiet"] else out)
    _close(run, end, code)
    if given["explained"] or json_to is not None:
        explanation = _explain(settings, run, out if given["explained"] else -1)
        if json_to is not None:
            told = _document(run, made, end, explanation)
            json_to.deliver(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    keep_quota(run, settings)
    return code


def _python(words: tuple[str, ...], settings: Settings) -> str:
    """The interpreter that a person named, or the target's where a Python file needs one.

    Raises:
        TargetError: the one that was named cannot be used. click.UsageError: it may not be run.
    """
    if not settings.python and not (words[0].endswith(".py") or words[0] == "-m"):
        return ""
    try:
        found = find_targets(settings.python, None, TARGET_S).chosen
    except TargetError:
        if settings.python:
            raise
        return ""
    if found is None:
        return ""
    if found.refusal and not settings.as_root:
        raise click.UsageError(found.refusal)
    return found.python


def _tell(made: Plan) -> None:
    """What is switched, before the command says its first word."""
    values = [f"{name}={value}" for name, value in made.env.items() if not value.startswith("/")]
    folders = [name for name, value in made.env.items() if value.startswith("/")]
    if made.env:
        note(f"torchdoctor: sets {plain(mask(' '.join([*values, *folders])))}{', kept in the run' if folders else ''}")
    for line in made.notes:
        note(f"torchdoctor: {plain(mask(line))}")


# --- while it runs -----------------------------------------------------------------------------------------------


def _run(run: RunDir, made: Plan, out: int | None) -> tuple[End, int]:
    """Run it to its end: how it ended, and the exit code."""
    tee = Tee(capture.folder_of(run), out, 2).start() if out is not None else None
    said = 0
    with Interrupts() as interrupts:
        running = Capture(run, made, os.environ).start()
        handed = 0
        while not running.wait(LOOK_S):
            handed = _hand_on(running, interrupts, handed)
            said = _warn(running, said)
        if tee is not None:
            tee.finish(DRAIN_S if interrupts.count else None)
        _warn(running, said)
        return running.ended, _code(running.ended, interrupts)


def _hand_on(running: Capture, interrupts: Interrupts, handed: int) -> int:
    """A first signal is the command's to answer; a second ends it."""
    if interrupts.count > handed and interrupts.first is not None:
        if handed:
            running.cancel("ended by a second signal")
        else:
            running.hand_on(interrupts.first)
        return interrupts.count
    return handed


def _warn(running: Capture, said: int) -> int:
    warnings = running.view().warnings
    for line in warnings[said:]:
        note(f"torchdoctor: {plain(line)}")
    return len(warnings)


def _code(end: End, interrupts: Interrupts) -> int:
    if interrupts.count > 1 and interrupts.first is not None:
        return 128 + interrupts.first
    return capture.exit_code_of(end)


# --- after it ----------------------------------------------------------------------------------------------------


def _close(run: RunDir, end: End, code: int) -> None:
    cause = f" ({plain(end.cause)})" if end.cause else ""
    seconds = f" after {end.seconds:.1f} s" if end.seconds is not None else ""
    note(f"torchdoctor: {end.words}{seconds}{cause}; kept in {run.path}: torchdoctor logs {run.name}")


def _explain(settings: Settings, run: RunDir, out: int) -> Explanation:
    """Read all that was kept; say what it means on the stream `out`, or nowhere (-1)."""
    from torchprobes.compilelog.engine import explain

    found = explain(str(run.path))
    if out >= 0:
        from torchdoctor.terminal import decide

        from ._explain_text import explanation_text

        text = explanation_text(found, ascii_only=decide(settings).ascii, width=terminal_width(), cwd=os.getcwd())
        write(out, text.encode("utf-8", "backslashreplace"))
    return found


def _document(run: RunDir, made: Plan, end: End, explanation: Explanation) -> dict[str, Any]:
    """The capture as JSON."""
    from torchprobes.compilelog.ledger import document

    return {
        "schema": SCHEMA, "run": str(run.path), "command": mask(shlex.join(made.argv)), "python": made.python or None,
        "torch": made.torch or None, "environment": mask_environment(made.env), "notes": list(made.notes),
        "exit_code": end.exit_code, "signal": end.signal, "seconds": end.seconds, "explanation": document(explanation),
    }  # fmt: skip
