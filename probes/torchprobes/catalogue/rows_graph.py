"""One graph of a torch.compile run, alone: `check graph.run --graph FILE`."""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

_NEEDS = ("torch", "--graph FILE", "a C++ compiler (triton on a GPU)", "the device that the graph names")

PROBES: tuple[Probe, ...] = (
    Probe("graph.run", Tier.FULL, "Does this graph compile here, is it right, and does it help?", "graph_run", 900,
          needs=_NEEDS, timed=True, graph=True),
)  # fmt: skip
