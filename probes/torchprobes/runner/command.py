"""What runs in the target: the one hook by which a kind of launch (plain, torchrun) says its command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from torchprobes.catalogue import Probe
from torchprobes.model import Frozen, Target


class Plan(Frozen, frozen=True, kw_only=True):
    """The places of one probe as the target sees them.

    Behind a launcher prefix they lie below a folder that exists only over there; a token stands for it, here and
    in whatever a command is built from. `payloads` is the folder of all payload files. `gpus` are the UUIDs that
    the probe may use, in the order of `cuda:0`, `cuda:1` …, empty on a CPU.
    """

    python: str
    bootstrap: str
    payload: str
    request: str
    events: str
    artifacts: str
    compile_dir: str
    payloads: str
    device: str
    gpus: tuple[str, ...] = ()


class Command(Frozen, frozen=True, kw_only=True):
    """What to run: `argv` beginning with the plan's python, and what to add to the environment.

    With `ranks` 0 the main process says the end of the probe; with N, each of N ranks says its own, and the probe
    has ended when all have. Files that `argv` names lie in the plan's `payloads`.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = msgspec.field(default_factory=dict)
    ranks: int = 0


CommandBuilder = Callable[[Probe, Target, Mapping[str, Any], Plan], Command]
"""(probe, target, request, plan) -> command; `request` is what request.json will hold."""


def plain(_probe: Probe, _target: Target, _request: Mapping[str, Any], plan: Plan) -> Command:
    """The payload in one process."""
    return Command(argv=(plan.python, "-B", plan.bootstrap, plan.payload))


PLAIN: Mapping[str, CommandBuilder] = {"plain": plain}
