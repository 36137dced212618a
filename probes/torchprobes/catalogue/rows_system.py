"""ddp.*, data.*, serving.* and system.*: ranks, data, a server, and the machine around them."""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

PROBES: tuple[Probe, ...] = (
    Probe("ddp.allreduce", Tier.STANDARD, "Do ranks meet, reduce rightly and fast?", "ddp", 180,
          needs=("torch", "2 ranks"), timed=True, launch="torchrun"),
    Probe("data.loader", Tier.STANDARD, "Do DataLoader workers start, keep order and leave nothing?", "dataloader",
          180, needs=("torch",), timed=True, place="host"),
)  # fmt: skip
