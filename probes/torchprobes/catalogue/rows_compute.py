"""compute.*: right numbers at the speed that the device is sold for."""

from __future__ import annotations

from ..model import Tier
from .probe import Probe

PROBES: tuple[Probe, ...] = (
    Probe("compute.gemm", Tier.STANDARD, "Are matrix products right, and as fast as this device should be?", "gemm",
          120, needs=("torch",), timed=True, warm=True),
    Probe("compute.precision", Tier.STANDARD, "In which precision does float32 really multiply here?", "precision",
          60, needs=("torch",), timed=True),
    Probe("compute.numerics", Tier.STANDARD, "Are basic operations right in every number format?", "numerics", 60,
          needs=("torch",), warm=True),
    Probe("compute.bandwidth", Tier.STANDARD, "Do bytes move as fast as this device's memory and link allow?",
          "bandwidth", 60, needs=("torch",), timed=True, warm=True),
    Probe("compute.p2p", Tier.STANDARD, "Do bytes arrive unchanged from one GPU at another, and how fast?", "p2p", 90,
          needs=("torch", "2 GPUs"), timed=True, gpus=2),
    Probe("compute.sdpa", Tier.STANDARD, "Which attention kernels run here, and does PyTorch take a fused one?", "sdpa",
          90, needs=("torch",), timed=True),
    Probe("compute.autograd", Tier.STANDARD, "Are gradients right, finite and all there?", "autograd", 90,
          needs=("torch",), warm=True),
    Probe("compute.determinism", Tier.STANDARD, "Does the same seed give the same bits?", "determinism", 90,
          needs=("torch",), warm=True),
    Probe("compute.launch", Tier.STANDARD, "What does it cost to launch a kernel?", "launch", 60, needs=("torch",),
          timed=True, warm=True),
    Probe("compute.memory", Tier.FULL, "Does GPU memory come back after it ran out?", "memory", 90,
          needs=("torch", "a CUDA device"), alone=True),
)  # fmt: skip
