"""compile.*, cudagraph.* and export.*: does the compiler run compiled code, rightly, and does it help?"""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

_COMPILER = ("torch", "a C++ compiler (triton on a GPU)")

PROBES: tuple[Probe, ...] = (
    Probe("export.signature", Tier.QUICK, "Are forward() signatures readable by tools?", "signature", 60,
          needs=("torch",), warm=True, place="host"),
    Probe("export.roundtrip", Tier.STANDARD, "Does torch.export survive save, load and another process?", "export",
          180, needs=("torch",), helpers=True),
    Probe("export.modes", Tier.STANDARD, "Which ways to export are there, and what does each say of a refusal?",
          "export_modes", 120, needs=("torch",)),
    Probe("export.aoti", Tier.FULL, "Is a model compiled ahead of time, loaded elsewhere, and right there?", "aoti",
          300, needs=_COMPILER, helpers=True),
    Probe("compile.toolchain", Tier.QUICK, "Can compilers, triton and the cache directory hold what compiling needs?",
          "toolchain", 60, needs=("Python",), place="beside", bare=True),
    Probe("compile.default", Tier.STANDARD, "Does torch.compile run compiled code, and does it help?", "compile",
          300, {"mode": "default"}, _COMPILER, timed=True,
          helpers=True),
    Probe("compile.reduce-overhead", Tier.STANDARD, "Does reduce-overhead remove launch overhead?", "compile",
          300, {"mode": "reduce-overhead"}, _COMPILER, timed=True,
          helpers=True),
    Probe("compile.max-autotune", Tier.STANDARD, "Does max-autotune find better kernels?", "compile",
          420, {"mode": "max-autotune"}, _COMPILER, timed=True,
          helpers=True),
    Probe("compile.max-autotune-no-cudagraphs", Tier.FULL, "Does max-autotune help where CUDA graphs cannot be used?",
          "compile", 420, {"mode": "max-autotune-no-cudagraphs"}, _COMPILER, timed=True,
          helpers=True),
    Probe("compile.transformer", Tier.FULL, "Is a transformer compiled rightly, and does it help?", "steps", 420,
          {"model": "transformer"}, _COMPILER, timed=True),
    Probe("compile.train", Tier.FULL, "Is a training step compiled, its backward too, with right gradients?", "steps",
          600, {"model": "train"}, _COMPILER, timed=True),
    Probe("compile.breaks", Tier.STANDARD, "Does this stack tell where a graph breaks, and what helps?", "breaks", 120,
          needs=("torch",)),
    Probe("compile.recompiles", Tier.STANDARD, "How often is one function compiled anew, and is it told why?",
          "recompiles", 120, needs=("torch",)),
    Probe("compile.cache", Tier.FULL, "Does a second process find what the first one compiled?", "cache", 500,
          needs=_COMPILER, helpers=True),
    Probe("compile.workers", Tier.FULL, "Does compiling work in threads, forks and DataLoader workers?", "workers", 600,
          needs=_COMPILER, helpers=True),
    Probe("compile.debug", Tier.FULL, "Does TORCH_COMPILE_DEBUG=1 leave something to read?", "debug_preset", 240,
          needs=_COMPILER, helpers=True),
    Probe("cudagraph.replay", Tier.STANDARD, "Are CUDA graphs captured, replayed and right?", "cudagraph", 120,
          needs=("torch", "a CUDA device"), timed=True),
)  # fmt: skip
