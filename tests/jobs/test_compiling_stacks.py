"""Where recorded stacks of a compiling and of a compiled program stand: phase, and the user's line. Pure."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchprobes.jobs.compiling.family import Helpers
from torchprobes.jobs.compiling.phases import WAITING, phase_of, where
from torchprobes.jobs.compiling.surroundings import Cache, Quota
from torchprobes.jobs.compiling.verdict import Seen, judged
from torchprobes.jobs.stacks import parse_pyspy
from torchprobes.rank_evidence import Frame, Stack, ThreadStack

RECORDED = Path(__file__).parent / "stacks_recorded"
PACKAGES = "/env/lib/python3.12/site-packages/"


@pytest.mark.parametrize(
    ("name", "phase", "site"),
    [
        ("tracing", "Inductor: graph passes", "comp.py:13 in <module>"),
        ("cpp", "C++: compiling", "comp.py:13 in <module>"),
        ("running", "", "comp.py:6 in M.forward"),
    ],
)
def test_a_recorded_stack_says_its_phase_and_the_users_line(name: str, phase: str, site: str) -> None:
    found = where(parse_pyspy((RECORDED / f"compiling_{name}.json").read_bytes(), 0))
    assert (found.phase, found.words) == (phase, site)


def frame(file: str, function: str) -> Frame:
    return Frame(function=function, file=file if file.startswith("/") else PACKAGES + file, line=1)


@pytest.mark.parametrize(
    ("file", "function", "phase"),
    [
        ("torch/_dynamo/symbolic_convert.py", "InstructionTranslatorBase.step", "Dynamo: tracing"),
        ("torch/_dynamo/variables/builder.py", "wrap_fx_proxy", "Dynamo: tracing"),
        ("torch/_dynamo/convert_frame.py", "_compile", "Dynamo: tracing"),
        ("torch/_functorch/aot_autograd.py", "create_aot_dispatcher_function", "AOTAutograd: tracing"),
        ("torch/_functorch/partitioners.py", "min_cut_rematerialization_partition", "AOTAutograd: partitioning"),
        ("torch/_inductor/graph.py", "GraphLowering.run_node", "Inductor: lowering"),
        ("torch/_inductor/graph.py", "GraphLowering.codegen", "Inductor: generating code"),
        ("torch/_inductor/scheduler.py", "Scheduler.fuse_nodes", "Inductor: fusing"),
        ("torch/_inductor/async_compile.py", "AsyncCompile.wait", WAITING),
        ("torch/_inductor/codecache.py", "LambdaFuture.result", WAITING),
        ("torch/_inductor/codecache.py", "compile_file", "C++: compiling"),
        ("torch/_inductor/cpp_builder.py", "_run_compile_cmd", "C++: compiling"),
        ("torch/_inductor/select_algorithm.py", "AlgorithmSelectorCache.autotune", "autotuning"),
        ("torch/_inductor/runtime/triton_heuristics.py", "CachingAutotuner.benchmark_all_configs", "autotuning"),
        ("torch/_inductor/runtime/triton_heuristics.py", "CachingAutotuner._precompile_config", "Triton: compiling"),
        ("triton/compiler/compiler.py", "compile", "Triton: compiling"),
        ("triton/backends/nvidia/compiler.py", "CUDABackend.make_cubin", "Triton: ptxas"),
        # what runs compiled code is no compiling
        ("torch/_dynamo/eval_frame.py", "_fn", ""),
        ("torch/_inductor/output_code.py", "CompiledFxGraph.__call__", ""),
        ("torch/_functorch/_aot_autograd/runtime_wrappers.py", "runtime_wrapper", ""),
        ("torch/_functorch/aot_autograd.py", "aot_module_simplified.<locals>.forward", ""),
        ("torch/_inductor/cudagraph_trees.py", "CUDAGraphTreeManager.run", ""),
        ("torch/_inductor/runtime/triton_heuristics.py", "CachingAutotuner.run", ""),
        ("torch/_inductor/utils.py", "run", ""),
        ("torch/nn/modules/module.py", "_call_impl", ""),
        ("/home/user/train.py", "compile", ""),
    ],
)  # fmt: skip
def test_a_frame_belongs_to_its_phase_or_to_none(file: str, function: str, phase: str) -> None:
    assert phase_of(frame(file, function)) == phase


def test_a_backward_graph_compiled_on_a_thread_has_the_main_threads_line() -> None:
    main = ThreadStack(main=True, frames=(frame("torch/_tensor.py", "backward"), frame("/home/user/train.py", "step")))
    engine = ThreadStack(name="pt_autograd_0", frames=(frame("torch/_inductor/graph.py", "run"),))
    found = where(Stack(how="py-spy", t_ns=0, threads=(engine, main)))
    assert (found.phase, found.words) == ("Inductor: lowering", "train.py:1 in step")


# --- the verdict ------------------------------------------------------------------------------------------------------

GXX = Helpers(kind="g++", count=3, busy=3, cpu_percent=280.0)
IDLE = Helpers(kind="compile workers", count=8, busy=0, cpu_percent=0.0)
BUSY = Helpers(kind="compile workers", count=8, busy=2, cpu_percent=190.0)


def recorded(name: str) -> Seen:
    return Seen(where=where(parse_pyspy((RECORDED / f"compiling_{name}.json").read_bytes(), 0)), torch=True)


def replaced(seen: Seen, **cells: object) -> Seen:
    return Seen(**{**{name: getattr(seen, name) for name in seen.__struct_fields__}, **cells})


def test_waiting_for_kernels_counts_the_compilers_at_work() -> None:
    stack = Stack(
        how="py-spy", t_ns=0,
        threads=(ThreadStack(main=True, frames=(
            frame("torch/_inductor/async_compile.py", "AsyncCompile.wait"), frame("/home/user/model.py", "forward"),
        )),),
    )  # fmt: skip
    found = judged(7, Seen(where=where(stack), torch=True, helpers=(GXX,), quota=Quota(cores=2.0)))
    assert found.state == "compiling"
    assert found.line == "compiling: Inductor: waiting for kernels of model.py:1 in forward; 3 g++ at 280 % CPU"
    assert found.waiting_for == 3
    assert (found.file, found.file_line) == ("/home/user/model.py", 1)
    assert "3 compilers share 2 cores" in found.notes[0]


def test_running_compiled_code_is_not_compiling_and_idle_workers_change_nothing() -> None:
    found = judged(7, replaced(recorded("running"), helpers=(IDLE,)))
    assert found.state == "not compiling"
    assert found.line == "not compiling: its main thread is at comp.py:6 in M.forward"
    assert found.how == "py-spy"
    assert found.degraded == ""


def test_a_compiler_below_a_program_that_is_not_in_torchs_is_not_sure() -> None:
    assert judged(7, replaced(recorded("running"), helpers=(GXX,))).state == "not sure"


NO_PTRACE = "py-spy: not allowed to read its memory: needs the ptrace right (root or CAP_SYS_PTRACE)"


@pytest.mark.parametrize(
    ("cells", "state", "words"),
    [
        ({"helpers": (GXX,), "for_torch": 3}, "compiling", "files of torch.compile's cache; 3 g++ at 280 % CPU"),
        ({"helpers": (BUSY,)}, "compiling", "workers are busy; 8 compile workers, 2 busy at 190 % CPU"),
        ({"helpers": (GXX,)}, "not sure", "which files they compile is not seen"),
        ({"caches": (Cache(kind="inductor", path="/c", files=9, new_files=3),)}, "not sure", "its caches grow"),
        ({}, "not sure", "tracing would not show so"),
        ({"torch": False}, "not compiling", "torch is not loaded in it"),
    ],
)  # fmt: skip
def test_without_its_stack_children_and_caches_say_what_they_can(
    cells: dict[str, object], state: str, words: str
) -> None:
    found = judged(7, replaced(Seen(why=NO_PTRACE), **cells))
    assert found.state == state
    assert words in found.line
    assert "ptrace" in found.degraded
    assert found.command.startswith("sudo torchdoctor diagnose 7")
    assert (found.phase, found.site, found.how) == ("", "", "")


def test_a_missing_py_spy_says_where_to_put_it() -> None:
    found = judged(7, Seen(why="py-spy is not installed beside torchdoctor"))
    assert found.command.startswith("pip install py-spy")
