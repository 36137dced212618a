"""The form that launches a job: fields, switches, the command that they come to, and what stands in its way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from textual.binding import Binding, BindingType

from .command_form import MOVES, CommandForm
from .launch_planner import LaunchPlanner
from .paint import Line, fit, join, line
from .text import safe
from .widgets.launch_rows import launch_page
from .widgets.toggles import Toggle

if TYPE_CHECKING:
    from .job_source import JobSource
    from .panes.base import Console

VALUES: Final = {"torch_logs": "recompiles,graph_breaks", "nccl_debug": "INFO", "distributed_debug": "INFO"}
"""What a switch sets that is more than on."""


class LaunchForm(CommandForm[LaunchPlanner]):
    """Its answer is the run directory of the job that was launched, None if none was."""

    CSS = CommandForm.CSS + "LaunchForm #field-ranks { width: 14; }"
    FIELDS = (
        ("script", "script", "train.py, or -m and a module"),
        ("arguments", "arguments", "what comes after the script"),
        ("ranks", "ranks", "2, gpu or auto"),
        ("torchrun", "torchrun", "more options: --nnodes 2 --rdzv-endpoint node0:29400"),
    )
    FIELD_HELP: ClassVar = {
        "script": "a path, or -m and a module: torchrun runs it in each rank",
        "arguments": "handed to the script as they are, quoted as in a shell",
        "ranks": "processes of this node: --nproc-per-node",
        "torchrun": "any option of torchrun but --log-dir and --rdzv-id",
    }
    SWITCHES = (
        Toggle("inject", "inject", "stacks on a signal, a worker server and a heartbeat in each rank", on=True),
        Toggle("ddp", "DDP probe instead", "the built-in distributed probe in place of a script"),
        Toggle("alone", "starts its own ranks", "no torchrun: for mp.spawn, accelerate launch, deepspeed"),
        Toggle("compile_debug", "compile debug", "TORCH_COMPILE_DEBUG=1 and TORCH_TRACE, into the run directory"),
        Toggle("torch_logs", "TORCH_LOGS", "TORCH_LOGS=recompiles,graph_breaks"),
        Toggle("nccl_debug", "NCCL_DEBUG", "NCCL_DEBUG=INFO, a file a rank in the run directory"),
        Toggle(
            "distributed_debug", "DISTRIBUTED_DEBUG", "TORCH_DISTRIBUTED_DEBUG=INFO; DETAIL itself can hang the start"
        ),
    )
    START = ("Launch", "launch")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+enter", "launch", "Launch", key_display="F5", id="launch.go", tooltip="Launch it"),
        *MOVES,
        Binding("escape", "leave", "Cancel", id="launch.leave", tooltip="Launch nothing"),
    ]

    def __init__(self, source: JobSource, console: Console, last: Mapping[str, Any]) -> None:
        super().__init__(console, last, LaunchPlanner(source))
        self._warned_of: Mapping[str, Any] | None = None
        """The form of which it was said that it would fail."""

    @property
    def _warned(self) -> bool:
        return self._warned_of is self._asked

    def form(self) -> dict[str, Any]:
        """The form as the desk reads it."""
        switches = {name: VALUES.get(name, True) if on else "" for name, on in self.toggles.values.items()}
        snapshot = self._home.sources.snapshot()
        target, sample = snapshot.target, snapshot.sample
        return {
            **self.fields(), **switches, "cwd": os.getcwd(), "as_root": self._home.settings.as_root,
            "target": msgspec.to_builtins(target) if target is not None else None,
            "gpus": len(sample.gpus) if sample is not None and sample.gpus else None,
        }  # fmt: skip

    def last(self) -> dict[str, Any]:
        """What was filled in, for the next time."""
        return {name: value for name, value in self.form().items() if name not in ("cwd", "target", "as_root", "gpus")}

    def names_something(self, form: Mapping[str, Any]) -> bool:
        """A script is named, or the built-in probe is wanted."""
        return bool(str(form["script"]).strip() or form["ddp"])

    def stamp(self) -> object:
        """What was answered, and whether it was warned of."""
        return (self.planner.answers, self._warned)

    def draw(self) -> None:
        """The command, and what stands in its way."""
        self.title_rows.show(_title(self._home, self.size.width), ())
        self.hint.show(line((self._hint(), "warn" if self._warned or self.planner.starting else "dim")))
        self.lines.show(launch_page(self.planner.answers, self.size.width - 2))

    def _hint(self) -> str:
        if self.planner.starting:
            return "launching …"
        return "it would fail; once more launches it all the same" if self._warned else self.field_help()

    def action_launch(self) -> None:
        """Start it, unless its command cannot be; asked twice where pre-flight found what would make it fail."""
        answers = self.planner.answers
        if self.planner.starting or answers.plan is None:
            return
        if answers.critical and not self._warned:
            self._warned_of = self._asked
        else:
            self.planner.start(self.form())
        self.refresh_data()


def _title(console: Console, width: int) -> Line:
    snapshot = console.sources.snapshot()
    target = snapshot.target
    said = (
        join((f"torch {target.torch}" if target.torch else "no torch", target.python))
        if target
        else snapshot.target_note
    )
    return line(("  Launch a distributed job", "title"), (fit("   " + safe(said), max(0, width - 26)), "dim"))
