"""Cards of the mechanisms by which torch.compile silently does not help, beside those in `compiler`.

027, 028 and 07x ran eager or generate nothing, 037 to 039 CUDA graphs and flips, 063 caches, 08x slow in eager too.
"""

from __future__ import annotations

from ...model import Fix
from .base import Card

_RAISED = (
    Card(
        id="TD-CMP-011",
        title="A compiled function was traced",
        why="torch.fx.symbolic_trace and torch.jit.trace cannot look into what torch.compile returned. Trace the "
        "original model, or compile what was traced.",
        fix=Fix(command="torch.fx.symbolic_trace(compiled._orig_mod)    # the model before torch.compile"),
        source="torch/_dynamo/eval_frame.py (error_on_nested_fx_trace)",
    ),
)

_GIVEN_UP = (
    Card(
        id="TD-CMP-027",
        title="Ran eager: an error was hidden earlier, and nothing tries again",
        why="With suppress_errors a function whose compiling failed once is eager for good, also after the cause is "
        "repaired. Forgetting what Dynamo knows made it compile here.",
        fix=Fix(command="torch._dynamo.reset()    # or start the process anew, without TORCHDYNAMO_SUPPRESS_ERRORS"),
        source="measured on 2.1, 2.6, 2.13 and 2.14",
    ),
    Card(
        id="TD-CMP-028",
        title="Ran eager: the recompile limit was reached earlier in this process",
        why="The limit counts by function, not by what torch.compile returned: once reached, another wrapper of the "
        "same function compiles nothing, whatever its options.",
        fix=Fix(command="torch._dynamo.reset()    # and dynamic=True, or mark_dynamic, from the start"),
        source="measured on 2.1, 2.6, 2.13 and 2.14",
    ),
    Card(
        id="TD-CMP-074",
        title="Ran eager: it was called earlier under a dispatch mode",
        why="Dynamo does not compile while a TorchDispatchMode is active (FlopCounterMode, loggers), and in some "
        "versions marks the function as one to skip for ever after.",
        fix=Fix(command="count FLOPs on the model before torch.compile    # torch._dynamo.reset() cures it from 2.13"),
        source="https://github.com/pytorch/pytorch/issues/190286",
        versions="2.6 to 2.13; not 2.1, not 2.14",
    ),
)

_PROGRAM = (
    Card(
        id="TD-CMP-070",
        title="A function is disabled for the compiler",
        why="Under torch.compiler.disable a function runs eager: as the model's forward it leaves nothing to compile, "
        "inside the model it splits it into two graphs.",
        fix=Fix(command="remove @torch.compiler.disable there, or leave it on the smallest part that needs it"),
        source="torch/_dynamo/eval_frame.py (DisableContext); GB0098, GB0099",
    ),
    Card(
        id="TD-CMP-071",
        title="Ran eager: Module.compile() on a class of torch's own",
        why="On Linear, Sequential, TransformerEncoderLayer and others of torch.nn, module.compile() is silently "
        "without effect: the frames that it compiles are skipped as PyTorch's own.",
        fix=Fix(command="model = torch.compile(model)    # in place of model.compile()"),
        source="https://github.com/pytorch/pytorch/issues/150915",
        versions="2.6 to 2.13; 2.1 and from 2.14 on it works",
    ),
    Card(
        id="TD-CMP-072",
        title="Ran eager: the calls go past what torch.compile returned",
        why="torch.compile(m) returns a new callable, and m itself stays eager; m.compile() changes m(x), not "
        "m.forward(x); and of a compiled module only forward is compiled, not generate() or other methods.",
        fix=Fix(command="m = torch.compile(m), and m(x)    # other methods: m.generate = torch.compile(m.generate)"),
        source="https://github.com/pytorch/pytorch/issues/141616",
    ),
    Card(
        id="TD-CMP-073",
        title="Ran eager: a dispatch mode is active",
        why="While a TorchDispatchMode is active (FlopCounterMode, a logger of operations), Dynamo runs eager; 2.1 "
        "compiles anew at every call instead.",
        fix=Fix(command="leave the `with FlopCounterMode():` off the steps that should be compiled"),
        source="torch/_dynamo/convert_frame.py",
    ),
    Card(
        id="TD-CMP-075",
        title="Compiled with a backend that generates no code",
        why='backend="eager" and "aot_eager" exist to find errors: they capture graphs and run them as they are.',
        fix=Fix(command="torch.compile(model)    # without backend=, that is inductor"),
        source="torch/_dynamo/backends/debugging.py",
    ),
    Card(
        id="TD-CMP-076",
        title="Compiles again at every call",
        why="A guard fails at each call: a string, a number, a shape or an object that changes. Until the limit is "
        "reached each variant is compiled, and that is what the time goes into.",
        fix=Fix(command="TORCH_LOGS=recompiles python <your script>    # then pass it as a tensor, or mark it dynamic"),
        source="torch._dynamo.utils.guard_failures",
    ),
)

_GRAPHS = (
    Card(
        id="TD-CMP-037",
        title="CUDA graphs were skipped without a trace",
        why="With graph_partition (on since 2.9) Inductor drops CUDA graphs where no partition can be recorded, and "
        "neither counts nor logs it. Only a profile shows that none is launched.",
        fix=Fix(command="torch._inductor.config.graph_partition = False    # then TORCH_LOGS=perf_hints says why"),
        source="torch/_inductor/output_code.py (cudagraph_partition_post_compile)",
        versions="2.9 and later",
    ),
    Card(
        id="TD-CMP-038",
        title="CUDA graphs are recorded again at every step",
        why="Each new shape, and each tensor that must stay at its address and moves, makes a new recording, which "
        "costs more than the launches that it saves.",
        fix=Fix(command="TORCH_LOGS=cudagraphs python <your script>    # few shapes, inputs at one address"),
        source="torch/_inductor/cudagraph_trees.py (cudagraph_unexpected_rerecord_limit)",
    ),
    Card(
        id="TD-CMP-039",
        title="One graph each for gradients, no gradients, dtypes",
        why="Grad mode, inference mode, autocast, dtype and, up to 2.5, training are guards: each that is used has a "
        "graph of its own, compiled at its first call, and counts towards the recompile limit.",
        source="torch._dynamo.utils.guard_failures",
    ),
)

_CACHES = (
    Card(
        id="TD-CMP-063",
        title="The compile cache was bypassed",
        why="Something in the graph or in the configuration has no identity that a cache could go by: a custom pass "
        "without uuid(), an operator that it does not know. Every process compiles this anew.",
        fix=Fix(command="TORCH_LOGS=+torch._inductor.codecache python <your script>    # says what bypassed it"),
        source="torch._dynamo.utils.counters['inductor']['fxgraph_cache_bypass']",
        versions="2.4 and later",
    ),
)

_SLOW = (
    Card(
        id="TD-CMP-080",
        title="Attention runs the math kernel",
        why="None of the fused kernels takes these inputs, or all are switched off: time and memory grow with the "
        "square of the length, in eager and compiled alike.",
        fix=Fix(command="torchdoctor check compute.sdpa    # says of each fused kernel why it was not used"),
        source="torch.profiler; torch.nn.attention.sdpa_kernel",
    ),
    Card(
        id="TD-CMP-081",
        title="bfloat16 is only emulated on this GPU",
        why="Before capability 8.0 no unit computes in bfloat16: it is converted to float32 and back. "
        "torch.cuda.is_bf16_supported() says yes all the same.",
        fix=Fix(command="model.half()    # float16 has units from capability 7.0 on"),
        source="https://github.com/pytorch/pytorch/issues/148322",
    ),
    Card(
        id="TD-CMP-082",
        title="float32 matrices are multiplied without TF32",
        why="The default is full precision. TF32 keeps float32's range with 10 bits of mantissa and is up to 8 times "
        "faster; whether that is enough is for the model's owner to say.",
        fix=Fix(command="torch.set_float32_matmul_precision('high')"),
        source="torch.get_float32_matmul_precision",
    ),
    Card(
        id="TD-CMP-083",
        title="Convolutions run without cuDNN",
        why="torch.backends.cudnn.enabled is False, or cuDNN cannot be loaded: convolutions fall back to kernels that "
        "are several times slower.",
        fix=Fix(command="torch.backends.cudnn.enabled = True"),
        source="torch.backends.cudnn",
    ),
)

CARDS: tuple[Card, ...] = _RAISED + _GIVEN_UP + _PROGRAM + _GRAPHS + _CACHES + _SLOW
