"""Cards of a graph run alone: 00x compiler and answers, 01x not to be judged, 02x gain, 03x what was left out."""

from __future__ import annotations

from ...model import Fix
from .base import Card

_ALONE = "torchdoctor check graph.run --graph FILE"
_REPORT = "https://pytorch.org/docs/stable/torch.compiler_troubleshooting.html"

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-GRF-001",
        title="The compiler cannot compile this graph",
        why="The same graph raises here as it did, or would have, in the job: without the model, without its "
        "data. What it raised names the operator. Everything that a maintainer needs is in the file.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=aot python TRAIN.py    # makes it smaller; then report it"),
        source=_REPORT,
    ),
    Card(
        id="TD-GRF-002",
        title="The compiled graph raises",
        why="It was compiled, and its first call raised what eager does not: a size assertion, an illegal access, a "
        "kernel that cannot be launched on this device.",
        fix=Fix(command=f"CUDA_LAUNCH_BLOCKING=1 TORCHINDUCTOR_SIZE_ASSERTS=1 {_ALONE}"),
        source=_REPORT,
    ),
    Card(
        id="TD-GRF-003",
        title="The compiled graph answers otherwise than eager",
        why="From the same random inputs the compiled graph is further from the truth than rounding, or what eager "
        "runs differ by, can explain. The truth is the graph in float64, where it can be run so.",
        fix=Fix(command=f"TORCHINDUCTOR_EMULATE_PRECISION_CASTS=1 {_ALONE}    # rounds as eager does; then report it"),
        source="measured; torch/_dynamo/utils.py (same)",
    ),
    Card(
        id="TD-GRF-010",
        title="The file cannot be loaded here",
        why="Its program raised before there was a graph: it was written by another torch, or its inputs are described "
        "by symbols that it does not define.",
        fix=Fix(command=f"{_ALONE} --python PY    # with the torch that the file names in `# torch version`"),
        source="measured",
    ),
    Card(
        id="TD-GRF-011",
        title="The graph raises in eager on random inputs",
        why="No data of the job is in the file. A graph that indexes, asserts or splits by its data cannot be run on "
        "random numbers; nothing is said about the compiler by that.",
        source="torch/_dynamo/debug_utils.py (InputReader)",
    ),
    Card(
        id="TD-GRF-012",
        title="The graph draws random numbers",
        why="Dropout or sampling: the compiler draws its own numbers, so that answers differ without a fault.",
        fix=Fix(command="torch._inductor.config.fallback_random = True    # in the file: both draw alike"),
        source="torch/_inductor/config.py (fallback_random)",
    ),
    Card(
        id="TD-GRF-013",
        title="The answers are mostly not finite",
        why="Random inputs, also those between 0 and 1, lead this graph to NaN or infinity; that both sides give NaN "
        "at the same places is a weak agreement.",
        source="measured",
    ),
    Card(
        id="TD-GRF-020",
        title="The compiled graph does not gain, and a cause is known",
        why="Operators that Inductor cannot generate run in eager kernels between the generated ones, and cut what "
        "could be fused; a CUDA graph that was skipped leaves all launches to the host.",
        fix=Fix(command="torchdoctor logs DIR --explain    # names fallback kernels and skips with the user's lines"),
        source="torch/_inductor/ir.py (FallbackKernel), torch/_inductor/cudagraph_utils.py",
    ),
    Card(
        id="TD-GRF-030",
        title="Parts of the file do not fit this torch",
        why="Imports and settings differ between versions. Those that this torch lacks were left out, so that the "
        "graph may be compiled otherwise than in the job.",
        fix=Fix(command=f"{_ALONE} --python PY    # with the torch that the file names"),
        source="torch/_dynamo/debug_utils.py (generate_config_string)",
    ),
    Card(
        id="TD-GRF-031",
        title="The graph has collectives",
        why="Alone there is no other rank: its process groups only pretend, their results mean nothing, and neither do "
        "times that include them.",
        source="torch/testing/_internal/distributed/fake_pg.py",
    ),
)
