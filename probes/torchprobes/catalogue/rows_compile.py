"""compile.*, cudagraph.* and export.*: does the compiler run compiled code, rightly, and does it help?"""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

_COMPILER = ("torch", "a C++ compiler (triton on a GPU)")

PROBES: tuple[Probe, ...] = (
    Probe("export.signature", Tier.QUICK, "Are forward() signatures readable by tools?", "signature", 60,
          needs=("torch",), warm=True, place="host"),
    Probe("export.roundtrip", Tier.STANDARD, "Does torch.export survive save, load and another process?", "export",
          180, needs=("torch",)),
    Probe("compile.toolchain", Tier.QUICK, "Can compilers, triton and the cache directory hold what compiling needs?",
          "toolchain", 60, needs=("Python",)),
    Probe("compile.default", Tier.STANDARD, "Does torch.compile run compiled code, and does it help?", "compile",
          300, {"mode": "default"}, _COMPILER, timed=True),
    Probe("compile.reduce-overhead", Tier.STANDARD, "Does reduce-overhead remove launch overhead?", "compile",
          300, {"mode": "reduce-overhead"}, _COMPILER, timed=True),
    Probe("compile.max-autotune", Tier.STANDARD, "Does max-autotune find better kernels?", "compile",
          420, {"mode": "max-autotune"}, _COMPILER, timed=True),
    Probe("cudagraph.replay", Tier.STANDARD, "Are CUDA graphs captured, replayed and right?", "cudagraph", 120,
          needs=("torch", "a CUDA device"), timed=True),
)  # fmt: skip
