"""The form that launches a job: fields, switches, the command that they come to, and what stands in its way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.screen import ModalScreen
from textual.widgets import Input

from .launch_planner import Planner
from .paint import Line, fit, join, line
from .text import safe
from .widgets.bars import Keys, Rows
from .widgets.form import Field, Go, field_label
from .widgets.launch_rows import Answers, launch_page
from .widgets.lines import Lines
from .widgets.toggles import Toggle, Toggles

if TYPE_CHECKING:
    from .job_source import JobSource
    from .panes.base import Console

POLL_S: Final = 0.1
ROOMY: Final = 24
"""From so many rows on there are blank lines."""

FIELDS: Final = (
    ("script", "script", "train.py, or -m and a module"),
    ("arguments", "arguments", "what comes after the script"),
    ("ranks", "ranks", "2, gpu or auto"),
    ("torchrun", "torchrun", "more options: --nnodes 2 --rdzv-endpoint node0:29400"),
)
"""Name, label, what is shown while it is empty."""

HELP: Final = {
    "script": "a path, or -m and a module: torchrun runs it in each rank",
    "arguments": "handed to the script as they are, quoted as in a shell",
    "ranks": "processes of this node: --nproc-per-node",
    "torchrun": "any option of torchrun but --log-dir and --rdzv-id",
}

SWITCHES: Final = (
    Toggle("inject", "inject", "stacks on a signal, a worker server and a heartbeat in each rank", on=True),
    Toggle("ddp", "DDP probe instead", "the built-in distributed probe in place of a script"),
    Toggle("alone", "starts its own ranks", "no torchrun: for mp.spawn, accelerate launch, deepspeed"),
    Toggle("compile_debug", "compile debug", "TORCH_COMPILE_DEBUG=1 and TORCH_TRACE, into the run directory"),
    Toggle("torch_logs", "TORCH_LOGS", "TORCH_LOGS=recompiles,graph_breaks"),
    Toggle("nccl_debug", "NCCL_DEBUG", "NCCL_DEBUG=INFO, a file a rank in the run directory"),
    Toggle("distributed_debug", "DISTRIBUTED_DEBUG", "TORCH_DISTRIBUTED_DEBUG=INFO; DETAIL itself can hang the start"),
)
VALUES: Final = {"torch_logs": "recompiles,graph_breaks", "nccl_debug": "INFO", "distributed_debug": "INFO"}
"""What a switch sets that is more than on."""


class LaunchForm(ModalScreen["str | None"]):
    """Its answer is the run directory of the job that was launched, None if none was."""

    CSS = """
    LaunchForm { background: $background; }
    LaunchForm > Container { width: 100%; height: 100%; background: $background; }
    LaunchForm Horizontal { height: 1; }
    LaunchForm .label { width: 13; background: $background; }
    LaunchForm #form-title { height: 2; background: $background; }
    LaunchForm #form-hint { margin: 0; background: $background; }
    LaunchForm #field-ranks { width: 14; }
    LaunchForm #form-lines { height: 1fr; }
    LaunchForm.-roomy #form-switches, LaunchForm.-roomy #form-start { margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+enter", "launch", "Launch", key_display="F5", id="launch.go", tooltip="Launch it"),
        Binding("tab", "app.focus_next", "Next field", priority=True, id="form.next", tooltip="The next field"),
        Binding("shift+tab", "app.focus_previous", "Field before", show=False, priority=True, id="form.previous",
                tooltip="The field before"),
        Binding("escape", "leave", "Cancel", id="launch.leave", tooltip="Launch nothing"),
    ]  # fmt: skip

    def __init__(self, source: JobSource, console: Console, last: Mapping[str, Any]) -> None:
        super().__init__()
        self._home = console
        self._last = dict(last)
        self.planner = Planner(source)
        self.lines = Lines(id="form-lines")
        self.hint, self.title_rows = Rows(id="form-hint"), Rows(id="form-title")
        switches = [Toggle(t.name, t.text, t.does, bool(last.get(t.name, t.on))) for t in SWITCHES]
        self.toggles = Toggles(switches, 3, id="form-switches")
        self._asked: Mapping[str, Any] = {}
        self._shown: object = None
        self._warned = False

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
                yield Go("Launch", "launch", id="form-launch")
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
        fields = {field.name or "": field.value for field in self.query(Field)}
        switches = {name: VALUES.get(name, True) if on else "" for name, on in self.toggles.values.items()}
        snapshot = self._home.sources.snapshot()
        target, sample = snapshot.target, snapshot.sample
        return {
            **fields, **switches, "cwd": os.getcwd(), "as_root": self._home.settings.as_root,
            "target": msgspec.to_builtins(target) if target is not None else None,
            "gpus": len(sample.gpus) if sample is not None and sample.gpus else None,
        }  # fmt: skip

    def last(self) -> dict[str, Any]:
        """What was filled in, for the next time."""
        return {name: value for name, value in self.form().items() if name not in ("cwd", "target", "as_root", "gpus")}

    def _ask(self) -> None:
        form = self.form()
        if form == self._asked:
            return
        self._asked, self._warned = form, False
        if str(form["script"]).strip() or form["ddp"]:
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
        """What the desk answered, and what the field with the keys is for."""
        if self.planner.run:
            if self.is_current:  # a last tick may come when it is closed already
                self.dismiss(self.planner.run)
            return
        self._ask()  # the target may have been found meanwhile
        answers, focused = self.planner.answers, self.focused
        stamp = (answers, focused, self.toggles.at, self.planner.launching, self._warned, self.size)
        if stamp == self._shown or not self.size.width:
            return
        self._shown = stamp
        self.title_rows.show(_title(self._home, self.size.width), ())
        self.hint.show(line((self._hint(answers), "warn" if self._warned or self.planner.launching else "dim")))
        self.lines.show(launch_page(answers, self.size.width - 2))

    def _hint(self, answers: Answers) -> str:
        if self.planner.launching:
            return "launching …"
        if self._warned:
            return "it would fail; once more launches it all the same"
        focused = self.focused
        if isinstance(focused, Field):
            return HELP.get(focused.name or "", "")
        return self.toggles.here.does if focused is self.toggles else ""

    def on_descendant_focus(self) -> None:
        """Another field has the keys."""
        self.call_after_refresh(self.refresh_data)

    # --- the end ---------------------------------------------------------------------------------------------------

    def action_launch(self) -> None:
        """Start it, unless its command cannot be; asked twice where pre-flight found what would make it fail."""
        answers = self.planner.answers
        if self.planner.launching or answers.plan is None:
            return
        if answers.critical and not self._warned:
            self._warned = True
        else:
            self.planner.launch(self.form())
        self.refresh_data()

    def action_leave(self) -> None:
        """Launch nothing."""
        self.dismiss(None)


def _title(console: Console, width: int) -> Line:
    snapshot = console.sources.snapshot()
    target = snapshot.target
    said = (
        join((f"torch {target.torch}" if target.torch else "no torch", target.python))
        if target
        else snapshot.target_note
    )
    return line(("  Launch a distributed job", "title"), (fit("   " + safe(said), max(0, width - 26)), "dim"))
