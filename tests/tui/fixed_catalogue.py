"""A catalogue of the size of the real one that never changes: pictures of the Probes pane are made on it."""

from __future__ import annotations

import pytest

import torchdoctor.palette
import torchdoctor.widgets.probe_rows
from torchprobes import catalogue
from torchprobes.catalogue import Probe
from torchprobes.model import Tier

ROWS = """
env        quick     identity packages jupyter wheel variables abi python extensions image
cuda       quick     driver available arch toolkits libraries
cuda       standard  cudnn
accel      standard  backends
compute    standard  gemm precision numerics bandwidth p2p sdpa launch autograd determinism
compute    full      memory
compile    quick     toolchain
compile    standard  default reduce-overhead max-autotune breaks recompiles cache workers debug
compile    full      max-autotune-no-cudagraphs transformer train entry
cudagraph  standard  replay
cudagraph  full      entry
export     quick     signature
export     standard  roundtrip modes
export     full      aoti entry
ddp        standard  init allreduce
ddp        full      training
data       standard  loader image csv
serving    standard  fastapi
system     quick     cpu disk
"""
"""group, tier, probes"""

TITLES = {
    "env.identity": "Which Python and PyTorch is this, and do they fit?",
    "compile.default": "Does torch.compile run compiled code, and does it help?",
    "compile.max-autotune": "Does max-autotune find better kernels?",
    "cudagraph.replay": "Are CUDA graphs captured, replayed and right?",
    "ddp.allreduce": "Do ranks meet, reduce rightly and fast?",
    "data.loader": "Do DataLoader workers start, keep order and leave nothing?",
}


def probes() -> tuple[Probe, ...]:
    """The rows as probes."""
    found = []
    for row in ROWS.split("\n"):
        group, tier, *names = row.split() or ("", "", "")
        found += [
            Probe(f"{group}.{name}", Tier(tier), TITLES.get(f"{group}.{name}", f"Does {name} work here?"), "x", 60,
                  needs=("torch",))
            for name in names if name
        ]  # fmt: skip
    return tuple(found)


FIXED = probes()


@pytest.fixture
def fixed_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put it in the place of the real one."""
    for module in (catalogue, torchdoctor.palette, torchdoctor.widgets.probe_rows):
        monkeypatch.setattr(module, "OFFERED", FIXED)
    monkeypatch.setattr(catalogue, "PROBES", FIXED)
