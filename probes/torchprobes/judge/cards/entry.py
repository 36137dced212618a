"""Cards of the user's own model: 00x its answers, 01x how much of it is compiled, 02x export, 03x CUDA graphs."""

from __future__ import annotations

from ...model import Fix
from .base import Card

CARDS: tuple[Card, ...] = (
    Card(
        id="TD-ENT-001",
        title="Another answer than eager's",
        why="The same weights, arguments and random numbers gave an answer that rounding does not explain, and eager "
        "runs do not differ that much from one another. A compiler or a kernel is wrong, or the model reads state that "
        "a trace cannot see (a global, a Python counter, the clock).",
        fix=Fix(
            command="TORCHINDUCTOR_EMULATE_PRECISION_CASTS=1 torchdoctor check compile --entry M:F    # then report it"
        ),
        source="measured; https://pytorch.org/docs/stable/torch.compiler_troubleshooting.html (accuracy)",
    ),
    Card(
        id="TD-ENT-002",
        title="The model draws random numbers",
        why="Two seeds give two answers: dropout, sampling or noise. Inductor draws its own random numbers, so that a "
        "compiled step differs from eager even with one seed; that is no fault. For the comparison it was told to use "
        "eager's.",
        fix=Fix(
            command="model.eval()    # where dropout is not meant; torch._inductor.config.fallback_random to compare"
        ),
        source="torch/_inductor/config.py (fallback_random)",
    ),
    Card(
        id="TD-ENT-003",
        title="Eager itself is not deterministic",
        why="Runs from one state and one seed differ: kernels that add in any order (atomics in scatter, index_add, "
        "some backward passes), or state outside of the model. Compiled code is allowed the same spread.",
        fix=Fix(command="torch.use_deterministic_algorithms(True)    # names the operation; may be slower"),
        source="https://pytorch.org/docs/stable/notes/randomness.html",
    ),
    Card(
        id="TD-ENT-010",
        title="A part of the step is not compiled",
        why="Between graphs Python runs eager: graph breaks, disabled functions, frames that were given up. What is "
        "not inside compiled code cannot gain from it, whatever the speed of the rest.",
        fix=Fix(command="torch.compile(model, fullgraph=True)    # raises at the first break and says where"),
        source="profile of the entry's own steps",
    ),
    Card(
        id="TD-ENT-020",
        title="The model cannot be exported",
        why="torch.export needs the whole model as one graph: no control flow that depends on data, no unsupported "
        "calls. What it raised names the line; draft_export (2.8 and later) lists all reasons at once.",
        fix=Fix(
            command="torch.export.draft_export(model, args)    # says every reason; then torch.cond or torch._check"
        ),
        source="https://pytorch.org/docs/stable/export.html",
        versions="2.1 and later",
    ),
    Card(
        id="TD-ENT-021",
        title="Only one way of tracing exports the model",
        why="Non-strict tracing runs the Python code and sees tensors alone; strict tracing analyses the bytecode. The "
        "default is strict up to 2.7 and non-strict from 2.8, so that an upgrade changes which one is used.",
        fix=Fix(command="torch.export.export(model, args, strict=<the one that works>)"),
        source="torch/export/__init__.py",
        versions="2.2 and later",
    ),
    Card(
        id="TD-ENT-030",
        title="The step cannot be captured as a CUDA graph",
        why="Capture forbids what the host must wait for: .item(), copies to pageable memory, allocation outside of "
        "the graph's pool, work on another stream, CPU operations. What it raised names the first.",
        fix=Fix(
            command="torch.cuda.make_graphed_callables    # on the part without host work; or mode='reduce-overhead'"
        ),
        source="https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs",
    ),
    Card(
        id="TD-ENT-031",
        title="Replaying a graph does not help this model",
        why="A CUDA graph removes the time in which the GPU waits for launches. A step whose kernels keep the GPU busy "
        "has none to remove.",
        source="measured: eager and replay in turns",
    ),
)
