"""What other versions of torch write: 2.3 to 2.5 (thread ids, no phases), 2.7, forked and compiled-autograd records."""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from trace_files import phase, read, record

from torchprobes.compilelog.breaks import kind_of
from torchprobes.compilelog.events import (
    Artefact,
    CacheAsked,
    CompileEnded,
    CompileFailed,
    CompileStarted,
    Event,
    GraphBroke,
    GraphMade,
    GuardFailure,
    LimitHit,
    Line,
    PhaseBegan,
    Recompiled,
    TorchSeen,
)
from torchprobes.compilelog.harmless import is_harmless
from torchprobes.compilelog.trace import TraceReader

BREAK_27 = """Graph break in user code at /home/me/my code/a.py:9
Graph Break Reason: Call to `torch._dynamo.graph_break()`
  Explanation: User-inserted graph break. Message: None
  Hint: Remove the `torch._dynamo.graph_break()` call.

  Developer debug context: Called `torch._dynamo.graph_break()` with args `[]`, kwargs `{}`

User code traceback:
  File "/home/me/my code/a.py", line 9, in forward
    torch._dynamo.graph_break()

Traceback (most recent call last):
  File "/lib/torch/_dynamo/symbolic_convert.py", line 1076, in wrapper
    return inner_fn(self, inst)
torch._dynamo.exc.Unsupported: Call to `torch._dynamo.graph_break()`
"""
EXCEEDED_213 = (
    "Dynamo recompile limit exceeded\n  Explanation: Dynamo attempted to recompile the code object too many times, "
    "exceeding the accumulated_recompile_limit cache size limit (currently set to 256). Excessive"
)
EXCEEDED_27 = (
    "Dynamo cache limit exceeded\n  Explanation: Dynamo attempted to recompile the code object too many times, "
    "exceeding the recompile_limit cache size limit.Giving up on compiling"
)
SKIPPED = """Traceback (most recent call last):
  File "/lib/torch/_dynamo/convert_frame.py", line 2102, in _compile
    guarded_code, tracer_output = compile_inner(code, one_graph, hooks)
torch._dynamo.exc.Unsupported: Call to `torch._dynamo.graph_break()`
  Explanation: User-inserted graph break. Message: None

from user code:
   File "/home/me/my code/a.py", line 9, in forward
    torch._dynamo.graph_break()
"""
WORKER_DIED = """Traceback (most recent call last):
  File "/lib/torch/_inductor/graph.py", line 1, in call_function
    x()
RuntimeError: inner

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/lib/torch/_dynamo/convert_frame.py", line 2102, in _compile
    guarded_code, tracer_output = compile_inner(code, one_graph, hooks)
torch._inductor.exc.InductorError: SubprocException: An exception occurred in a subprocess:

Traceback (most recent call last):
  File "/lib/torch/_inductor/compile_worker/subproc_pool.py", line 337, in do_job
    result = job()
CppCompileError: C++ compile error

Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace
"""


def _only(data: bytes) -> Event:
    (event,) = [event for event in read(data) if not isinstance(event, Artefact)]
    return event


def test_a_thread_id_is_no_pid_and_the_times_are_this_machines() -> None:
    now = time.localtime()
    when = time.strftime("%m%d %H:%M:%S", now) + ".250000"
    start = _only(record("dynamo_start", {"stack": []}, pid=139993281812288, when=when))
    assert start.source.pid is None
    assert start.source.at_s == pytest.approx(time.mktime(now) + 0.25, abs=1.5)
    assert isinstance(start, CompileStarted)
    assert start.stack == ()


def test_a_phase_tells_the_year_and_the_time_zone_and_a_new_year_turns() -> None:
    epoch_s = calendar.timegm((2031, 12, 31, 22, 59, 59))  # written in UTC+1
    data = phase("dynamo", "B", epoch_s * 1e6).replace(b"V1123 06:12:11.791000", b"V1231 23:59:59.000000")
    data += record("dynamo_start", {"stack": []}, when="1231 23:59:59.500000")
    data += record("dynamo_start", {"stack": []}, when="0101 00:00:01.000000")
    times = [event.source.at_s for event in read(data)]
    assert times[1:] == [epoch_s + 0.5, epoch_s + 2]


def test_a_day_that_is_none_has_no_time() -> None:
    assert _only(record("dynamo_start", {"stack": []}, when="1345 06:12:11.791000")).source.at_s is None


@pytest.mark.parametrize(
    ("keys", "compile_id"),
    [
        ({"compiled_autograd_id": 3, "frame_id": 1, "frame_compile_id": 2}, "!3/1/2"),
        ({"compiled_autograd_id": 3}, "!3"),
        ({"frame_id": 1, "frame_compile_id": 2, "attempt": 4}, "1/2"),
        ({"rank": None}, ""),
    ],
)
def test_compile_ids_as_torch_writes_them(keys: dict[str, Any], compile_id: str) -> None:
    start = _only(record("dynamo_start", {"stack": []}, compile_id=None, **keys))
    assert start.source.compile_id == compile_id
    assert start.source.attempt == keys.get("attempt", 0)


def test_a_phase_outside_of_the_context_says_its_compile_itself() -> None:
    data = phase("compile_file", "B", 1.7e15, compile_id=None)
    named = data.replace(b"None", b"4/2 ").replace(b"4/2 ", b"4/2")
    assert _only(data + record("later", {})).source.compile_id == ""
    reader = TraceReader("trace.log")
    (began,) = reader.feed(named + record("later", {}))
    assert isinstance(began, PhaseBegan)
    assert began.source.compile_id == "4/2"


def test_a_break_of_2_7_and_the_failure_that_only_leaves_its_frame_to_eager() -> None:
    data = record("dynamo_graph_break_reason", payload=BREAK_27) + record("dynamo_error", payload=SKIPPED)
    broke = _only(data)
    assert isinstance(broke, GraphBroke)
    assert (broke.file, broke.line, broke.kind) == ("/home/me/my code/a.py", 9, "Call to `torch._dynamo.graph_break()`")
    assert broke.stack == (Line("/home/me/my code/a.py", 9, "forward", "torch._dynamo.graph_break()"),)
    assert broke.break_id == ""
    fatal = _only(record("dynamo_error", payload=SKIPPED))
    assert isinstance(fatal, CompileFailed)
    assert (fatal.type, fatal.user and fatal.user.line) == ("torch._dynamo.exc.Unsupported", 9)


def test_breaks_of_a_compile_are_forgotten_when_dynamo_is_reset() -> None:
    start = record("dynamo_start", {"stack": []})
    data = (
        start + record("dynamo_graph_break_reason", payload=BREAK_27) + start + record("dynamo_error", payload=SKIPPED)
    )
    assert [type(e) for e in read(data) if not isinstance(e, Artefact)] == [
        CompileStarted,
        GraphBroke,
        CompileStarted,
        CompileFailed,
    ]


@pytest.mark.parametrize("variant", ["(user stack suppressed due to duplicate graph break)", "(details suppressed)"])
def test_a_break_whose_stack_was_told_before(variant: str) -> None:
    broke = _only(
        record(
            "dynamo_graph_break_reason", payload=f"Graph break {variant} in user code at a.py:7\nReason: Unsupported: x"
        )
    )
    assert isinstance(broke, GraphBroke)
    assert (broke.file, broke.line, broke.kind, broke.stack) == ("a.py", 7, "x", ())


def test_the_failure_of_a_compile_worker_is_dynamos_own() -> None:
    failed = _only(record("dynamo_error", payload=WORKER_DIED))
    assert isinstance(failed, CompileFailed)
    assert failed.type == "torch._inductor.exc.InductorError"
    assert failed.reason.endswith("CppCompileError: C++ compile error")


def test_a_frame_that_dynamo_skips_is_no_failure() -> None:
    skipped = SKIPPED.replace("exc.Unsupported: Call", "exc.SkipFrame: Call")
    assert [type(event) for event in read(record("dynamo_error", payload=skipped))] == [Artefact]


def test_failures_of_2_3_to_2_5_are_told_by_the_metrics() -> None:
    said = {
        "co_name": "f",
        "co_filename": "a.py",
        "co_firstlineno": 3,
        "entire_frame_compile_time_s": 1.5,
        "fail_type": "BackendCompilerFailed",
        "fail_reason": "backend='inductor' raised",
        "fail_user_frame_filename": "a.py",
        "fail_user_frame_lineno": 5,
        "start_time": 1.7e9,
        "compile_id": "0/0",
    }
    ended, failed = read(record("compilation_metrics", said, compile_id=None))
    assert isinstance(ended, CompileEnded)
    assert (ended.seconds, ended.ops, ended.source.compile_id) == (1.5, None, "0/0")
    assert ended.phases == (("entire_frame_compile", 1.5),)
    assert isinstance(failed, CompileFailed)
    assert (failed.type, failed.function, failed.user) == ("BackendCompilerFailed", "f", Line("a.py", 5))
    assert len(read(record("compilation_metrics", said | {"fail_type": "Unsupported"}))) == 1
    told = record("dynamo_error", payload=WORKER_DIED) + record("compilation_metrics", said)
    assert [type(e) for e in read(told)] == [CompileFailed, Artefact, CompileEnded]


@pytest.mark.parametrize(
    ("kind", "reason", "name", "limit", "events"),
    [
        ("Unsupported", EXCEEDED_213, "accumulated_recompile_limit", 256, [CompileEnded, LimitHit]),
        ("Unsupported", EXCEEDED_27, "recompile_limit", None, [CompileEnded, LimitHit]),
        ("CacheLimitExceeded", "accumulated_cache_size_limit reached", "accumulated_cache_size_limit", None,
         [CompileEnded, LimitHit]),
        ("FailOnRecompileLimitHit", "Hard failure due to fullgraph=True", "recompile_limit", None,
         [CompileEnded, LimitHit, CompileFailed]),
    ],
)  # fmt: skip
def test_limits_in_the_words_of_each_version(
    kind: str, reason: str, name: str, limit: int | None, events: list[type[Event]]
) -> None:
    start = record("dynamo_start", {"stack": [{"line": 5, "name": "f", "filename": 0}]})
    reasons = record("recompile_reasons", payload="0/7: x == 7", compile_id=(0, 8))
    told = read(
        record("str", ["a.py", 0], compile_id=None)
        + start
        + reasons
        + record("compilation_metrics", {"fail_type": kind, "fail_reason": reason}, compile_id=(0, 8))
    )
    told = [event for event in told if not isinstance(event, Artefact)][2:]
    assert [type(event) for event in told] == events
    hit = told[1]
    assert isinstance(hit, LimitHit)
    assert (hit.limit_name, hit.limit, hit.function, hit.file, hit.line) == (name, limit, "f", "a.py", 5)
    assert hit.last_reason == "x == 7"


def _reasons() -> Iterator[tuple[str, tuple[GuardFailure, ...]]]:
    yield "L['x'] is None", (GuardFailure("", "L['x'] is None"),)
    yield "!0/1/2: a == 1", (GuardFailure("!0/1/2", "a == 1"),)
    at = Line("w/a.py", 5, "f", "if x.shape[0] > 100:")
    text = "2 <= x.size()[0]  # if x.shape[0] > 100:  # w/a.py:5 in f (user code shown is first use)"
    yield f"0/1: {text}", (GuardFailure("0/1", "2 <= x.size()[0]", at),)
    two = [
        "0/1: a == 1",
        '0/0: b == 2   # c  # d.py:1 in <module>\nUser stack trace:\n  File "/d.py", line 1, in g\n    c',
    ]
    yield (
        "[\n" + ",\n".join(map(json.dumps, two)) + "\n]",
        (
            GuardFailure("0/1", "a == 1"),
            GuardFailure("0/0", "b == 2", Line("/d.py", 1, "g", "c")),
        ),
    )


@pytest.mark.parametrize(("payload", "failures"), [*_reasons()])
def test_recompile_reasons_one_or_a_list(payload: str, failures: tuple[GuardFailure, ...]) -> None:
    told = _only(record("recompile_reasons", payload=payload, compile_id=(0, 2)))
    assert isinstance(told, Recompiled)
    assert told.failures == failures
    assert told.function == ""


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("fx_graph_cache_hash", {"cache_state": "hit", "key": "k", "time_saved_ns": 5e8}, ("fx_graph", "hit", "", 0.5)),
        ("fx_graph_cache_bypass", {"cache_bypass_reason": "custom op"}, ("fx_graph", "bypass", "custom op", None)),
        ("aotautograd_cache_hit", {"cache_state": "hit"}, ("aotautograd", "hit", "", None)),
        ("fx_graph_bundled_cache_hit", {"key": None}, ("fx_graph_bundled", "hit", "", None)),
    ],
)
def test_caches_of_each_version(name: str, said: object, expected: tuple[object, ...]) -> None:
    asked = _only(record(name, payload=json.dumps(said)))
    assert isinstance(asked, CacheAsked)
    assert (asked.what, asked.state, asked.reason, asked.saved_s) == expected


def test_an_artefact_that_torch_had_nothing_to_say_in_is_no_loss() -> None:
    """With a warm cache provenance is a record without a payload."""
    reader = TraceReader("trace.log")
    name = "inductor_provenance_tracking_node_mappings"
    data = record(name, payload="").partition(b', "has_payload"')[0] + b"}\n"
    assert reader.feed(data) == []
    assert reader.counted.names == {name: 1}


def test_a_hash_that_says_no_state_is_only_an_artefact() -> None:
    assert [type(event) for event in read(record("fx_graph_cache_hash", payload='{"key": "k"}'))] == [Artefact]


def test_the_version_is_told_once() -> None:
    data = record("compilation_metrics", {"pytorch_version": "2.9.1"}) * 2
    assert [type(event) for event in read(data)] == [TorchSeen, CompileEnded, CompileEnded]


def test_names_that_are_not_known_are_counted_and_their_payloads_can_be_read() -> None:
    reader = TraceReader("trace.log")
    data = record("new_in_2_16", {"a": 1}) * 3 + record("new_artefact", payload="text")
    (artefact,) = reader.feed(data)
    assert isinstance(artefact, Artefact)
    assert (artefact.kind, artefact.source.place.size) == ("new_artefact", 6)
    assert reader.counted.names == {"new_in_2_16": 3, "new_artefact": 1}
    assert reader.counted.records == 4


GRAPH = """class GraphModule(torch.nn.Module):
    def forward(self, L_x_: "f32[4]cpu"):
        l_x_ = L_x_
        weight = self.weight;  other = None
        inner = getattr(self, "0").weight

         # File: /a.py:8 in forward, code: x = self.a(x).relu()
        y: "f32[4]cpu" = torch.sin(l_x_);  l_x_ = None
        y[0] = 1;  setitem = y;  setitem = None
        y += 2;  iadd: "f32[4]cpu" = y;  y = None
        t: "f32[4]cpu" = iadd.T
        m = self.linear(t)
        true_graph_0 = self.true_graph_0
        cond = torch.ops.higher_order.cond(m, true_graph_0);  m = true_graph_0 = None
        return (cond,)

    class true_graph_0(torch.nn.Module):
        def forward(self, x):
            sin = x.sin()
            return (sin,)
"""


def test_ops_of_a_readable_graph() -> None:
    made = _only(record("dynamo_output_graph", {"sizes": {}}, GRAPH))
    assert isinstance(made, GraphMade)
    assert made.ops == 6


def test_harmless_ops_and_kinds() -> None:
    attention = "aten._scaled_dot_product_efficient_attention.default"
    harmless = (attention, "aten.convolution_backward.default", "aten.addmm.out", "aten._fft_r2c.default", "aten.mm")
    assert [is_harmless(op) for op in harmless] == [True] * len(harmless)
    costly = ("aten.nonzero.default", "aten.sort.stable", "mine.scale.default", "aten._embedding_bag.default")
    assert [is_harmless(op) for op in costly] == [False] * len(costly)
    assert kind_of("builtin: print [<class 'A'>] False") == "builtin: print"
