"""env.*: which Python is this, what is in it, and does its environment fit?"""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

_PYTHON = ("Python",)

PROBES: tuple[Probe, ...] = (
    Probe("env.identity", Tier.QUICK, "Which Python and PyTorch is this, and do they answer?", "identity", 60,
          needs=_PYTHON, place="host", warm=True),
    Probe("env.packages", Tier.QUICK, "Is there one PyTorch, with what it requires?", "packages", 60,
          needs=_PYTHON, place="host", bare=True),
    Probe("env.jupyter", Tier.QUICK, "Have Jupyter's kernels the terminal's PyTorch?", "jupyter", 60,
          needs=_PYTHON, place="host", bare=True),
    Probe("env.wheel", Tier.QUICK, "Was this PyTorch built for this node's devices?", "wheel", 60,
          needs=_PYTHON, place="host", bare=True),
    Probe("env.variables", Tier.QUICK, "Do environment variables slow it down or change answers?", "variables", 60,
          needs=_PYTHON, place="host", bare=True),
    Probe("env.abi", Tier.QUICK, "Do numpy and OpenCV fit this PyTorch and system?", "abi", 60,
          needs=("torch",), warm=True, place="host"),
    Probe("env.python", Tier.QUICK, "Does this PyTorch know this Python?", "python_support", 60,
          needs=_PYTHON, place="host", bare=True),
    Probe("env.extensions", Tier.QUICK, "Are compiled extensions built for these GPUs?", "extensions", 60,
          needs=_PYTHON, place="host", bare=True),
    Probe("env.libraries", Tier.QUICK, "Which libraries are loaded, each once and its own?", "env_libraries", 60,
          needs=("torch",), warm=True),
    Probe("env.image", Tier.QUICK, "Is the image lean, and of this machine's kind?", "hygiene", 60,
          needs=_PYTHON, place="host", bare=True),
)  # fmt: skip
