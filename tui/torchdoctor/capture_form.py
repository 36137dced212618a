"""The form that starts a capture: a command, its folder, the switches, and exactly what will run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType

from .capture_planner import CapturePlanner, Planned
from .command_form import MOVES, CommandForm
from .paint import BLANK, Line, Page, labelled, line
from .signs import RUNNING
from .text import safe
from .widgets.toggles import Toggle

if TYPE_CHECKING:
    from torchprobes.runner.capture_plan import Plan

    from .panes.base import Console


class CaptureForm(CommandForm[CapturePlanner]):
    """Its answer is the run directory of the capture that was started, None if none was."""

    FIELDS = (
        ("command", "command", "python train.py --lr 3e-4, torchrun …, sh run.sh"),
        ("folder", "folder", "where it runs; empty for this one"),
        ("names", "TORCH_LOGS", "more names: guards,output_code,+dynamo"),
    )
    FIELD_HELP: ClassVar = {
        "command": "as in a shell; a Python file alone, or -m and a module, gets the target's interpreter",
        "folder": "its working directory",
        "names": "beside those of the switches; a name that this torch lacks is refused",
    }
    SWITCHES = (
        Toggle("default", "breaks and hints", "TORCH_LOGS: graph_breaks, recompiles, perf_hints, cudagraphs", on=True),
        Toggle("debug", "compile debug", "TORCH_COMPILE_DEBUG=1: graphs, IR and code of every compile as files"),
        Toggle("full", "everything", "all that Dynamo and Inductor say: up to 26 % slower, megabytes of text"),
    )
    """Beside the structured trace, which is always there."""
    START = ("Capture", "capture")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+enter", "capture", "Capture", key_display="F5", id="capture.go", tooltip="Start it"),
        *MOVES,
        Binding("escape", "leave", "Cancel", id="capture.leave", tooltip="Start nothing"),
    ]

    def __init__(self, console: Console, last: Mapping[str, Any]) -> None:
        super().__init__(console, last, CapturePlanner(console.settings.out))

    def form(self) -> dict[str, Any]:
        """The form as the desk reads it."""
        target = self._home.sources.snapshot().target
        usable = target is not None and not target.prefix and (not target.refusal or self._home.settings.as_root)
        return {**self.last(), "python": target.python if target is not None and usable else ""}

    def last(self) -> dict[str, Any]:
        """What was filled in, for the next time."""
        return {**self.fields(), **self.toggles.values}

    def names_something(self, form: Mapping[str, Any]) -> bool:
        """A command is named."""
        return bool(form.get("command", "").strip())

    def stamp(self) -> object:
        """What was planned, and for which form."""
        return (self.planner.planned, self._asked)

    def draw(self) -> None:
        """What will run."""
        starting = self.planner.starting
        self.title_rows.show(
            line(("  Capture a command", "title"), ("   with what torch.compile says of it", "dim")), ()
        )
        self.hint.show(line(("starting …", "warn") if starting else (self.field_help(), "dim")))
        self.lines.show(self._page(self.planner.planned))

    def _page(self, planned: Planned) -> Page:
        if not self.names_something(self._asked):
            return Page(
                [BLANK, line(("  name a command; it ends with this console, unless it has ended before", "dim"))]
            )
        if planned.form is not self._asked:
            return Page([BLANK, line((f"  {RUNNING[0]} looking which torch it runs", RUNNING[1]))])
        return capture_page(planned, self.size.width - 2)

    def action_capture(self) -> None:
        """Start what is shown, unless it cannot be."""
        planned = self.planner.planned
        if not self.planner.starting and planned.plan is not None and planned.form is self._asked:
            self.planner.start(planned.form)
        self.refresh_data()


def capture_page(planned: Planned, width: int) -> Page:
    """The command of ours, the one that runs, what is set for it, and what is to be known."""
    if planned.plan is None:
        return Page([BLANK, *labelled("", f"✘ {safe(planned.error)}", width, at=2, role="fail")])
    from torchprobes.masking import mask_text  # a plan is there: it is loaded

    first = labelled("as", safe(mask_text(planned.line)), width, at=8, role="key")
    return Page([BLANK, *first, BLANK, *_command(planned.plan, width)])


def _command(plan: Plan, width: int) -> list[Line]:
    from torchprobes.masking import mask_text

    env = " ".join(f"{name}={shlex.quote(value)}" for name, value in plan.env.items())
    rows = labelled("runs", safe(mask_text(shlex.join(plan.argv))), width, at=8)
    rows += labelled("in", safe(os.path.join(plan.cwd, "")), width, at=8, role="dim")
    rows += labelled("with", safe(mask_text(env)) or "nothing of ours", width, at=8, role="dim")
    rows += labelled("torch", safe(plan.torch) or "not known", width, at=8, role="dim")
    for note in plan.notes:
        rows += labelled("note", safe(mask_text(note)), width, at=8)
    return rows
