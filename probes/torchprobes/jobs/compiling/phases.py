"""Which part of torch.compile a Python stack stands in, and whose line of the user's led there. Pure.

A frame counts only where it is run for compiling: compiled code that is called passes through files of the compiler too
(eval_frame.py, runtime_wrappers.py, output_code.py, cudagraph_trees.py). Files and functions are those of torch 2.1 to
2.15; a file that a later version adds below these folders falls to the folder's own row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...model import Frozen
from ...rank_evidence import Frame, Stack, ThreadStack
from ..stacks.groups import call_site, main_thread, site_words

_GENERATED: Final = re.compile(r"/torchinductor_[^/]+/|/c[a-z2-7]{50,52}\.py$|^<|codegen\(\w*\)$")
"""What Inductor and torch.fx generate: a folder of the user's, a file named after its hash, texts without a file."""


class Row(NamedTuple):
    """A place in a package: part of the path, the functions there ("" in front: all but these), and its phase."""

    path: str
    functions: str
    phase: str


TRACING: Final = "Dynamo: tracing"
WAITING: Final = "Inductor: waiting for kernels"

ROWS: Final[tuple[Row, ...]] = tuple(
    Row(*row)
    for row in (
        ("torch/_inductor/select_algorithm.py", r"\w*(?:autotun|benchmark|precompile)\w*", "autotuning"),
        ("torch/_inductor/autotune_process.py", r".*", "autotuning"),
        ("torch/_inductor/runtime/triton_heuristics.py", r"autotune_\w+|bench\w*|coord\w+", "autotuning"),
        ("torch/_inductor/runtime/benchmarking.py", r"benchmark.*", "autotuning"),
        ("torch/_inductor/runtime/triton_heuristics.py", r"_?precompile\w*|_make_launchers", "Triton: compiling"),
        ("triton/runtime/autotuner.py", r"_bench|benchmark", "autotuning"),
        ("triton/backends/nvidia/compiler.py", r"make_cubin|make_ptx", "Triton: ptxas"),
        ("triton/compiler/", r".*", "Triton: compiling"),
        ("triton/backends/", r"make_.*", "Triton: compiling"),
        ("torch/_inductor/async_compile.py", r"wait|_wait_futures|result|wait_pool_ready", WAITING),
        ("torch/_inductor/async_compile.py", r".*", "Inductor: starting kernels' compilers"),
        ("torch/_inductor/cpp_builder.py", r".*", "C++: compiling"),
        ("torch/_inductor/codecache.py", r"\w*compile_(?:file|cmd|cpp)|\w*cpp_compile\w*|worker_fn", "C++: compiling"),
        ("torch/_inductor/codecache.py", r"\w*result|load_fn|future|wait", WAITING),
        ("torch/_inductor/codecache.py", r".*", "Inductor: caches and loading"),
        ("torch/_inductor/cpu_vec_isa.py", r".*", "C++: looking at the compiler"),
        ("torch/_inductor/codegen/", r".*", "Inductor: generating code"),
        ("torch/_inductor/scheduler.py", r".*", "Inductor: fusing"),
        ("torch/_inductor/graph.py", r"codegen.*|compile_to_.*|_?save_output_code", "Inductor: generating code"),
        ("torch/_inductor/graph.py", r".*", "Inductor: lowering"),
        ("torch/_inductor/lowering.py", r".*", "Inductor: lowering"),
        ("torch/_inductor/ir.py", r".*", "Inductor: lowering"),
        ("torch/_inductor/kernel/", r".*", "Inductor: lowering"),
        ("torch/_inductor/fx_passes/", r".*", "Inductor: graph passes"),
        ("torch/_inductor/pattern_matcher.py", r".*", "Inductor: graph passes"),
        ("torch/_inductor/freezing.py", r".*", "Inductor: graph passes"),
        ("torch/_inductor/compile_fx", r".*", "Inductor"),
        ("torch/_functorch/partitioners.py", r".*", "AOTAutograd: partitioning"),
        ("torch/_functorch/aot_autograd.py", r"(?:create_)?aot_(?!wrapper)\w+", "AOTAutograd: tracing"),
        ("torch/_functorch/_aot_autograd/", r"aot_[ds]\w+|_?create_\w+|\w*metadata\w*", "AOTAutograd: tracing"),
        ("torch/fx/experimental/symbolic_shapes.py", r"produce_guards.*", "Dynamo: guards"),
        ("torch/_dynamo/guards.py", r"__init__|build_guard.*|compile_check_fn|GuardBuilder", "Dynamo: guards"),
        ("torch/_dynamo/output_graph.py", r"_?call_user_compiler|compile_and_call_fx_graph", "backend"),
        ("torch/_dynamo/symbolic_convert.py", r".*", TRACING),
        ("torch/_dynamo/variables/", r".*", TRACING),
        ("torch/_dynamo/bytecode_transformation.py", r".*", TRACING),
        ("torch/_dynamo/convert_frame.py", r"(?!catch_errors|_fn).*", TRACING),
    )
)  # fmt: skip
"""The first that a frame fits; of a stack the innermost frame that fits any."""

_RULES: Final = tuple((row.path, re.compile(row.functions), row.phase) for row in ROWS)


class Where(Frozen, frozen=True, kw_only=True):
    """Where a stack stands: the phase ("": not inside the compiler), the innermost frame of it, and the user's line.

    `frames` are those of the main thread: 0 where it was read at a bad moment, which says nothing.
    """

    phase: str = ""
    frame: Frame | None = None
    user: Frame | None = None
    frames: int = 0

    @property
    def words(self) -> str:
        """The user's line as a person writes it, "" if there is none."""
        return site_words(self.user)


def phase_of(frame: Frame) -> str:
    """The phase that a frame is part of, "" for one that is not run for compiling."""
    if frame.file.rpartition("/")[2] == "async_compile.py" and frame.function in (
        "warm_pool",
        "shutdown_compile_workers",
    ):
        return ""
    name = frame.function.rpartition(".")[2]
    return next((phase for path, pattern, phase in _RULES if path in frame.file and pattern.fullmatch(name)), "")


def where(stack: Stack) -> Where:
    """Where the threads of a process stand; the main thread first, then those that hold a frame of the compiler.

    A backward graph is compiled on a thread of autograd: its user's line is then the main thread's.
    """
    main = main_thread(stack)
    threads = [] if main is None else [main]
    threads += [thread for thread in stack.threads if thread is not main]
    count = len(main.frames) if main is not None else 0
    own = call_site(_written(main.frames)) if main is not None else None
    for thread in threads:
        at = next((index for index, frame in enumerate(thread.frames) if phase_of(frame)), None)
        if at is not None and not _is_helper(thread):
            last = max(index for index, frame in enumerate(thread.frames) if phase_of(frame))
            user = call_site(_written(thread.frames[last + 1 :]))
            return Where(phase=phase_of(thread.frames[at]), frame=thread.frames[at], user=user or own, frames=count)
    return Where(user=own, frames=count)


def _written(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Without code that the compiler made: that is nobody's line."""
    return tuple(frame for frame in frames if not _GENERATED.search(frame.file))


def _is_helper(thread: ThreadStack) -> bool:
    """Whether it only serves a pool of workers that may be idle: its frames begin and end in the pool's own files."""
    return not thread.main and all("compile_worker" in frame.file or not phase_of(frame) for frame in thread.frames)
