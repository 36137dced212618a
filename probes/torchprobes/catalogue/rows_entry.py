"""The user's own model under the compiler, torch.export and CUDA graphs: `check compile --entry MODULE:F`."""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

_ENTRY = ("torch", "--entry MODULE:F or PATH.py:F")

PROBES: tuple[Probe, ...] = (
    Probe("compile.entry", Tier.FULL, "How much of this model is compiled, is it right, and does it help?",
          "entry_compile", 900, needs=(*_ENTRY, "a C++ compiler (triton on a GPU)"), timed=True, entry=True),
    Probe("export.entry", Tier.FULL, "Can this model be exported, and does the program answer alike?", "entry_export",
          600, needs=_ENTRY, entry=True),
    Probe("cudagraph.entry", Tier.FULL, "Can a step of this model be captured, and does replaying it help?",
          "entry_cudagraph", 300, needs=(*_ENTRY, "a CUDA device"), timed=True, entry=True),
)  # fmt: skip
