"""What several files say of the same things: nothing twice, nothing lost, and each process's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from ledger_events import DEBUG, STDERR, USER, Writer  # pyright: ignore[reportMissingImports]

from torchprobes.compilelog.events import (
    Autotuned,
    CacheAsked,
    CudagraphSkip,
    Event,
    Exited,
    Fallback,
    Folder,
    Fused,
    Line,
    Loss,
    Lost,
    PhaseBegan,
    PhaseEnded,
    Place,
    Said,
    Source,
    TorchSeen,
)
from torchprobes.compilelog.explanation import Explanation
from torchprobes.compilelog.ledger import Ledger, document

SIZE = "tensor 'x' size mismatch at index 0. expected 4, actual 5"


def told(*files: Iterable[Event]) -> Explanation:
    """The same for all orders in which the files can be read."""
    found = {}
    for order in itertools.permutations([list(file) for file in files]):
        ledger = Ledger("/run")
        for file in order:
            for event in file:
                ledger.take(event)
        ledger.ended(STDERR)
        found[repr(document(ledger.explanation()))] = ledger.explanation()
    assert len(found) == 1
    return next(iter(found.values()))


def test_nothing_at_all_is_unknown() -> None:
    nothing = Ledger("/run").explanation()
    assert (nothing.graphs, nothing.breaks, nothing.recompiles, nothing.limits) == (None, None, None, None)
    assert (nothing.skips, nothing.fallbacks, nothing.suppressed, nothing.caches) == (None, None, None, None)
    assert not nothing.fatal_known
    assert document(nothing)["processes"] is None


def test_trace_and_stderr_of_one_process_tell_everything_twice_and_it_counts_once() -> None:
    files = []
    for path in ("/run/trace.log", STDERR):
        w = Writer(path)
        files.append(
            [
                *w.compiled("0/0"),
                w.broke("0/0"),
                w.broke("0/0", attempt=1),
                w.again("0/1", ("0/0", SIZE)),
                *w.compiled("0/1"),
                w.broke("0/1"),
                w.again("0/2", ("0/1", SIZE)),
                w.limit("0/2"),
                Fallback(w.source("0/1"), "aten.nonzero.default"),
                CudagraphSkip(w.source("0/1"), "cpu device", "cpu device (x)"),
                CacheAsked(w.source("0/1"), "fx_graph", "miss", "fabc"),
                Fused(w.source("0/1"), "cpp_fused_add_0", ("add",)),
            ]
        )
    found = told(*files)
    assert (found.graphs, found.frames_compiled, found.forward_s, len(found.processes)) == (2, 2, 2.0, 1)
    assert [(b.line, b.occurrences, b.compile_ids, b.function) for b in found.breaks or ()] == [
        (5, 2, ("0/0", "0/1"), "f")
    ]
    assert [r.compile_id for r in found.recompiles or ()] == ["0/1"]
    assert [(limit.function, limit.limit) for limit in found.limits or ()] == [("f", 8)]
    assert [len(rows or ()) for rows in (found.fallbacks, found.skips, found.caches, found.kernels)] == [1, 1, 1, 1]
    assert [c.state for c in found.compiles] == ["compiled", "compiled", "eager"]


def test_text_adds_what_the_trace_lacks() -> None:
    """torch 2.3 and 2.4: starts, graphs and metrics in the trace, breaks and reasons on stderr."""
    w, err = Writer(), Writer(STDERR)
    found = told(
        [*w.compiled("0/0"), *w.compiled("0/1")],
        [err.broke("0/0"), err.again("0/1", ("0/0", SIZE))],
    )
    assert [b.occurrences for b in found.breaks or ()] == [1]
    assert [(r.compile_id, r.kind) for r in found.recompiles or ()] == [("0/1", "size")]


def test_traces_before_2_6_hold_no_breaks() -> None:
    """2.3 and 2.4 write the thread in place of the pid; one of 2.5 tells of a break by its restart alone."""
    old = Writer(pid=None)
    found = told([*old.compiled("0/0")])
    assert (found.graphs, found.breaks, found.caches, found.recompiles) == (1, None, None, ())
    w = Writer()
    assert told([w.start("0/0"), w.restarted("0/0", "builtin: print")]).breaks is None
    own = "<class 'torch._dynamo.exc.TensorifyScalarRestartAnalysis'>"
    assert told([w.start("1/0"), w.restarted("1/0", own)]).breaks == ()
    assert len(told([w.start("2/0"), w.broke("2/0"), w.restarted("2/0", "print")]).breaks or ()) == 1


def test_a_recompile_that_nobody_explains_is_told_all_the_same() -> None:
    w = Writer()
    found = told([*w.compiled("0/0"), *w.compiled("0/1")])
    assert [(r.compile_id, r.kind, r.function) for r in found.recompiles or ()] == [("0/1", "unknown", "f")]


def test_ids_repeat_in_every_process() -> None:
    one, two = Writer("/run/trace.log", 7, 0), Writer("/run/trace.log", 8, 1)
    found = told([*one.compiled("0/0"), one.broke("0/0")], [*two.compiled("0/0"), two.broke("0/0")])
    assert (found.graphs, found.ranks, [p.key for p in found.processes]) == (2, 2, ["r0:7", "r1:8"])
    assert [(b.occurrences, b.processes) for b in found.breaks or ()] == [(2, ("r0:7", "r1:8"))]


def test_a_rank_that_is_said_later_is_the_same_process() -> None:
    w = Writer()
    early = w.compiled("0/0")
    w.rank = 3
    found = told([*early, *w.compiled("1/0")])
    assert [(p.key, p.rank) for p in found.processes] == [("r3:7", 3)]


def test_ids_repeat_after_a_reset() -> None:
    """torch._dynamo.reset(): 0/0 is another function then."""
    w, err = Writer(), Writer(STDERR)
    found = told(
        [*w.compiled("0/0"), w.broke("0/0", 5), *w.compiled("0/0"), w.broke("0/0", 6)],
        [err.broke("0/0", 5), err.broke("0/0", 6)],
    )
    assert (found.graphs, found.frames_compiled) == (2, 2)
    assert sorted((b.line, b.occurrences) for b in found.breaks or ()) == [(5, 1), (6, 1)]
    assert found.recompiles == ()


def test_the_graph_of_an_attempt_that_was_dropped_is_none() -> None:
    w = Writer()
    found = told([w.start("0/0"), w.graph("0/0", attempt=1), w.graph("0/0", attempt=2), w.end("0/0")])
    assert (found.graphs, found.compiles[0].attempts) == (1, 3)


def test_a_frame_without_ops_is_compiled_and_has_no_graph() -> None:
    w = Writer()
    found = told([w.start("0/0"), w.graph("0/0", 0), w.end("0/0", 0), w.start("1/0"), w.end("1/0", None)])
    assert (found.graphs, found.frames_compiled) == (0, 2)
    assert [c.state for c in found.compiles] == ["compiled", "eager"]


def test_a_text_without_pid_is_the_only_process_s() -> None:
    """torch 2.1 to 2.4 write no pid, and a traceback never has one."""
    w, err = Writer(), Writer(STDERR, None)
    found = told([*w.compiled("0/0"), w.broke("0/0")], [err.broke("0/0"), err.broke("0/0", 6)])
    assert len(found.processes) == 1
    assert sorted((b.line, b.occurrences) for b in found.breaks or ()) == [(5, 1), (6, 1)]


def test_a_text_without_pid_stays_with_its_file_where_there_are_two() -> None:
    one, two, err = Writer("/run/trace.log", 7), Writer("/run/trace.log", 8), Writer(STDERR, None)
    found = told([*one.compiled("0/0")], [*two.compiled("0/0")], [err.broke("0/0", 6)])
    assert sorted(p.key for p in found.processes) == ["7", "8", "stderr.log"]
    assert [b.processes for b in found.breaks or ()] == [("stderr.log",)]


def test_a_text_without_pid_is_that_of_its_rank() -> None:
    one, two = Writer("/run/trace.log", 7, 0), Writer("/run/trace.log", 8, 1)
    err = Writer("/run/attempt_0/1/stderr.log", None, 1)
    found = told([*one.compiled("0/0")], [*two.compiled("0/0")], [err.broke("0/0", 6)])
    assert [b.processes for b in found.breaks or ()] == [("r1:8",)]


def test_a_debug_log_counts_only_where_nothing_else_tells_of_breaks() -> None:
    err, log = Writer(STDERR), Writer(DEBUG)
    both = told([*err.compiled("0/0"), err.broke("0/0")], [log.broke(""), log.broke("")])
    assert [b.occurrences for b in both.breaks or ()] == [1]
    alone = told([log.broke(""), log.broke("", 6)])
    assert sorted((b.line, b.occurrences) for b in alone.breaks or ()) == [(5, 1), (6, 1)]


def test_two_ranks_on_one_stderr_are_not_counted_again_from_their_debug_logs() -> None:
    first, second = Writer(STDERR, pid=None, rank=0), Writer(STDERR, pid=None, rank=1)
    logs = [Writer(f"/run/{pid}/torchdynamo/debug.log", pid) for pid in (7, 8)]
    found = told(
        [*first.compiled("0/0"), first.broke("0/0"), *second.compiled("0/0"), second.broke("0/0")],
        *([log.broke("")] for log in logs),
    )
    assert found.breaks is not None
    assert [one.occurrences for one in found.breaks] == [2]
    assert (len(found.processes), found.ranks, found.graphs) == (2, 2, 2)


def test_warnings_alone_tell_of_limits_and_not_of_breaks() -> None:
    err = Writer(STDERR)
    found = told([Folder(err.source("0/0"), "/run/model__0_inference_0.0", "model__0_inference_0"), err.limit("0/8")])
    assert (found.graphs, found.breaks, found.recompiles, found.fallbacks) == (None, None, None, None)
    assert [limit.limit for limit in found.limits or ()] == [8]
    assert found.suppressed == ()
    assert any("at least 1 compiles" in note for note in found.notes)


def test_full_text_without_breaks_tells_that_there_was_none() -> None:
    err = Writer(STDERR)
    found = told([TorchSeen(err.source(), "2.1-2.2"), *err.compiled("0/0")])
    assert (found.graphs, found.breaks, found.recompiles) == (1, (), ())
    assert found.skips is None
    assert found.torch == "2.1-2.2"


@pytest.mark.parametrize("limit", [None, 8])
def test_a_limit_that_the_trace_does_not_number_is_that_of_the_attempt(limit: int | None) -> None:
    w = Writer()
    found = told([*w.compiled("0/0"), w.again("0/8", ("0/7", SIZE)), w.limit("0/8", limit)])
    assert [(one.limit, one.last_reason) for one in found.limits or ()] == [(8, "n == 3")]
    assert found.recompiles == ()


def test_run_time_skips_are_counted_by_their_words() -> None:
    err = Writer(STDERR)
    skip = [CudagraphSkip(err.source(), "mutated inputs", "mutated inputs (1 instances)") for _ in range(3)]
    found = told([*err.compiled("0/0"), *skip])
    assert [(s.kind, s.occurrences) for s in found.skips or ()] == [("mutated inputs", 3)]


def test_a_launcher_that_only_writes_lines_is_no_process() -> None:
    w = Writer()
    other = Source(Place(STDERR, 1), 99)
    found = told([*w.compiled("0/0")], [TorchSeen(other, "2.13"), Said(other, "TensorFloat32 is not enabled")])
    assert [p.pid for p in found.processes] == [7]
    assert found.warnings == ("TensorFloat32 is not enabled",)


def test_open_phases_are_those_that_have_not_ended() -> None:
    w = Writer()
    phases = [
        PhaseBegan(w.source("0/0"), "dynamo", 1.0),
        PhaseBegan(w.source("0/0"), "backend_compile", 2.0),
        PhaseBegan(w.source("0/0"), "code_gen", 3.0),
        PhaseEnded(w.source("0/0"), "code_gen", 4.0),
        PhaseEnded(w.source("0/0"), "never began", 4.0),
    ]
    (process,) = told([w.start("0/0"), *phases]).processes
    assert (process.open_phases, process.open_id) == (("dynamo", "backend_compile"), "0/0")
    assert process.open_at is not None
    assert process.open_at.line == 90


def test_the_shell_s_word_on_the_end() -> None:
    w = Writer()
    end = Source(Place("/run/end.json", 0))
    found = told([w.start("0/0")], [Exited(end, None, "SIGKILL")])
    assert (found.killed_by, found.exit_code) == ("SIGKILL", None)
    assert not any("says nothing after" in note for note in found.notes)


def test_the_capture_s_exit_code_is_first() -> None:
    w = Writer()
    end, err = Source(Place("/run/end.json", 0)), Source(Place(STDERR, 0))
    assert told([*w.compiled("0/0")], [Exited(err, 1)], [Exited(end, 3)]).exit_code == 3


def test_a_warm_cache_is_said_to_be_one() -> None:
    w = Writer()
    hits = [CacheAsked(w.source("0/0"), what, "hit", what) for what in ("aotautograd", "fx_graph")]
    found = told([*w.compiled("0/0"), *hits])
    assert any("warm" in note for note in found.notes)
    assert (found.compiles[0].state, found.compiles[0].cache) == ("cached", "aotautograd hit, fx_graph hit")
    assert [row["what"] for row in document(found)["cache_hits"]] == ["aotautograd", "fx_graph"]
    miss = [*hits, CacheAsked(w.source("0/0"), "fx_graph", "miss", "k")]
    assert not any("warm" in note for note in told([*w.compiled("0/0"), *miss]).notes)


def test_a_cache_that_is_not_used_says_why() -> None:
    w = Writer()
    found = told([*w.compiled("0/0"), CacheAsked(w.source("0/0"), "fx_graph", "bypass", reason="custom op")])
    assert found.compiles[0].cache == "fx_graph bypass: custom op"


def test_what_could_not_be_read_is_said() -> None:
    w = Writer()
    lost = [Lost(w.source(), loss) for loss in (Loss.PARTIAL, Loss.BROKEN, Loss.TORN)]
    torn = Lost(Writer(STDERR).source(), Loss.TORN)
    notes = " ".join(told([*w.compiled("0/0"), *lost, torn]).notes)
    assert "no end" in notes
    assert "could not be read: 1" in notes
    assert "no record (1 times)" in notes
    assert "two writers" in notes


def test_functions_tell_how_often_and_what_would_stop_it() -> None:
    w = Writer()
    events: list[Event] = [*w.compiled("0/0")]
    for n in range(1, 5):
        listed = [(f"0/{k}", f"n == {k + 4}") for k in reversed(range(n))]
        events += [w.again(f"0/{n}", *listed), *w.compiled(f"0/{n}")]
    (function,) = told(events).functions
    assert (function.compiles, function.seconds, function.values) == (5, 4.0, ("4", "5", "6", "7"))
    assert function.trend == "flat"
    assert function.a_minute == pytest.approx(15.0)
    assert function.stop.startswith("pass n as a tensor")
    reasons = [r.reason for r in told(events).recompiles or ()]
    assert reasons[0] == "n is 5, it was compiled for 4"
    assert reasons[-1] == "n is not 7, for which it was compiled"


def test_autotuning_tells_the_winner() -> None:
    w, err = Writer(), Writer(STDERR, None)
    table = Autotuned(err.source(), "mm", "64x64, 64x64", (("triton_mm_1", 0.1), ("mm", 0.2)), 1.5)
    (tuned,) = told([*w.compiled("0/0")], [table]).tuned
    assert (tuned.winner, tuned.winner_ms, tuned.process) == ("triton_mm_1", 0.1, "7")


def test_a_winner_that_the_trace_tells_too_counts_once_with_all_choices() -> None:
    w, err = Writer(), Writer(STDERR, None)
    winner = Autotuned(w.source("0/0"), "mm", "64x64, 64x64", (("triton_mm_1", 0.1001),))
    table = Autotuned(err.source(), "mm", "64x64, 64x64", (("triton_mm_1", 0.1), ("mm", 0.2)), 1.5)
    (tuned,) = told([*w.compiled("0/0"), winner], [table]).tuned
    assert (tuned.winner, tuned.winner_ms, tuned.compile_id) == ("triton_mm_1", 0.1001, "0/0")
    assert [name for name, _ in tuned.choices] == ["triton_mm_1", "mm"]


def test_what_is_told_of_a_kernel_later_holds_more() -> None:
    w = Writer()
    later = Fused(w.source("0/0"), "cpp_fused_relu_0", ("relu",), (Line(USER, 8, "f"),))
    (kernel,) = told([*w.compiled("0/0"), Fused(w.source("0/0"), "cpp_fused_relu_0", ()), later]).kernels
    assert (kernel.ops, [line.line for line in kernel.lines]) == (("relu",), [8])


def test_a_snapshot_is_made_only_when_something_changed_and_is_bounded() -> None:
    w, ledger = Writer(), Ledger("/run")
    for n in range(500):
        for event in [*w.compiled(f"{n}/0"), w.broke(f"{n}/0", n + 1)]:
            ledger.take(event)
    whole = ledger.explanation()
    assert ledger.explanation() is whole
    short = ledger.explanation(limit=20)
    assert (len(short.compiles), len(short.breaks or ()), short.left_out) == (20, 20, 2 * 480)
    assert [c.compile_id for c in short.compiles] == [f"{n}/0" for n in range(480, 500)]
    assert (short.graphs, whole.left_out, short.revision) == (500, 0, whole.revision)
    ledger.take(w.start("500/0"))
    assert ledger.explanation().revision == whole.revision + 1
    assert ledger.explanation() is not whole


def test_the_user_s_own_breaks_stand_first() -> None:
    w = Writer()
    inside = w.broke("0/0", 79)
    foreign = type(inside)(inside.source, "/venv/lib/python3.11/site-packages/torch/optim/sgd.py", 79, "k", "r")
    events = [*w.compiled("0/0"), foreign, w.broke("0/0", 5)]
    found = told([*events, type(foreign)(w.source("1/0"), foreign.file, 79, "k", "r")])
    assert [(b.file == USER, b.foreign, b.occurrences) for b in found.breaks or ()] == [
        (True, False, 1),
        (False, True, 2),
    ]


def test_a_flood_of_processes_is_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.compilelog.ledger.ledger.MOST_PROCESSES", 20)
    ledger = Ledger("/run")
    for pid in range(1, 101):
        ledger.take(Writer(pid=pid).start("0/0"))
    assert len(ledger.explanation().processes) == 21
