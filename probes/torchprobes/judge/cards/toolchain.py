"""Cards of `compile.toolchain`, breaks, recompiles, cache, workers and debug."""

from __future__ import annotations

from ...model import Fix, Scope
from .base import Card

_TOOLCHAIN = (
    Card(
        id="TD-CMP-100",
        title="Another triton than this PyTorch asks for",
        why="Each PyTorch is built against one triton and calls its internals; with another version compiling fails, "
        "or gives kernels that nobody has tested. Packages that pull in their own triton replace it unseen.",
        fix=Fix(command="python -m pip install 'torch==<installed version>'    # brings the triton that it pins"),
        source="Requires-Dist of torch's own metadata",
    ),
    Card(
        id="TD-CMP-101",
        title="This user id has no name, and the compile cache is named after it",
        why="Inductor's default directory is /tmp/torchinductor_<user>, and getpass.getuser() raises where the user id "
        "is not in /etc/passwd: usual in a container that runs with --user.",
        fix=Fix(command="export USER=$(id -u)    # or: export TORCHINDUCTOR_CACHE_DIR=<folder>"),
        source="torch/_inductor/runtime/cache_dir_utils.py (default_cache_dir)",
        versions="2.1 and 2.6 raise; 2.13 takes the number instead",
    ),
    Card(
        id="TD-CMP-102",
        title="Temporary files cannot be written",
        why="Compilers and Inductor need a folder for them. Either Python could write in none of TMPDIR, /tmp, "
        "/var/tmp, /usr/tmp and the working directory, or TMPDIR is full: Python then takes another, a compiler does "
        "not.",
        fix=Fix(command="export TMPDIR=<writable folder>"),
        source="https://docs.python.org/3/library/tempfile.html#tempfile.gettempdir",
    ),
    Card(
        id="TD-CMP-103",
        title="The home directory cannot be written",
        why="Inductor keeps its triton kernels below its own cache directory, but kernels that are written by hand "
        "(those of Liger or vLLM, say) keep theirs in ~/.triton.",
        fix=Fix(command="export TRITON_CACHE_DIR=<writable folder>"),
        source="triton/runtime/cache.py",
    ),
    Card(
        id="TD-CMP-104",
        title="What the compiler builds cannot be loaded",
        why="The compiler works, but a library that its programs need at run time (libgomp, libstdc++) is missing, or "
        "is older than the compiler: LD_LIBRARY_PATH may lead to one of another environment.",
        fix=Fix(
            command="unset LD_LIBRARY_PATH    # or: apt-get install libgomp1 libstdc++6",
            scope=Scope.NODE,
            needs=("root",),
        ),
        source="ld.so(8)",
    ),
    Card(
        id="TD-CMP-105",
        title="The compile cache is on a network file system",
        why="Every compile writes and locks many small files; over a network that takes seconds, and a stale lock of "
        "another node can stop a job.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder on a local disk> TRITON_CACHE_DIR=<the same>"),
        source="torch/_inductor/codecache.py (get_lock_dir)",
    ),
    Card(
        id="TD-CMP-106",
        title="The compile cache belongs to another user",
        why="Whoever owns the directory can put code there that this process loads; and what this user writes the "
        "other one may be unable to read.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder of your own> TRITON_CACHE_DIR=<the same>"),
        source="torch/_inductor/runtime/cache_dir_utils.py",
    ),
    Card(
        id="TD-CMP-107",
        title="Little space is left for compiled code",
        why="A compile cache that cannot grow ends the first compile of a large model with an error in the middle.",
        fix=Fix(command="export TORCHINDUCTOR_CACHE_DIR=<folder with room> TRITON_CACHE_DIR=<the same>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-108",
        title="TORCHINDUCTOR_COMPILE_THREADS is not a number",
        why="Inductor's configuration reads it with int() when it is imported, and raises.",
        fix=Fix(command="unset TORCHINDUCTOR_COMPILE_THREADS"),
        source="torch/_inductor/config.py (decide_compile_threads)",
    ),
    Card(
        id="TD-CMP-109",
        title="A folder that compiling needs gives no answer",
        why="It lies on a file system that hangs, as on a network file system whose server is gone: compiling would "
        "wait there for ever. Hand-written triton kernels are kept below the home directory, all else below TMPDIR.",
        fix=Fix(command="export TMPDIR=/tmp TORCHINDUCTOR_CACHE_DIR=/tmp/inductor TRITON_CACHE_DIR=/tmp/triton"),
        source="a child that looked there and was killed at its deadline",
    ),
)

_BREAKS = (
    Card(
        id="TD-CMP-110",
        title="A graph break is not told as what it is",
        why="Functions that break for one known cause each were compiled; of these, cause, line or remedy could not "
        "be read, neither from Dynamo nor from the registry of breaks that the wheel brings.",
        fix=Fix(command="TORCH_LOGS=graph_breaks python <your script>"),
        source="torch/_dynamo/graph_break_registry.json (2.8 and later)",
    ),
    Card(
        id="TD-CMP-111",
        title="A break is told in a function that has none",
        why="Three pointwise operations must be captured as one graph in every version.",
        fix=Fix(command="TORCH_LOGS=graph_breaks python <your script>"),
        source="measured on 2.1, 2.4, 2.6, 2.13 and 2.14",
    ),
    Card(
        id="TD-CMP-112",
        title="A function in parts gives another answer",
        why="At a break the compiled code returns to Python and goes on; the result must be that of eager.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=dynamo TORCHDYNAMO_REPRO_LEVEL=4 python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-113",
        title="What should run in parts raises",
        why="Around an operator without a fake implementation the graph should break; some versions raise instead.",
        fix=Fix(command="python -m pip install --upgrade torch    # or register a fake: torch.library.register_fake"),
        source="measured: AssertionError on 2.1",
        versions="2.1",
    ),
)

_RECOMPILES = (
    Card(
        id="TD-CMP-120",
        title="Each new batch size is compiled anew",
        why="After the second size Dynamo makes the dimension dynamic, so that two graphs serve all sizes. Not so "
        "here: a loader with a last, smaller batch, or requests of any length, then compile again and again.",
        fix=Fix(command="torch._dynamo.config.automatic_dynamic_shapes = True    # or torch.compile(…, dynamic=True)"),
        source="torch/_dynamo/config.py; measured: 2 graphs on 2.1, 2.4, 2.6, 2.13 and 2.14",
    ),
    Card(
        id="TD-CMP-121",
        title="dynamic=True does not stop recompiling",
        why="With dynamic=True one graph serves all batch sizes; a guard that names a size means that something in the "
        "environment makes it static again.",
        fix=Fix(command="TORCH_LOGS=recompiles,dynamic python <your script>"),
        source="measured: 1 graph on 2.1, 2.4, 2.6, 2.13 and 2.14",
    ),
    Card(
        id="TD-CMP-122",
        title="Why it was compiled again could not be read",
        why="Dynamo names the guard that failed at each recompilation; none was found in this PyTorch.",
        fix=Fix(command="TORCH_LOGS=recompiles python <your script>"),
        source="torch._dynamo.utils.guard_failures",
    ),
    Card(
        id="TD-CMP-123",
        title="Calls ran eager before the recompile limit",
        why="Up to the limit each variant is compiled. Fewer graphs and eager calls mean that the limit counted "
        "something else too, or that a stance forbids recompiling.",
        fix=Fix(command="TORCH_LOGS=recompiles python <your script>"),
        source="torch/_dynamo/config.py (recompile_limit, accumulated_recompile_limit)",
    ),
    Card(
        id="TD-CMP-124",
        title="A recompiled variant gives another answer",
        why="Each variant must compute what eager computes.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=dynamo TORCHDYNAMO_REPRO_LEVEL=4 python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-125",
        title="From the recompile limit on, new variants run eager",
        why="The limit is 64 variants of a function in 2.1 and 8 from 2.2; it is called cache_size_limit up to 2.6 and "
        "recompile_limit from 2.7. Reaching it is logged once, as a warning, and the function then runs eager for "
        "every new size, text or type.",
        fix=Fix(command="torch.compile(model, dynamic=True)    # or mark the dimension: torch._dynamo.mark_dynamic"),
        source="torch/_dynamo/config.py",
    ),
)

_CACHE = (
    Card(
        id="TD-CMP-130",
        title="A cache hit cannot be told from a miss",
        why="With TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 nothing may be found in a cache. Here the counters say that "
        "something was, so they prove nothing.",
        fix=Fix(command="TORCH_LOGS=+inductor python <your script>"),
        source="torch._dynamo.utils.counters['inductor']",
    ),
    Card(
        id="TD-CMP-131",
        title="A cached program gives another answer",
        why="Three processes compiled the same graph for the same numbers: in an empty cache, from the cache, and "
        "without one. Their answers must be the same bit for bit.",
        fix=Fix(command="rm -r $TORCHINDUCTOR_CACHE_DIR    # or /tmp/torchinductor_$USER: compile anew"),
        source="measured: the same bits on 2.1, 2.6, 2.13 and 2.14",
    ),
)

_CACHE_OFF = (
    Card(
        id="TD-CMP-132",
        title="A variable switches the compile cache off",
        why="Nothing is wrong with the cache; with this variable every process, and every restart of a job, pays the "
        "whole compile time again.",
        fix=Fix(command="unset TORCHINDUCTOR_FORCE_DISABLE_CACHES TORCHINDUCTOR_FX_GRAPH_CACHE"),
        source="torch/_inductor/config.py",
    ),
)

_WORKERS = (
    Card(
        id="TD-CMP-140",
        title="Compiling fails in a thread or a child process",
        why="Servers compile in threads, launchers in daemonic processes. In the main thread of a fresh process the "
        "same graph compiles.",
        fix=Fix(command="TORCHINDUCTOR_COMPILE_THREADS=1 python <your script>    # no pool of compile workers"),
        source="torch/_inductor/async_compile.py",
    ),
    Card(
        id="TD-CMP-141",
        title="Compiling in a process forked from one that has compiled fails or hangs",
        why="A fork takes one thread along. Inductor's pool of compile threads and OpenMP's team of the compiled code "
        "belong to the parent; the child believes in them and waits. An accelerator cannot be used there at all.",
        fix=Fix(command="multiprocessing.set_start_method('spawn')    # DataLoader: multiprocessing_context='spawn'"),
        source="measured: hangs on 2.13 and 2.14, not on 2.1 and 2.6; torch/_inductor/async_compile.py (pool)",
    ),
    Card(
        id="TD-CMP-142",
        title="Compiled code gives another answer in a thread or a child process",
        why="The same graph and numbers must give the same bits wherever they are compiled.",
        fix=Fix(command="TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-143",
        title="Compile workers are left behind",
        why="Inductor compiles in processes of its own. They must end with the process that started them; what is left "
        "holds memory and, in a container, keeps it alive.",
        fix=Fix(command="TORCHINDUCTOR_COMPILE_THREADS=1 python <your script>    # no compile workers"),
        source="torch/_inductor/compile_worker/",
    ),
    Card(
        id="TD-CMP-144",
        title="A process that should compile gave no answer",
        why="It ended with a code, or did not end within its time; its own words are in the probe's log.",
        fix=Fix(command="torchdoctor report RUN    # its own words are in the probe's stderr.log"),
        source="measured",
    ),
)

_DAEMONIC = (
    Card(
        id="TD-CMP-145",
        title="This PyTorch cannot compile in a daemonic process",
        why="Its pool of compile workers are children, which Python forbids to daemonic processes: the workers of a "
        "multiprocessing.Pool, of a DataLoader that is not forked, of many servers.",
        fix=Fix(command="TORCHINDUCTOR_COMPILE_THREADS=1 python <your script>    # no pool of compile workers"),
        source="measured on 2.1; torch/_inductor/codecache.py (AsyncCompile.process_pool)",
        versions="2.1; not 2.6 and later",
    ),
)

_DEBUG = (
    Card(
        id="TD-CMP-150",
        title="TORCH_COMPILE_DEBUG=1 leaves no generated code",
        why="With this variable each compiled graph leaves a folder with its graphs and output_code.py. A graph that "
        "is found in the compile cache is not compiled and leaves none: here the cache was empty.",
        fix=Fix(command="TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 TORCH_COMPILE_DEBUG=1 python <your script>"),
        source="torch/_inductor/debug.py",
    ),
    Card(
        id="TD-CMP-151",
        title="The process with TORCH_COMPILE_DEBUG=1 gave no answer",
        why="It ended with a code, or did not end within its time; its own words are in the probe's log.",
        fix=Fix(command="torchdoctor report RUN    # its own words are in the probe's stderr.log"),
        source="measured",
    ),
    Card(
        id="TD-CMP-152",
        title="debug.log stays empty",
        why="The log files of a debug tree are made and never written on current versions. The content is in "
        "torchinductor/model__*/, and the log itself goes to stderr.",
        fix=Fix(command="torchdoctor logs torch_compile_debug    # or TORCH_LOGS_OUT=<file> for the log"),
        source="measured on 2.13",
    ),
)

_STEPS = (
    Card(
        id="TD-CMP-160",
        title="Compiled code gives other numbers",
        why="Measured against float64, the compiled model (for training: its gradients) is further from the truth than "
        "eager by more than rounding can explain.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=aot TORCHDYNAMO_REPRO_LEVEL=4 python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-161",
        title="The backward does not run compiled",
        why="With gradients, torch.compile compiles forward and backward together, and the output's autograd function "
        "is CompiledFunctionBackward. If it is another, only the forward is compiled.",
        fix=Fix(command="TORCH_LOGS=aot python <your script>"),
        source="torch/_functorch/aot_autograd.py",
    ),
    Card(
        id="TD-CMP-162",
        title="Compiled training goes another way than eager",
        why="Both start from the same weights and see the same batch; after ten steps the losses may differ by "
        "rounding only.",
        fix=Fix(command="TORCHDYNAMO_REPRO_AFTER=aot TORCHDYNAMO_REPRO_LEVEL=4 python <your script>"),
        source="measured",
    ),
    Card(
        id="TD-CMP-163",
        title="No gain on a compute-bound model",
        why="Large matrix products and fused attention are the same kernels in eager. Compiling saves the operations "
        "between them, which here are few; that is no fault.",
        fix=Fix(command="torch.set_float32_matmul_precision('high')    # or bfloat16, if the accuracy allows it"),
        source="measured on an H200: 978 us eager, 945 us compiled",
    ),
)

CARDS: tuple[Card, ...] = (
    _TOOLCHAIN + _BREAKS + _RECOMPILES + _CACHE + _CACHE_OFF + _WORKERS + _DAEMONIC + _DEBUG + _STEPS
)
