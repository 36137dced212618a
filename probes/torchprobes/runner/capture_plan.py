"""The plan of a capture: from what a person asked to the exact command and environment that will run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from torchprobes import child
from torchprobes.compilelog import switches
from torchprobes.masking import mask_text

from . import capture_command

NAMES_S: Final = 8.0
"""Within which an interpreter must say where its torch lies."""


class CaptureError(Exception):
    """The capture cannot be; the text is one line with what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for."""

    words: tuple[str, ...]
    switches: str = switches.DEFAULT
    cwd: str = ""
    python: str = ""
    """The interpreter for a Python file, and whose torch it is where the command does not show that."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run, exactly; made before there is a run directory, whose path stands in it once it is known."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    """What is set over the person's own environment."""
    python: str = ""
    torch: str = ""
    switches: str = ""
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The line that a person would type in a shell for the same, without secrets."""
        return mask_text(capture_command.shown(self.cwd, self.env, self.argv))


def plan(asked: Request, folder: str, environ: Mapping[str, str]) -> Plan:
    """What will run for a capture into `folder`. The interpreter is asked in a child where its torch lies.

    Raises:
        CaptureError: there is no such command, or folder.
        switches.SwitchError: a switch that cannot be had.
    """
    if not asked.words or not asked.words[0]:
        raise CaptureError("no command: it goes after `--`, such as `torchdoctor capture -- python train.py`")
    cwd = asked.cwd or os.getcwd()
    if not os.path.isdir(cwd):
        raise CaptureError(f"there is no folder {cwd}")
    command = capture_command.read(asked.words, environ, cwd).run_by(asked.python)
    if command.needs_python:
        raise CaptureError(f"{asked.words[0]} needs an interpreter: name one, or begin with `python`")
    if why := capture_command.program_missing(command, environ, cwd):
        raise CaptureError(why)
    torch, notes = torch_of(command.python or asked.python, cwd)
    chosen = switches.choose(asked.switches, torch)
    notes = notes if chosen.logs else ()  # they say which names there can be
    logged = command.logging_ranks(os.path.join(folder, "ranks"))
    if logged.argv != command.argv:
        notes = (*notes, "each rank writes into a file of its own: --log-dir and --redirects=3 are added to torchrun")
    return Plan(
        argv=logged.argv, cwd=cwd, env=switches.variables(chosen, folder, environ), python=command.python,
        torch=torch.version, switches=asked.switches, notes=(*notes, *chosen.notes, *switches.theirs(environ)),
    )  # fmt: skip


def torch_of(python: str, cwd: str, deadline_s: float = NAMES_S) -> tuple[switches.Torch, tuple[str, ...]]:
    """The torch that an interpreter would import, and what a person should know of it."""
    if not python:
        why = "which Python it runs cannot be seen: only switches that every torch since 2.1 knows (--python names it)"
        return switches.Torch(), (why,)
    arguments = {"path": python, "cwd": cwd, "deadline_s": deadline_s}
    try:
        found = child.ask("torch-names", arguments, deadline_s + 1)
    except (child.Hung, child.ChildFailed) as error:
        return switches.Torch(), (f"the version of torch is not known: {error}",)
    if not found:
        return switches.Torch(), (f"there is no torch in {python}",)
    return switches.Torch(str(found["version"]), frozenset(map(str, found["names"]))), ()
