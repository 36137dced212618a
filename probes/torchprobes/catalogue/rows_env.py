"""env.*: which Python is this, what is in it, and does its environment fit?"""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

PROBES: tuple[Probe, ...] = (
    Probe("env.identity", Tier.QUICK, "Which Python and PyTorch is this, and do they fit?", "identity", 60,
          needs=("Python",), place="host"),
)  # fmt: skip
