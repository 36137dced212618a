"""The texts of real runs, torch 2.1 to 2.15: what was said is told, once, and nothing else."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from text_files import NAMES, of, read, text_of

from torchprobes.compilelog.events import (
    Autotuned,
    CacheAsked,
    CompileEnded,
    CompileFailed,
    CompileStarted,
    CudagraphSkip,
    Event,
    Exited,
    Fallback,
    Folder,
    GraphBroke,
    GraphMade,
    LimitHit,
    Lost,
    Recompiled,
    TorchSeen,
    Uncaught,
)
from torchprobes.compilelog.text import TextReader

ITEM = "Unsupported Tensor.item() call with capture_scalar_outputs=False"
BREAKS = {
    "text_2.1_breaks": [
        ("0/0", 9, "call_function BuiltinVariable(print)"),
        ("1/0", 11, "generic_jump TensorVariable()"),
        ("2/0", 15, "Tensor.item"),
        ("3/0", 17, "call_function graph_break in skip_files"),
        ("5/0", 15, "Tensor.item"),
        ("3/1", 17, "call_function graph_break in skip_files"),
        ("3/2", 17, "call_function graph_break in skip_files"),
    ],
    "text_2.6_breaks": [
        ("0/0", 9, "builtin: print"),
        ("1/0", 11, "Data-dependent jump"),
        ("2/0", 15, "Tensor.item"),
        ("3/0", 17, "skip function graph_break"),
        ("5/0", 15, "Tensor.item"),
        ("3/1", 17, "skip function graph_break"),
        ("3/2", 17, "skip function graph_break"),
    ],
    "text_2.15_breaks": [
        ("0/0", 9, "Failed to trace builtin operator"),
        ("1/0", 11, "Data-dependent branching"),
        ("2/0", 15, ITEM),
        ("3/0", 17, "Call to `torch._dynamo.graph_break()`"),
        ("5/0", 15, ITEM),
        ("3/1", 17, "Call to `torch._dynamo.graph_break()`"),
    ],
}
RECOMPILES = {"text_2.1_breaks": ["3/1", "3/2"], "text_2.6_breaks": ["3/1", "3/2"], "text_2.15_breaks": ["3/1"]}
GRAPHS = {"text_2.1_breaks": 8, "text_2.6_breaks": 8, "text_2.15_breaks": 7}


@pytest.fixture(scope="module")
def events() -> dict[str, list[Event]]:
    return {name: read(text_of(name)) for name in NAMES}


@pytest.mark.parametrize("name", BREAKS)
def test_breaks_recompiles_and_graphs(events: dict[str, list[Event]], name: str) -> None:
    breaks = of(events[name], GraphBroke)
    assert [(e.source.compile_id, e.line, e.kind) for e in breaks] == BREAKS[name]
    assert {e.file for e in breaks} == {"/workspace/graph_breaks.py"}
    assert [e.source.compile_id for e in of(events[name], Recompiled)] == RECOMPILES[name]
    made = of(events[name], GraphMade)
    assert len({e.source.compile_id for e in made}) == GRAPHS[name]
    assert all(e.ops for e in made)
    assert len(of(events[name], CompileEnded)) == GRAPHS[name]
    assert not of(events[name], Uncaught) + of(events[name], CompileFailed) + of(events[name], Lost)


def test_a_break_says_what_torch_says_of_it(events: dict[str, list[Event]]) -> None:
    first = of(events["text_2.15_breaks"], GraphBroke)[0]
    assert first.break_id == "gb0059"
    assert first.explanation.startswith("Dynamo does not know how to trace builtin operator `print`")
    assert len(first.hints) == 3
    assert first.context.startswith("builtin print")
    assert (first.stack[-1].function, first.stack[-1].line) == ("forward", 9)
    assert first.stack[-1].code.startswith('print("inside forward")')
    assert first.source.pid is not None
    assert first.source.at_s is not None


def test_guards_say_their_entry_and_line(events: dict[str, list[Event]]) -> None:
    last = of(events["text_2.6_breaks"], Recompiled)[-1]
    assert [(f.entry, f.guard) for f in last.failures] == [
        ("3/1", "L['___stack0'] == 1.7952159643173218"),
        ("3/0", "L['___stack0'] == 1.8451122045516968"),
    ]
    new = of(events["text_2.15_breaks"], Recompiled)[0]  # with lines of "User stack trace:" between the guards
    assert [(f.entry, f.guard, f.at and f.at.line) for f in new.failures] == [
        ("3/0", "___stack0 == 1.8451122045516968", 16)
    ]


def test_recompiles_of_2_1_get_the_id_of_the_compile_that_follows(events: dict[str, list[Event]]) -> None:
    told = of(events["text_2.1_storm"], Recompiled)
    ids = [f"0/{n}" for n in range(1, 12)] + [f"1/{n}" for n in range(1, 14)]
    assert [e.source.compile_id for e in told] == ids
    assert told[0].failures[0].guard == "tensor 'L['x']' size mismatch at index 0. expected 2, actual 3"
    assert [e.version for e in of(events["text_2.1_storm"], TorchSeen)] == ["2.1-2.2"]


def test_a_recompile_of_2_1_has_the_id_that_a_later_word_of_its_compile_says() -> None:
    at, guard = "[2026-11-26 08:01:48,502]", "tensor 'L['x']' dtype mismatch. expected Float, actual Double"
    words = ("Recompiling function f in /w/a.py:2", f"triggered by the following guard failure: {guard}")
    again = f"{at} torch._dynamo.convert_frame.__recompiles: [DEBUG] {words!r}\n"
    folder = f"{at} [{{}}] torch._inductor.debug: [WARNING] model__{{}} debug trace: /tmp/x\n".format
    told = read(folder("0/0", 1) + again + folder("0/0", 2) + folder("1/0", 3) + folder("0/1", 4) + again)
    assert [one.source.compile_id for one in of(told, Recompiled)] == ["0/1", ""]


def test_limits(events: dict[str, list[Event]]) -> None:
    two = of(events["text_2.13_limit"], LimitHit)
    assert [(e.function, e.line, e.limit, e.limit_name) for e in two] == [
        ("f", 5, 8, "recompile_limit"),
        ("g", 11, 8, "recompile_limit"),
    ]
    assert two[0].last_reason == "0/7: tensor 'x' size mismatch at index 0. expected 9, actual 10"
    old = of(events["text_2.6_limit"], LimitHit)[0]
    assert (old.limit_name, old.limit, old.source.compile_id) == ("cache_size_limit", 8, "0/8")
    oldest = of(events["text_2.1_limit"], LimitHit)[0]
    assert (oldest.limit, oldest.function, oldest.line, oldest.source.compile_id) == (3, "g", 63, "0/3")


def test_two_ranks_on_one_pipe(events: dict[str, list[Event]]) -> None:
    told = events["text_2.13_ranks"]
    for rank in (0, 1):
        own = [e for e in told if e.source.rank == rank]
        assert len({e.source.pid for e in own}) == 1
        assert [e.line for e in of(own, GraphBroke) if "ddp_gloo" in e.file] == [11, 11]
        assert [e.source.compile_id for e in of(own, Recompiled)] == ["0/1", "4/1", "5/1"]


def test_failures(events: dict[str, list[Event]]) -> None:
    failed = of(events["text_2.13_suppressed"], CompileFailed)
    assert [(e.type, e.suppressed, e.function, e.line) for e in failed] == [
        ("torch._inductor.exc.InductorError", True, "f", 14)
    ]
    assert failed[0].reason.startswith("LoweringException: RuntimeError: lab: this lowering is broken on purpose")
    old = of(events["text_2.1_suppress"], CompileFailed)
    assert [(e.source.compile_id, e.function, e.reason.split("\n")[0]) for e in old] == [
        ("0/0", "f", "backend='inductor' raised:"),
        ("1/0", "g", "backend='bad' raised:"),
    ]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("text_2.13_fatal", "torch._dynamo.exc.Unsupported", "Data-dependent branching"),
        ("text_2.1_backend", "torch._dynamo.exc.BackendCompilerFailed", "backend='bad' raised:"),
        ("text_2.11_tune", "RuntimeError", "Error: accessing tensor output of CUDAGraphs that has been overwritten"),
    ],
)
def test_what_ended_the_program(events: dict[str, list[Event]], name: str, kind: str, words: str) -> None:
    (fatal,) = of(events[name], Uncaught)
    assert fatal.type == kind
    assert fatal.reason.startswith(words)
    assert fatal.stack[0].function == "<module>"
    assert not fatal.withdrawn


def test_the_users_line_of_a_fatal_error(events: dict[str, list[Event]]) -> None:
    (fatal,) = of(events["text_2.13_fatal"], Uncaught)
    assert fatal.user
    assert (fatal.user.line, fatal.user.code) == (5, "if y.sum() > 0:")


def test_nothing_ended_the_others(events: dict[str, list[Event]]) -> None:
    ended = {"text_2.13_fatal", "text_2.1_backend", "text_2.11_tune"}
    for name in NAMES:
        assert name in ended or not of(events[name], Uncaught), name
        assert not of(events[name], Exited), name


def test_cudagraph_skips(events: dict[str, list[Event]]) -> None:
    (cpu,) = of(events["text_2.11_cpu_skip"], CudagraphSkip)
    assert (cpu.kind, cpu.reason, cpu.at and cpu.at.line) == ("cpu device", "cpu device (arg1_1)", 6)
    (op,) = of(events["text_2.11_nonzero"], CudagraphSkip)
    assert (op.kind, op.reason, op.at and op.at.line) == ("incompatible op", "incompatible op aten.nonzero.default", 25)
    (part,) = of(events["text_2.11_parts"], CudagraphSkip)
    assert part.partitioned
    assert (part.kind, part.at and part.at.line) == ("unbacked binding ops", 25)


def test_autotune_tables(events: dict[str, list[Event]]) -> None:
    tables = of(events["text_2.11_tune"], Autotuned)
    assert [e.op for e in tables] == ["addmm", "addmm", "mm", "mm", "mm"]
    assert tables[0].arguments == "128x512, 128x256, 256x512"
    assert tables[0].choices[0] == ("triton_mm_2", 0.0076)
    assert len(tables[0].choices) == 10
    assert tables[2].seconds == pytest.approx(0.1904 + 3.2877)


def test_fallbacks_and_caches_once_each(events: dict[str, list[Event]]) -> None:
    ops = of(events["text_2.13_train"], Fallback)
    flash = "aten._scaled_dot_product_flash_attention_for_cpu"
    assert [(e.op, e.harmless) for e in ops] == [(f"{flash}.default", True), (f"{flash}_backward.default", True)]
    caches = of(events["text_2.13_train"], CacheAsked)
    assert [(e.what, e.state, e.source.compile_id) for e in caches] == [("fx_graph", "miss", "0/0")] * 2
    assert [(e.op, e.harmless) for e in of(events["text_2.11_parts"], Fallback)] == [("aten.nonzero.default", False)]


def test_ops_of_a_graph(events: dict[str, list[Event]]) -> None:
    # As many as the structured traces of the same runs say, where there are traces.
    ops = {name: [e.ops for e in of(events[name], GraphMade)] for name in NAMES}
    assert ops["text_2.13_train"] == [41]
    assert ops["text_2.11_parts"] == [7]
    assert ops["text_2.15_breaks"] == [2, 3, 3, 2, 1, 3, 4]
    assert ops["text_2.1_breaks"] == [2, 3, 3, 2, 1, 3, 2, 2]


def test_forward_and_backward_seconds(events: dict[str, list[Event]]) -> None:
    for name, seconds in (("text_2.13_train", (18.9, 8.1)), ("text_2.1_train", (41.2, 30.3))):
        ended = {e.backward: e.seconds for e in of(events[name], CompileEnded)}
        assert ended[False] == pytest.approx(seconds[0], abs=2.0), name
        assert ended[True] == pytest.approx(seconds[1], abs=1.0), name
        assert {e.source.compile_id for e in of(events[name], CompileEnded)} == {"0/0"}


def test_a_loop_that_2_1_gives_up(events: dict[str, list[Event]]) -> None:
    told = of(events["text_2.1_mix"], GraphBroke)
    assert [e.line for e in told if "loop" in e.kind] == [19]
    inlined = [e for e in told if e.source.compile_id == "5/0"]
    assert [(e.line, len(e.stack)) for e in inlined] == [(24, 2)]
    started = [e.stack[-1].function for e in of(events["text_2.1_mix"], CompileStarted)]
    assert started[:3] == ["f", "<resume in f>", "<resume in f>"]


def test_folders_name_their_compile(events: dict[str, list[Event]]) -> None:
    told = of(events["text_2.13_noisy"], Folder)  # behind progress bars, colours and other loggers' lines
    assert [(e.source.compile_id, e.name) for e in told] == [
        ("0/0", "model__0_forward_1"),
        ("0/0", "model__0_backward_3"),
        ("0/1", "model__1_forward_5"),
        ("0/1", "model__1_backward_6"),
    ]


@pytest.mark.parametrize("cut", [97, 4093])
def test_the_cuts_between_reads_change_nothing(events: dict[str, list[Event]], cut: int) -> None:
    for name in NAMES:
        assert read(text_of(name)[:200_000], cut) == read(text_of(name)[:200_000]), name


@pytest.mark.parametrize("name", ["text_2.1_mix", "text_2.1_storm", "text_2.15_breaks"])
def test_nothing_is_told_twice_wherever_the_file_stands_still(events: dict[str, list[Event]], name: str) -> None:
    data, reader, told = text_of(name), TextReader("stderr.log"), list[Event]()
    chance = random.Random(name)
    start = 0
    while start < len(data):
        stop = start + chance.choice((100, 3_000, 20_000))
        told += reader.feed(data[start:stop]) + reader.finish()
        start = stop

    def places(events: list[Event]) -> Counter[tuple[str, int]]:
        return Counter((type(e).__name__, e.source.place.offset) for e in events if not isinstance(e, Lost))

    assert places(told) == places(events[name])
