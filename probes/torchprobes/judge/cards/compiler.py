"""Cards of `compile.*`: 00x the tools, 02x ran eager, 03x compiled in part, 04x no gain, 05x wrong, 06x caches."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_TOOLS = (
    Card(
        id="TD-CMP-001",
        title="No working C++ compiler",
        why="Inductor writes C++ for the CPU and for its wrappers and compiles it on the first call. It looks for "
        "$CXX, else g++, on PATH; an empty CXX counts as set. Runtime images and minimal installs have none.",
        fix=Fix(command="apt-get install g++    # or: export CXX=/path/to/g++", scope=Scope.NODE, needs=("root",)),
        source="torch/_inductor/cpp_builder.py; https://github.com/pytorch/pytorch/issues/116696",
    ),
    Card(
        id="TD-CMP-002",
        title="No C compiler for triton",
        why="Triton compiles a small launcher in C for every kernel, with $CC, else gcc or clang on PATH.",
        fix=Fix(command="apt-get install gcc    # or: export CC=/path/to/gcc", scope=Scope.NODE, needs=("root",)),
        source="https://github.com/sgl-project/sglang/issues/1067",
    ),
    Card(
        id="TD-CMP-003",
        title="Python.h is missing",
        why="The code that Inductor and triton compile includes Python.h of the very interpreter that runs it. "
        "Distributions ship it apart from the interpreter.",
        fix=Fix(command="apt-get install python3-dev", scope=Scope.NODE, needs=("root",)),
        source="torch/_inductor/cpp_builder.py",
    ),
    Card(
        id="TD-CMP-004",
        title="libcuda cannot be linked",
        why="Triton's launcher links with the driver's libcuda.so; containers often see only libcuda.so.1, outside "
        "the linker's cache.",
        fix=Fix(command="ldconfig    # or: export TRITON_LIBCUDA_PATH=<folder of libcuda.so>", scope=Scope.NODE),
        source="https://github.com/pytorch/pytorch/issues/107960",
    ),
    Card(
        id="TD-CMP-005",
        title="The compile cache is on a noexec mount",
        why="Compiled kernels are shared objects in the cache directory and are loaded from there; a mount with "
        "noexec forbids that. The default place is below /tmp.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder on an exec mount> TRITON_CACHE_DIR=<the same>"),
        source="https://github.com/pytorch/pytorch/issues/91005",
    ),
    Card(
        id="TD-CMP-006",
        title="ptxas does not know this GPU",
        why="The ptxas that triton brings is older than the GPU. A newer toolkit's ptxas can be used in its place.",
        fix=Fix(command="export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas"),
        source="https://github.com/triton-lang/triton/issues/8539",
    ),
    Card(
        id="TD-CMP-007",
        title="No working triton",
        why="On a GPU, Inductor writes triton kernels. The triton package is missing, or not the one that this "
        "PyTorch pins.",
        fix=Fix(command="python -m pip install 'torch==<installed version>'    # brings the triton that it pins"),
        source="torch/_inductor/exc.py (TritonMissing)",
    ),
    Card(
        id="TD-CMP-008",
        title="The GPU is too old for triton",
        why="Triton needs compute capability 7.0 (Volta) or later. Eager PyTorch still works on this GPU.",
        source="torch/_inductor/exc.py (GPUTooOldForTriton)",
    ),
    Card(
        id="TD-CMP-009",
        title="torch.compile does not support this Python",
        why="Each PyTorch reads the bytecode of the Pythons that were out when it was made: up to 2.3 below 3.12, "
        "2.4 and 2.5 below 3.13, 2.6 to 2.9 below 3.14, 2.10 to 2.13 below 3.15.",
        fix=Fix(command="python -m pip install --upgrade torch    # or an older Python"),
        source="torch/_dynamo/eval_frame.py (check_if_dynamo_supported)",
    ),
    Card(
        id="TD-CMP-010",
        title="The compile cache cannot be written",
        why="Inductor writes sources and shared objects into its cache directory before it loads them: no right to "
        "write, a full disk, or no inodes left.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<writable folder> TRITON_CACHE_DIR=<the same>"),
        source="https://github.com/kijai/ComfyUI-WanVideoWrapper/issues/220",
    ),
    Card(
        id="TD-CMP-019",
        title="torch.compile raised an error",
        why="The first call of the compiled model raised. The whole traceback is an artifact of this probe.",
        fix=Fix(command="torchdoctor explain -    # and paste the traceback"),
        source="measured",
    ),
)

_EAGER = (
    Card(
        id="TD-CMP-020",
        title="Ran eager: an error of the compiler was hidden",
        why="With suppress_errors, any error of the compiler means eager for that frame, for good, with one warning. "
        "TORCHDYNAMO_SUPPRESS_ERRORS is read as bool(text): any value that is not empty turns it on, 0 too.",
        fix=Fix(command="unset TORCHDYNAMO_SUPPRESS_ERRORS    # then the error shows, and can be repaired"),
        source="torch/_dynamo/config.py, 2.1 to 2.15",
    ),
    Card(
        id="TD-CMP-021",
        title="Ran eager: no working C++ compiler, and the error was hidden",
        why="Inductor found no C++ compiler and raised; suppress_errors turned that into eager with one warning. "
        "TORCHDYNAMO_SUPPRESS_ERRORS is read as bool(text): any value that is not empty turns it on, 0 too.",
        fix=Fix(command="apt-get install g++ && unset TORCHDYNAMO_SUPPRESS_ERRORS", scope=Scope.NODE, needs=("root",)),
        source="torch/_dynamo/config.py and torch/_inductor/cpp_builder.py, 2.1 to 2.15",
    ),
    Card(
        id="TD-CMP-022",
        title="Ran eager: TORCHDYNAMO_DISABLE is set",
        why="With this variable torch.compile(f) returns f itself. There is no warning, and fullgraph=True passes.",
        fix=Fix(command="unset TORCHDYNAMO_DISABLE"),
        source="torch/__init__.py (compile), 2.1 to 2.15",
    ),
    Card(
        id="TD-CMP-023",
        title="Ran eager: TORCH_COMPILE_DISABLE is set",
        why="With this variable (torch._dynamo.config.disable) the wrapper is made, and always runs eager.",
        fix=Fix(command="unset TORCH_COMPILE_DISABLE"),
        source="torch/_dynamo/config.py, 2.1 to 2.15",
    ),
    Card(
        id="TD-CMP-024",
        title="Ran eager: the compiler's stance forbids compiling",
        why="torch.compiler.set_stance with force_eager or eager_on_recompile runs eager and leaves no counter.",
        fix=Fix(command='torch.compiler.set_stance("default")'),
        source="torch/_dynamo/eval_frame.py",
        versions="2.6 and later",
    ),
    Card(
        id="TD-CMP-025",
        title="Ran eager: the recompile limit was reached",
        why="After 8 variants of one function (64 in 2.1) new ones run eager. Shapes, strings or numbers that change "
        "at each call are the usual cause; a limit once reached stays for other wrappers of that function.",
        fix=Fix(
            command="TORCH_LOGS=recompiles python <your script>    # says which guard failed; dynamic=True may help"
        ),
        source="torch/_dynamo/config.py (recompile_limit; cache_size_limit up to 2.6)",
    ),
    Card(
        id="TD-CMP-026",
        title="Ran eager: the frame cannot be compiled",
        why="Dynamo gave the whole frame up (a generator, a compiled function inside vmap or grad, an active dispatch "
        "mode). That is no graph break, and nothing warns of it.",
        fix=Fix(command="TORCH_LOGS=graph_breaks python <your script>"),
        source="torch._dynamo.utils.counters['unimplemented']",
    ),
    Card(
        id="TD-CMP-029",
        title="Ran eager, and the cause was not found",
        why="The counting backend saw no call of compiled code, and none of the known mechanisms was seen.",
        fix=Fix(command="TORCH_LOGS=+dynamo python <your script>"),
        source="measured",
    ),
)

_IN_PART = (
    Card(
        id="TD-CMP-030",
        title="Graph breaks split the model",
        why="At each break the compiled code returns to Python, and nothing is fused across it. The reference models "
        "have no reason to break.",
        fix=Fix(
            command="TORCH_LOGS=graph_breaks python <your script>    # file and line of each: keep .item(), print and "
            "the like out of the step"
        ),
        source="torch._dynamo.utils.counters['graph_break']",
    ),
    Card(
        id="TD-CMP-031",
        title="CUDA graphs were skipped",
        why="This mode promises CUDA graphs, and no step launched one. Mutated inputs, CPU operations, several "
        "devices or a disabled allocator make Inductor skip them; since 2.9 it may skip them without a word.",
        fix=Fix(command="TORCH_LOGS=cudagraphs python <your script>    # and TORCHINDUCTOR_CUDAGRAPH_OR_ERROR=1"),
        source="torch/_inductor/compile_fx.py (cudagraph_partition_post_compile)",
    ),
    Card(
        id="TD-CMP-032",
        title="CUDA graphs do not apply on a CPU",
        why="On a CPU this mode compiles like the default mode, and counts its CUDA graphs as skipped.",
        source="measured, 2.13",
    ),
    Card(
        id="TD-CMP-033",
        title="Whether CUDA graphs ran could not be read",
        why="Only a profile shows for certain that CUDA graphs are launched, and the profiler saw no driver call.",
        fix=Fix(command="python -c 'import torch; print(torch.profiler.supported_activities())'"),
        source="torch.profiler (CUPTI)",
    ),
    Card(
        id="TD-CMP-034",
        title="Compiled, but no kernel was generated",
        why="All operations were left to libraries or to eager: nothing is fused, so there is little to gain. The "
        "reference models must generate kernels; a model of yours may consist of library calls (svd, a fused layer).",
        fix=Fix(command="TORCH_LOGS=output_code python <your script>"),
        source="torch._inductor.metrics.generated_kernel_count",
    ),
    Card(
        id="TD-CMP-035",
        title="Too few multiprocessors for max-autotune GEMM",
        why="Below 68 SMs (80 up to 2.3) Inductor does not try its own matrix kernels, and warns once. CUDA graphs and "
        "the other tuning still work.",
        source="torch/_inductor/utils.py (is_big_gpu)",
    ),
    Card(
        id="TD-CMP-036",
        title="Errors of the compiler would be hidden",
        why="Everything compiled, but suppress_errors is on: the next model that cannot be compiled runs eager. "
        "TORCHDYNAMO_SUPPRESS_ERRORS is read as bool(text): any value that is not empty turns it on, 0 too.",
        fix=Fix(command="unset TORCHDYNAMO_SUPPRESS_ERRORS"),
        source="torch/_dynamo/config.py, 2.1 to 2.15",
    ),
)

_NO_GAIN = (
    Card(
        id="TD-CMP-040",
        title="No gain where a sound stack gains",
        why="The reference model of this mode is made so that compiling helps on any GPU: a memory-bound chain for "
        "default, a launch-bound stack of layers for reduce-overhead and max-autotune.",
        fix=Fix(command="torchdoctor gpus    # clocks, throttling and others' work on this GPU come first"),
        source="measured on an H200",
    ),
    Card(
        id="TD-CMP-041",
        title="Nothing to gain on this CPU",
        why="Eager already keeps the cores busy, and a CPU has no launches to save: no gain is no fault here.",
        source="measured",
    ),
    Card(
        id="TD-CMP-042",
        title="No gain: the toy model is launch-bound",
        why="The device is idle most of the step and waits for the host, and compiled code adds guards to the host's "
        "work. Fusing cannot help; fewer launches can.",
        fix=Fix(command='torch.compile(model, mode="reduce-overhead")    # or CUDA graphs, or a larger batch'),
        source="measured on an H200: 59 us eager, 164 us compiled, 92 us with reduce-overhead",
    ),
    Card(
        id="TD-CMP-043",
        title="No gain: the toy model is compute-bound",
        why="The device is busy for most of the step, in kernels that compiling leaves as they are.",
        fix=Fix(command="torch.set_float32_matmul_precision('high')    # or bfloat16, if the accuracy allows it"),
        source="measured on an H200",
    ),
    Card(
        id="TD-CMP-044",
        title="No gain: the toy model is too small for a CPU",
        why="A step lasts microseconds, and the guards that compiled code checks at each call cost as much. A larger "
        "batch helps: the guards' cost does not grow with it.",
        source="measured",
    ),
    Card(
        id="TD-CMP-045",
        title="No gain on the toy model, and its cause could not be read",
        why="Whether the toy waits for launches or computes shows only in a profile of the device.",
        source="measured",
    ),
    Card(
        id="TD-CMP-046",
        title="Too noisy to tell whether it gains",
        why="Eager and compiled were timed in turns, and the 95 % interval of their ratio is too wide for an answer: "
        "something else used the machine, or clocks changed.",
        fix=Fix(command="torchdoctor check compile    # again, on an idle machine"),
        source="measured",
    ),
)

_WRONG = (
    Card(
        id="TD-CMP-050",
        title="Compiled code gives other numbers",
        why="Measured against float64, the compiled model is further from the truth than eager by more than rounding "
        "can explain.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=aot TORCHDYNAMO_REPRO_LEVEL=4 python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-051",
        title="Compiled code gives NaN or infinity",
        why="On ordinary random input the compiled model gave numbers that are not finite.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=aot TORCHDYNAMO_REPRO_LEVEL=4 python <your script>"),
        source="measured",
    ),
)

_CACHES = (
    Card(
        id="TD-CMP-060",
        title="A second process compiles anew",
        why="The compile cache is on, and a second process with the same model and folder found nothing in it: every "
        "start of a job pays the whole compile time.",
        fix=Fix(command="TORCH_LOGS=+inductor python <your script>    # says why the cache was missed or bypassed"),
        source="torch._dynamo.utils.counters['inductor']",
        versions="2.5 and later (the cache is off by default before)",
    ),
    Card(
        id="TD-CMP-061",
        title="The compile cache is off",
        why="Nothing is wrong, but every process compiles anew.",
        fix=Fix(command="unset TORCHINDUCTOR_FORCE_DISABLE_CACHES TORCHINDUCTOR_FX_GRAPH_CACHE"),
        source="torch/_inductor/config.py",
    ),
    Card(
        id="TD-CMP-062",
        title="The second process did not finish",
        why="The same model compiled in the first process; a second one, with the caches of the first, failed.",
        fix=Fix(command="torchdoctor report RUN    # its own words are in the probe's stderr.log"),
        source="measured",
    ),
)

CARDS: tuple[Card, ...] = _TOOLS + _EAGER + _IN_PART + _NO_GAIN + _WRONG + _CACHES
