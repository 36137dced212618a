"""Cards of `cudagraph.*`."""

from __future__ import annotations

from ...model import Fix
from .base import Card

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-CGR-001",
        title="CUDA graph capture or replay raised an error",
        why="Capturing plain layers must work with any driver that this PyTorch supports. The whole traceback is an "
        "artifact of this probe.",
        fix=Fix(command="TORCH_CPP_LOG_LEVEL=INFO CUDA_LAUNCH_BLOCKING=0 python <your script>"),
        source="https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs",
    ),
    Card(
        id="TD-CGR-002",
        title="A replayed CUDA graph gives wrong numbers",
        why="The input was changed in place and the output overwritten with NaN before the replay. A replay that is "
        "sound reads the new input and writes every number of the output.",
        fix=Fix(command="torchdoctor gpus    # ECC errors and XIDs first; then another driver"),
        source="measured",
    ),
    Card(
        id="TD-CGR-003",
        title="Replays and launched graphs do not agree",
        why="The profiler should see one cudaGraphLaunch for every replay.",
        source="torch.profiler (CUPTI)",
    ),
    Card(
        id="TD-CGR-004",
        title="Whether CUDA graphs were launched could not be read",
        why="The replay gave the right numbers, but the profiler saw no driver call, so nothing shows that a graph did "
        "it.",
        fix=Fix(command="python -c 'import torch; print(torch.profiler.supported_activities())'"),
        source="torch.profiler (CUPTI)",
    ),
    Card(
        id="TD-CGR-005",
        title="CUDA graphs bring no gain on a launch-bound model",
        why="72 small kernels cost a launch each in eager and one launch in all as a graph: on a sound node the graph "
        "is several times faster.",
        fix=Fix(command="torchdoctor gpus    # clocks, throttling and others' work on this GPU come first"),
        source="measured on an H200: 0.84 ms eager, 0.18 ms as a graph",
    ),
    Card(
        id="TD-CGR-006",
        title="Too noisy to tell whether CUDA graphs help",
        why="Eager and replay were timed in turns, and the 95 % interval of their ratio is too wide for an answer.",
        fix=Fix(command="torchdoctor check cudagraph    # again, on an idle machine"),
        source="measured",
    ),
    Card(
        id="TD-CGR-007",
        title="torch.cuda.make_graphed_callables raised an error",
        why="Capture by hand works, but forward and backward of a module could not be captured for training.",
        fix=Fix(command="python -m pip install --upgrade torch"),
        source="https://pytorch.org/docs/stable/generated/torch.cuda.make_graphed_callables.html",
    ),
)
