"""cuda.* and accel.*: driver, toolkits, libraries and devices, and whether a kernel runs on them."""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

PROBES: tuple[Probe, ...] = (
    Probe("cuda.driver", Tier.QUICK, "Does the NVIDIA driver answer, and is it new enough?", "cuda_driver", 60,
          needs=("Python",), place="host", bare=True),
    Probe("cuda.available", Tier.QUICK, "Can this PyTorch use CUDA here, and if not, why?", "cuda_available", 90,
          needs=("torch",), warm=True),
    Probe("cuda.arch", Tier.QUICK, "Does this PyTorch hold code for these GPUs?", "cuda_arch", 90,
          needs=("torch", "a CUDA device"), warm=True),
    Probe("cuda.toolkits", Tier.QUICK, "Which CUDA toolkits are here, and which would a build take?",
          "cuda_toolkits", 60, needs=("Python",), place="host", bare=True),
    Probe("cuda.libraries", Tier.STANDARD, "Which copies of CUDA's libraries are loaded, and from where?",
          "cuda_libraries", 120, needs=("torch for CUDA",)),
    Probe("cuda.cudnn", Tier.STANDARD, "Is cuDNN the right one, and are its convolutions right?", "cuda_cudnn", 120,
          needs=("torch",), timed=True),
    Probe("accel.backends", Tier.STANDARD, "Which accelerators can this PyTorch use, and do they answer?", "accel", 120,
          needs=("torch",)),
)  # fmt: skip
