"""Explanations and trees of torch.compile's files without any file: a healthy run, a bad one, one that was killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from torchprobes.compilelog.artefacts import CompileNode, ProcessNode
from torchprobes.compilelog.engine import LogsView
from torchprobes.compilelog.events import Line, Place
from torchprobes.compilelog.explanation import (
    Break,
    CacheUse,
    Compile,
    Explanation,
    Failure,
    FallbackKernel,
    Function,
    Kernel,
    Limit,
    Piece,
    Process,
    Recompile,
    Skip,
    Tuned,
)
from torchprobes.compilelog.kinds import kind_of
from torchprobes.compilelog.tree import FileView, Tree

HOSTILE = "evil\x1b[31m\x1b]52;c;AAAA\x07[bold red]name[/]\u202e"
TRAIN, MODEL = "/home/mara/net/train.py", "/home/mara/net/model.py"
TRACE = "/runs/7/torch_trace/dedicated_log_torch_trace_abcdefgh.log"
NOTHING_WRONG = Explanation(
    revision=1, root="/runs/7", torch="2.13.0+cpu", first_source="trace",
    processes=(Process("4242", 4242, torch="2.13.0+cpu", traced=True),), ranks=1, graphs=2, frames_compiled=2,
    breaks=(), recompiles=(), limits=(), suppressed=(), fatal=None, fatal_known=True, fallbacks=(), skips=(),
    caches=(), forward_s=12.4, backward_s=3.1, exit_code=0,
)  # fmt: skip
NOTHING_KNOWN = Explanation(revision=1, root="/runs/7", first_source="text", processes=(Process("4242", 4242),))


def break_at(number: int, kind: str, count: int = 1, **changes: object) -> Break:
    return replace(
        Break(TRAIN, number, kind, f"{kind}: it cannot be traced", count, "step", ("0/0", "1/0"),
              "Dynamo does not know how to trace this", ("Use torch.cond.", "Move it out."), "gb0059",
              "    if loss.sum() > 0:", places=(Place(TRACE, 1000, 200),)),
        **changes,
    )  # fmt: skip


def recompile(place: int) -> Recompile:
    return Recompile(f"0/{place}", "step", TRAIN, 14, "size", f"size of x at 0: {place + 1} expected, {place + 2} came",
                     f"tensor 'x' size mismatch at index 0. expected {place + 1}, actual {place + 2}",
                     process="4242", at_s=1000.0 + place, place=Place(TRACE, 5000 + place, 90))  # fmt: skip


COMPILES = tuple(
    Compile(f"0/{n}", "4242", "step", TRAIN, 14, ops=12 + n, graphs=1, state="compiled", started_s=1000.0 + n,
            forward_s=2.0 + n, phases=(("entire_frame_compile", 2.0 + n, 1.5), ("inductor_compile", 1.0 + n, None)),
            cache="fx_graph miss",
            pieces=(Piece("dynamo_output_graph", TRACE, 9000 + n, 300), Piece("inductor_output_code", TRACE, 9500, 80)))
    for n in range(3)
)  # fmt: skip

ALL_WRONG = replace(
    NOTHING_WRONG,
    breaks=(
        break_at(9, "Data-dependent branching", 6),
        break_at(21, "Call to a builtin print", 2),
        break_at(88, "Unsupported call", foreign=True, file="/opt/env/lib/python3.11/site-packages/einops/einops.py"),
        break_at(90, "Unsupported call", 3, foreign=True, file="/opt/env/site-packages/einops/packing.py"),
    ),
    recompiles=tuple(recompile(n) for n in range(7)),
    limits=(Limit("step", TRAIN, 14, 8, "size of x at 0: 8 expected, 9 came", "recompile_limit", "4242",
                  Place(TRACE, 7000, 80)),),
    suppressed=(Failure("broken", MODEL, 30, "3/0", "torch._inductor.exc.InductorError", "CppCompileError: C++ error",
                        Line(MODEL, 31, "broken", "return x.cumsum(0)"), "4242", Place(TRACE, 8000, 500)),),
    fallbacks=(FallbackKernel("aten.nonzero.default", "0/0", process="4242"),
               FallbackKernel("aten.convolution.default", "0/0", harmless=True)),
    skips=(Skip("mutated inputs", "mutated inputs (1 instances)", TRAIN, 40, occurrences=3),
           Skip("cpu device", "cpu device (arg1_1)", compile_id="0/0", partitioned=True)),
    caches=(CacheUse("0/0", "fx_graph", "miss"), CacheUse("0/1", "aotautograd", "hit", saved_s=2.5),
            CacheUse("0/2", "fx_graph", "bypass", "a custom op")),
    tuned=(Tuned("addmm", "64x64, 64x64", "triton_mm_4", 0.0123, (("triton_mm_4", 0.0123), ("addmm", 0.02)), "0/0"),),
    kernels=(Kernel("triton_poi_fused_relu_0", ("add", "relu"), (Line(TRAIN, 15),), "0/0", "4242",
                    Place(TRACE, 9500, 80)),),
    compiles=COMPILES,
    functions=(Function("step", TRAIN, 14, "4242", 8, 8, 12.34, "rising", 9.1, ("2", "3", "4", "5"),
                        "mark it dynamic: torch._dynamo.mark_dynamic(x, 0)"),),
    warnings=("Not enough SMs to use max_autotune_gemm mode",),
    notes=("the trace of rank 1 may not be read: mode 0600 of another user",),
    exit_code=1,
)  # fmt: skip

KILLED = replace(
    NOTHING_WRONG,
    processes=(
        Process("r0:4242", 4242, 0, open_phases=("entire_backward_compile", "inductor_compile", "compile_file"),
                open_id="0/0", open_at=Line(TRAIN, 14, "step", "    return model(x).relu()"), open_since_s=1000.0),
    ),
    exit_code=None, killed_by="SIGKILL", last_user_line="epoch 1 step 20 loss 0.31",
)  # fmt: skip

HOSTILE_ONE = replace(
    ALL_WRONG, notes=(HOSTILE,), last_user_line=HOSTILE, torch=HOSTILE, warnings=(HOSTILE,), killed_by=HOSTILE,
    breaks=(break_at(1, HOSTILE, file=HOSTILE, reason=HOSTILE, explanation=HOSTILE, code=HOSTILE, hints=(HOSTILE,)),),
    processes=(Process(HOSTILE, 1, open_phases=(HOSTILE,), open_id=HOSTILE, open_at=Line(HOSTILE, 1, HOSTILE)),),
)  # fmt: skip


def tree(*names: str) -> Tree:
    """Files below /runs/7."""
    files = tuple(FileView(f"/runs/7/{name}", name, kind_of(name), 1000 * (n + 1)) for n, name in enumerate(names))
    return Tree("/runs/7", 1, files)


class FakeEngine:
    """An engine whose view a test sets."""

    def __init__(self, view: LogsView | None = None) -> None:
        self.shown = view or LogsView()
        self.started, self.stopped = threading.Event(), threading.Event()

    def start(self) -> FakeEngine:
        self.started.set()
        return self

    def view(self) -> LogsView:
        return self.shown

    def stop(self) -> None:
        self.stopped.set()


def engine_of(view: LogsView) -> Callable[[str], FakeEngine]:
    """Makes engines that show `view`."""
    return lambda root: FakeEngine(view).start()


def node(*compiles: CompileNode, files: tuple[str, ...] = ()) -> ProcessNode:
    """The one process of the fake run."""
    return ProcessNode("4242", "pid 4242", compiles, files)
