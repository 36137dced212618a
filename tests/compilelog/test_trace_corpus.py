"""What the reader says of real traces, against what torch itself says in them: its metrics, its sums, its stacks."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

import pytest
from trace_files import NAMES, events_of, trace

from torchprobes.compilelog.events import (
    Artefact,
    Autotuned,
    CacheAsked,
    CompileEnded,
    CompileFailed,
    CompileStarted,
    Event,
    Fallback,
    Fused,
    GraphBroke,
    GraphMade,
    LimitHit,
    Line,
    Lost,
    PhaseBegan,
    PhaseEnded,
    Recompiled,
    TorchSeen,
)

_E = TypeVar("_E", bound=Event)


def _of(name: str, kind: type[_E]) -> list[_E]:
    return [event for event in events_of(name) if isinstance(event, kind)]


def _breaks(name: str) -> dict[tuple[str, int, str], int]:
    return dict(Counter((e.file.rpartition("/")[2], e.line, e.kind) for e in _of(name, GraphBroke)))


def _open(events: Iterable[Event]) -> list[str]:
    stack: list[str] = []
    for event in events:
        if isinstance(event, PhaseBegan):
            stack.append(event.name)
        elif isinstance(event, PhaseEnded):
            assert event.name in stack, event
            del stack[len(stack) - 1 - stack[::-1].index(event.name)]
    return stack


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_and_the_ops_of_a_graph_are_as_many_as_torch_counts(name: str) -> None:
    ops: dict[str, int | None] = {}
    for event in events_of(name):
        assert not isinstance(event, Lost), event
        if isinstance(event, GraphMade):
            ops[event.source.compile_id] = event.ops
        elif isinstance(event, CompileEnded) and event.ops and not event.fail_type:
            assert ops[event.source.compile_id] == event.ops
    assert len(events_of(name)) > 10


@pytest.mark.parametrize("name", ["04_recompile_storm", "x2.6.0_graph_breaks", "gpu_tune_part1"])
def test_an_artefact_is_the_payload_that_torch_has_summed(name: str) -> None:
    data = trace(name)
    artefacts = _of(name, Artefact)
    for artefact in artefacts:
        place = artefact.source.place
        payload = data[place.offset : place.offset + place.size]
        header = data[data.rfind(b"\nV", 0, place.offset) + 1 : place.offset]
        assert f'"{artefact.kind}"'.encode() in header
        assert payload.startswith(b"\t")
        assert payload.endswith(b"\n")
        told = json.loads(header[header.index(b"] {") + 2 :])["has_payload"]
        assert hashlib.md5(payload[1:-1].replace(b"\n\t", b"\n")).hexdigest() == told
    assert len(artefacts) > 25


def test_the_code_and_what_follows_it_bear_the_name_of_the_graph() -> None:
    named = {(e.kind, e.name) for e in _of("02_transformer_train", Artefact) if e.name}
    assert {name for _, name in named} == {"model__0_forward", "model__0_backward"}
    assert ("inductor_output_code", "model__0_backward") in named
    assert ("fx_graph_runnable", "") in {(e.kind, e.name) for e in _of("02_transformer_train", Artefact)}


BREAKS = {
    "03_graph_breaks": {
        ("graph_breaks.py", 9, "Failed to trace builtin operator"): 1,
        ("graph_breaks.py", 11, "Data-dependent branching"): 1,
        ("graph_breaks.py", 15, "Unsupported Tensor.item() call with capture_scalar_outputs=False"): 2,
        ("graph_breaks.py", 17, "Call to `torch._dynamo.graph_break()`"): 2,
    },
    "x2.6.0_graph_breaks": {
        ("graph_breaks.py", 9, "builtin: print"): 1,
        ("graph_breaks.py", 11, "Data-dependent jump"): 1,
        ("graph_breaks.py", 15, "Tensor.item"): 2,
        ("graph_breaks.py", 17, "skip function graph_break"): 3,
    },
    "08_ddp_gloo_rank1": {
        ("distributed.py", 1757, "Unsupported method call"): 2,
        ("contextlib.py", 105, "Attempted to call function marked as skipped"): 2,
        ("ddp_gloo.py", 11, "Data-dependent branching"): 2,
    },
    "01_mlp": {},
    "10_fullgraph_error": {},
}


@pytest.mark.parametrize("name", BREAKS)
def test_every_break_by_file_line_and_kind(name: str) -> None:
    assert _breaks(name) == BREAKS[name]


def test_a_break_has_torchs_words_and_the_users_stack() -> None:
    broke = _of("03_graph_breaks", GraphBroke)[0]
    assert broke.explanation.startswith("Dynamo does not know how to trace builtin operator `print`")
    assert [hint.partition(" ")[0] for hint in broke.hints] == ["Avoid", "If", "Please"]
    assert broke.context.startswith("builtin print [")
    assert broke.break_id == "gb0059"
    code = 'print("inside forward")               # break 1: print'
    assert broke.stack[-1] == Line("/workspace/graph_breaks.py", 9, "forward", code)
    assert broke.stack[0].function == "<module>"
    assert (broke.source.compile_id, broke.source.attempt, broke.source.pid) == ("0/0", 0, 17910)


def test_recompiles_by_entry_guard_and_line() -> None:
    told = _of("04_recompile_storm", Recompiled)
    assert [e.source.compile_id for e in told] == [f"{frame}/{n}" for frame in (0, 1) for n in range(1, 9)]
    assert {(e.function, e.line) for e in told} == {("f", 5), ("g", 11)}
    assert [len(e.failures) for e in told[:3]] == [1, 2, 3]
    assert told[1].failures[0].entry == "0/1"
    assert told[1].failures[0].guard == "tensor 'x' size mismatch at index 0. expected 3, actual 4"
    flag = told[-1].failures[0]
    line = Line("/workspace/recompile_storm.py", 13, "g", "return x.cos() + flag")
    assert (flag.entry, flag.guard, flag.at) == ("1/0", "flag == False", line)
    old = _of("x2.6.0_graph_breaks", Recompiled)[0].failures[0]
    assert (old.entry, old.guard) == ("3/0", "L['___stack0'] == 1.8451122045516968")
    assert old.at is not None
    assert (old.at.line, old.at.function) == (15, "torch_dynamo_resume_in_forward_at_15")


def test_limits_with_the_function_whose_name_the_record_does_not_say() -> None:
    hits = [(e.function, e.line, e.limit, e.limit_name) for e in _of("04_recompile_storm", LimitHit)]
    assert hits == [("f", 5, 8, "recompile_limit"), ("g", 11, 8, "recompile_limit")]
    (old,) = _of("x2.6.0_recompile_storm", LimitHit)
    assert (old.function, old.limit, old.limit_name) == ("f", None, "cache_size_limit")
    assert old.last_reason == "tensor 'L['x']' size mismatch at index 0. expected 9, actual 10"
    assert not any(e.backward for e in _of("x2.6.0_recompile_storm", CompileEnded))


def test_failures_with_the_users_line() -> None:
    (lowering,) = _of("05_inductor_fail_suppress", CompileFailed)
    assert lowering.type == "torch._inductor.exc.InductorError"
    assert lowering.reason.startswith("LoweringException: RuntimeError: lab: this lowering is broken on purpose")
    assert (lowering.function, lowering.line, lowering.suppressed) == ("f", 14, None)
    assert lowering.user == Line(lowering.file, 17, "f", "return torch.ops.lab.boom(y) * 2")
    (fullgraph,) = _of("10_fullgraph_error", CompileFailed)
    assert (fullgraph.type, fullgraph.user and fullgraph.user.line) == ("torch._dynamo.exc.Unsupported", 5)
    assert [name for name in NAMES if _of(name, CompileFailed)] == ["05_inductor_fail_suppress", "10_fullgraph_error"]


def test_fallbacks_and_which_of_them_cost_nothing() -> None:
    told = {(e.op, e.harmless) for name in NAMES for e in _of(name, Fallback)}
    attention = "aten._scaled_dot_product_flash_attention_for_cpu"
    assert told == {
        ("aten.nonzero.default", False),
        ("aten.randint.low_out", True),
        (f"{attention}.default", True),
        (f"{attention}_backward.default", True),
    }


def test_a_killed_process_says_what_it_was_compiling() -> None:
    assert [name for name in NAMES if _open(events_of(name))] == ["09_sigkill_mid_compile"]
    assert _open(events_of("09_sigkill_mid_compile"))[::8] == ["entire_backward_compile", "compile_file"]


def test_metrics_forward_backward_and_at_run_time() -> None:
    forward, backward = _of("02_transformer_train", CompileEnded)
    assert (forward.function, forward.file, forward.line) == ("forward", "/workspace/transformer_train.py", 22)
    assert (forward.backward, forward.ops, forward.nodes, forward.guards) == (False, 41, 72, 295)
    assert forward.seconds == pytest.approx(15.731181)
    phases = dict(forward.phases)
    assert (phases["entire_frame_compile"], phases["code_gen"]) == (pytest.approx(15.731181), pytest.approx(12.513413))
    assert list(phases)[:2] == ["entire_frame_compile", "backend_compile"]
    assert (backward.backward, backward.function) == (True, "forward")
    assert backward.seconds == pytest.approx(6.439341)
    assert forward.overhead_s == pytest.approx(0.101662)
    assert [e.runtime for e in _of("gpu_ok_part1", CompileEnded)] == [False, True, True]
    skips = [e.cudagraph_skip_reason for e in _of("gpu_cpu_part0", CompileEnded)]
    assert [re.sub(r"skipping cudagraphs due to ", "", skip)[:19] for skip in skips] == ["cpu device (arg1_1)"]


def test_kernels_with_their_nodes_and_the_users_lines() -> None:
    triton = _of("gpu_ok_part1", Fused)
    assert [e.kernel for e in triton] == ["triton_poi_fused_gelu_0"] * 3
    nodes = {"add", "convert_element_type_3", "convert_element_type_4", "erf", "mul", "mul_1", "mul_2"}
    assert [set(e.ops) for e in triton] == [nodes] * 3
    last = {e.kernel: e for e in _of("02_transformer_train", Fused)}
    gelu = last["cpp_fused_gelu_view_2"]
    assert "erf" in gelu.ops
    assert {(line.line, line.function) for line in gelu.lines} == {(15, "forward")}
    assert not any(kernel.startswith(("extern_kernels", "torch.ops")) for kernel in last)


def test_caches_versions_autotune_and_starts() -> None:
    asked = Counter((e.what, e.state, e.reason) for e in _of("01_mlp", CacheAsked))
    assert asked == {("aotautograd", "miss", "full_miss"): 1, ("fx_graph", "miss", "full_miss"): 1}
    assert all(len(e.key) > 40 for e in _of("01_mlp", CacheAsked))
    versions = [[e.version for e in _of(name, TorchSeen)] for name in ("01_mlp", "gpu_ok_part1", "x2.6.0_graph_breaks")]
    assert versions == [["2.13.0+cpu"], ["2.11.0+cu130"], []]
    best = _of("gpu_tune_part1", Autotuned)[0]
    assert (best.op, best.arguments) == ("addmm", "128x512, 128x256, 256x512")
    assert best.choices == (("triton_mm_2", pytest.approx(0.0076, abs=1e-4)),)
    (start,) = _of("10_fullgraph_error", CompileStarted)
    assert start.stack[-1] == Line("/workspace/fullgraph_error.py", 2, "f")
    assert len(start.stack) == 1
    (start,) = _of("gpu_ok_part1", CompileStarted)
    assert (start.stack[0].function, start.stack[-1].function) == ("<module>", "inner")


def test_ranks_stand_in_the_records() -> None:
    assert {e.source.rank for e in events_of("08_ddp_gloo_rank1") if isinstance(e, GraphBroke)} == {1}
    assert {e.source.rank for e in events_of("01_mlp")} == {None}


def test_times_are_those_of_the_writers_phases_whatever_the_time_zone() -> None:
    began = _of("gpu_ok_part1", PhaseBegan)
    assert all(e.source.at_s is not None and abs(e.source.at_s - e.time_us / 1e6) < 1 for e in began)
