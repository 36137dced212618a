"""Captures of this console: planned and started in threads; each ends with the console, unless it has ended before.

Nothing here is called on the event loop but `view` and `cancel`.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from torchprobes import rundir
from torchprobes.compilelog import switches
from torchprobes.runner import capture
from torchprobes.runner.capture import Capture, CaptureView
from torchprobes.runner.capture_plan import CaptureError, Plan, Request, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "RUN"
"""Stands for the run's folder in a plan that is only shown."""

_running: dict[str, Capture] = {}
"""Those that were started here, by run directory: as long as they are held, they live."""


def request_of(form: Mapping[str, Any]) -> Request:
    """The form as a request.

    Raises:
        CaptureError: the command line has a quotation that does not end.
    """
    try:
        words = tuple(shlex.split(str(form.get("command", ""))))
    except ValueError as error:
        raise CaptureError(f"the command cannot be read: {error}") from None
    folder = os.path.expanduser(str(form.get("folder", "")).strip())
    return Request(words, switches_of(form), os.path.abspath(folder or os.getcwd()), str(form.get("python", "")))


def switches_of(form: Mapping[str, Any]) -> str:
    """The switches that are on, as `--switches` takes them."""
    on = [name for name in ("default", "debug", "full") if form.get(name)]
    return ",".join([*(on or ["trace"]), *(name for name in str(form.get("names", "")).split(",") if name.strip())])


def planned(form: Mapping[str, Any]) -> Plan:
    """What would run.

    Raises:
        CaptureError, SwitchError: one line: why it cannot.
    """
    return plan(request_of(form), FOLDER, os.environ)


def start(form: Mapping[str, Any], out: str | None) -> str:
    """Start it; the path of its run directory.

    Raises:
        CaptureError, SwitchError, RunError: one line: why it cannot.
    """
    place = Path(rundir.choose_place(out).path)
    asked = request_of(form)
    run, made = capture.create(place, ("torchdoctor", "capture", "--", *asked.words), asked, os.environ)
    _running[str(run.path)] = Capture(run, made, os.environ).start()
    return str(run.path)


def view(run: str) -> CaptureView | None:
    """How a capture of this console stands, None for a run that was not started here."""
    held = _running.get(run)
    return held.view() if held is not None else None


def running() -> tuple[Capture, ...]:
    """Those that have not ended."""
    return tuple(held for held in tuple(_running.values()) if not held.view().finished)


def cancel(run: str) -> bool:
    """End a capture of this console; False if there is none of that run, or it has ended."""
    held = _running.get(run)
    if held is None or held.view().finished:
        return False
    held.cancel("cancelled in the console")
    return True


def line_of(form: Mapping[str, Any]) -> str:
    """The command of ours that does the same."""
    chosen = switches_of(form)
    option = "" if chosen == switches.DEFAULT else f"--switches {shlex.quote(chosen)} "
    return f"torchdoctor capture {option}-- {form.get('command', '')}"
