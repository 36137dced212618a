"""What a row of the catalogue is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..model import Tier

Launch = Literal["plain", "torchrun"]

Place = Literal["device", "host", "beside"]
"""Where a probe runs: on the device that was chosen; on the host alone, whatever works on the GPUs; or beside the
device: it asks about it, uses nothing of it, and so runs also where others are on every GPU."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question answered by running code in the target.

    `payload` is the file's stem in `payloads/`, `params` go to it as they are. `limit_s` is the time limit after
    `import torch`. A `timed` probe measures wall time on the CPU when it runs there, and then runs alone; an `alone`
    one takes so much of the machine that nothing may run beside it, and comes last. `needs` are words for people
    ("a C++ compiler"), shown by `list`. A `warm` probe may start from a process that has torch imported already.
    A `bare` one imports no torch and starts from an interpreter that is there already, also where torch is broken.
    `gpus` is how many idle GPUs it needs at once; with fewer it is skipped, never run on half of what it asks about.
    With `helpers` it starts further processes that use the device beside it, which a GPU in exclusive mode refuses.
    An `entry` probe looks at the user's own model and belongs to a check only where `--entry` names one, a `graph`
    probe at a graph that torch.compile wrote, where `--graph` names its file.
    """

    name: str
    tier: Tier
    title: str
    payload: str
    limit_s: float
    params: Mapping[str, object] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    timed: bool = False
    launch: Launch = "plain"
    warm: bool = False
    place: Place = "device"
    alone: bool = False
    gpus: int = 1
    bare: bool = False
    helpers: bool = False
    entry: bool = False
    graph: bool = False

    @property
    def group(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]
