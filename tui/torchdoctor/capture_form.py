"""The form that starts a capture: a command, its folder, the switches, and exactly what will run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input

from .capture_planner import CapturePlanner, Planned
from .paint import BLANK, Line, Page, labelled, line
from .signs import RUNNING
from .text import safe
from .widgets.bars import Keys, Rows
from .widgets.form import Field, Go, field_label
from .widgets.lines import Lines
from .widgets.toggles import Toggle, Toggles

if TYPE_CHECKING:
    from torchprobes.runner.capture_plan import Plan

    from .panes.base import Console

POLL_S: Final = 0.1
ROOMY: Final = 24
"""From so many rows on there are blank lines."""

FIELDS: Final = (
    ("command", "command", "python train.py --lr 3e-4, torchrun …, sh run.sh"),
    ("folder", "folder", "where it runs; empty for this one"),
    ("names", "TORCH_LOGS", "more names: guards,output_code,+dynamo"),
)
"""Name, label, what is shown while it is empty."""

HELP: Final = {
    "command": "as in a shell; a Python file alone, or -m and a module, gets the target's interpreter",
    "folder": "its working directory",
    "names": "beside those of the switches; a name that this torch lacks is refused",
}

SWITCHES: Final = (
    Toggle("default", "breaks and hints", "TORCH_LOGS: graph_breaks, recompiles, perf_hints, cudagraphs", on=True),
    Toggle("debug", "compile debug", "TORCH_COMPILE_DEBUG=1: graphs, IR and code of every compile as files"),
    Toggle("full", "everything", "all that Dynamo and Inductor say: up to 26 % slower, megabytes of text"),
)
"""Beside the structured trace, which is always there."""


class CaptureForm(ModalScreen["str | None"]):
    """Its answer is the run directory of the capture that was started, None if none was."""

    CSS = """
    CaptureForm { background: $background; }
    CaptureForm > Container { width: 100%; height: 100%; background: $background; }
    CaptureForm Horizontal { height: 1; }
    CaptureForm .label { width: 13; background: $background; }
    CaptureForm #form-title { height: 2; background: $background; }
    CaptureForm #form-hint { margin: 0; background: $background; }
    CaptureForm #form-lines { height: 1fr; }
    CaptureForm.-roomy #form-switches, CaptureForm.-roomy #form-start { margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+enter", "capture", "Capture", key_display="F5", id="capture.go", tooltip="Start it"),
        Binding("tab", "app.focus_next", "Next field", priority=True, id="form.next", tooltip="The next field"),
        Binding("shift+tab", "app.focus_previous", "Field before", show=False, priority=True, id="form.previous",
                tooltip="The field before"),
        Binding("escape", "leave", "Cancel", id="capture.leave", tooltip="Start nothing"),
    ]  # fmt: skip

    def __init__(self, console: Console, last: Mapping[str, Any]) -> None:
        super().__init__()
        self._home = console
        self._last = dict(last)
        self.planner = CapturePlanner(console.settings.out)
        self.lines = Lines(id="form-lines")
        self.hint, self.title_rows = Rows(id="form-hint"), Rows(id="form-title")
        switches = [Toggle(t.name, t.text, t.does, bool(last.get(t.name, t.on))) for t in SWITCHES]
        self.toggles = Toggles(switches, 3, id="form-switches")
        self._asked: Mapping[str, Any] = {}
        self._shown: object = None

    # --- parts -----------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Fields, switches, what they come to, keys."""
        with Container():
            yield self.title_rows
            for name, label, hint in FIELDS:
                with Horizontal():
                    yield field_label(label)
                    yield Field(name, str(self._last.get(name, "")), hint)
            yield self.toggles
            with Horizontal(id="form-start"):
                yield Go("Capture", "capture", id="form-capture")
                yield self.hint
            yield self.lines
            yield Keys(id="form-keys")

    def on_mount(self) -> None:
        """Look for answers while it is open; nobody waits for them."""
        self.set_interval(POLL_S, self.refresh_data)
        self._ask()
        self.refresh_data()

    def on_unmount(self) -> None:
        """Nobody asks any more."""
        self.planner.stop()

    def on_resize(self) -> None:
        """Lay out anew."""
        self._shown = None
        self.set_class(self.size.height >= ROOMY, "-roomy")
        self.call_after_refresh(self.refresh_data)

    # --- what is asked ---------------------------------------------------------------------------------------------

    def form(self) -> dict[str, Any]:
        """The form as the desk reads it."""
        target = self._home.sources.snapshot().target
        usable = target is not None and not target.prefix and (not target.refusal or self._home.settings.as_root)
        return {**self.last(), "python": target.python if target is not None and usable else ""}

    def last(self) -> dict[str, Any]:
        """What was filled in, for the next time."""
        return {**{field.name or "": field.value for field in self.query(Field)}, **self.toggles.values}

    def _ask(self) -> None:
        form = self.form()
        if form == self._asked:
            return
        self._asked = form
        if form["command"].strip():
            self.planner.ask(form)
        else:
            self.planner.forget()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another form."""
        event.stop()
        self._ask()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The next field."""
        event.stop()
        self.focus_next()

    def on_toggles_changed(self) -> None:
        """Another form, or another switch under the cursor."""
        self._ask()
        self.refresh_data()

    # --- what is shown ---------------------------------------------------------------------------------------------

    def refresh_data(self) -> None:
        """What was planned, and what the field with the keys is for."""
        if self.planner.run:
            if self.is_current:  # a last tick may come when it is closed already
                self.dismiss(self.planner.run)
            return
        self._ask()  # the target may have been found meanwhile
        planned, focused = self.planner.planned, self.focused
        stamp = (planned, focused, self.toggles.at, self.planner.starting, self._asked, self.size)
        if stamp == self._shown or not self.size.width:
            return
        self._shown = stamp
        self.title_rows.show(
            line(("  Capture a command", "title"), ("   with what torch.compile says of it", "dim")), ()
        )
        self.hint.show(line((self._hint(), "warn" if self.planner.starting else "dim")))
        self.lines.show(self._page(planned))

    def _page(self, planned: Planned) -> Page:
        if not self._asked.get("command", "").strip():
            return Page(
                [BLANK, line(("  name a command; it ends with this console, unless it has ended before", "dim"))]
            )
        if planned.form is not self._asked:
            return Page([BLANK, line((f"  {RUNNING[0]} looking which torch it runs", RUNNING[1]))])
        return capture_page(planned, self.size.width - 2)

    def _hint(self) -> str:
        if self.planner.starting:
            return "starting …"
        focused = self.focused
        if isinstance(focused, Field):
            return HELP.get(focused.name or "", "")
        return self.toggles.here.does if focused is self.toggles else ""

    def on_descendant_focus(self) -> None:
        """Another field has the keys."""
        self.call_after_refresh(self.refresh_data)

    # --- the end ---------------------------------------------------------------------------------------------------

    def action_capture(self) -> None:
        """Start what is shown, unless it cannot be."""
        planned = self.planner.planned
        if not self.planner.starting and planned.plan is not None and planned.form is self._asked:
            self.planner.start(planned.form)
        self.refresh_data()

    def action_leave(self) -> None:
        """Start nothing."""
        self.dismiss(None)


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
