"""Cards of `env.extensions`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_COMPATIBILITY = "https://docs.nvidia.com/cuda/cuda-programming-guide/ (binary and PTX compatibility)"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENV-080",
        title="An extension holds no code for this GPU",
        why="None of its libraries has machine code that this device runs, nor PTX that the driver could compile for "
        "it: its first kernel ends in `no kernel image is available for execution on the device`. Code with the "
        "suffix `a` (sm_90a) runs on that one capability, with `f` on later minor versions of its major.",
        fix=Fix(
            command="TORCH_CUDA_ARCH_LIST=<capability> python -m pip install --force-reinstall --no-deps "
            "--no-build-isolation --no-binary :all: <package>"
        ),
        source=_COMPATIBILITY,
    ),
    Card(
        id="TD-ENV-081",
        title="An extension's kernels are compiled by the driver on first use",
        why="It holds PTX of an older architecture and no machine code for this device: it works after a long first "
        "use, without what the newer architecture could do.",
        fix=Fix(
            command="TORCH_CUDA_ARCH_LIST=<capability> python -m pip install --force-reinstall --no-deps "
            "--no-build-isolation --no-binary :all: <package>"
        ),
        source=_COMPATIBILITY,
    ),
    Card(
        id="TD-ENV-082",
        title="An extension was built for another CUDA than PyTorch",
        why="It links the CUDA runtime of another major version than the one that PyTorch brings: its import ends in "
        "`libcudart.so.N: cannot open shared object file`, or loads a second runtime beside PyTorch's.",
        fix=Fix(command="python -m pip install --force-reinstall --no-deps --no-build-isolation <package>"),
        source="ELF DT_NEEDED of the library against torch/version.py",
    ),
    Card(
        id="TD-ENV-083",
        title="Not all extension libraries could be read in time",
        why="A slow file system, or a very large environment: what was not read carries no verdict.",
        fix=Fix(command="torchdoctor check env.extensions    # again: the second time the files are cached"),
        source="measured",
    ),
)
