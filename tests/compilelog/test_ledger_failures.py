"""Which failures a program survived, which one ended it, and which were never torch.compile's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ledger_events import STDERR, USER, Writer  # pyright: ignore[reportMissingImports]

from torchprobes.compilelog.events import CompileFailed, Event, Exited, Line, Place, Source, Uncaught
from torchprobes.compilelog.explanation import Explanation
from torchprobes.compilelog.ledger import Ledger, document

BACKEND = "torch._dynamo.exc.BackendCompilerFailed"
EVAL_FRAME = "/venv/lib/python3.11/site-packages/torch/_dynamo/eval_frame.py"
CALL = Line(USER, 90, "<module>", "f(x)")


def explained(*events: Event, heard: bool = True) -> Explanation:
    ledger = Ledger("/run")
    for event in events:
        ledger.take(event)
    if heard:
        ledger.ended(STDERR, "the last line")
    ledger.over()
    return ledger.explanation()


def failed(w: Writer, compile_id: str, type_: str = BACKEND, reason: str = "backend='x' raised:") -> list[Event]:
    user = Line(USER, 12, "f", "y = g(x)")
    return [
        w.start(compile_id),
        w.graph(compile_id),
        CompileFailed(w.source(compile_id), type_, reason, user=user),
        w.end(compile_id, None, fail_type=type_.rpartition(".")[2], fail_reason=reason),
    ]


def uncaught(type_: str, reason: str = "", *stack: Line, withdrawn: bool = False) -> Uncaught:
    return Uncaught(Source(Place(STDERR, 500), None), type_, reason, stack, withdrawn)


def test_a_failure_and_its_traceback_are_one_fatal_error_with_the_user_s_line() -> None:
    found = explained(*failed(Writer(), "0/0"), uncaught(BACKEND, "backend='x' raised:", CALL))
    assert found.suppressed == ()
    assert found.fatal is not None
    assert found.fatal_known
    assert (found.fatal.function, found.fatal.compile_id, found.fatal.user) == (
        "f",
        "0/0",
        Line(USER, 12, "f", "y = g(x)"),
    )
    assert document(found)["fatal_error"]["line"] == 12
    assert [c.state for c in found.compiles] == ["failed"]


def test_a_failure_before_other_compiles_was_survived() -> None:
    w = Writer()
    found = explained(*failed(w, "0/0"), *w.compiled("1/0"), heard=False)
    assert [(f.function, f.compile_id, f.type) for f in found.suppressed or ()] == [("f", "0/0", BACKEND)]
    assert found.fatal is None
    assert document(found)["suppressed_errors"][0]["line"] == 12


def test_what_torch_says_to_have_suppressed_counts_once() -> None:
    spoken = CompileFailed(Writer(STDERR).source(), BACKEND, "backend='x' raised:", True, "f", USER, 3)
    found = explained(*failed(Writer(), "0/0"), spoken)
    assert [(f.function, f.line) for f in found.suppressed or ()] == [("f", 3)]
    assert found.fatal is None


def test_a_suppressed_failure_that_only_text_tells() -> None:
    err = Writer(STDERR)
    spoken = CompileFailed(err.source("0/0"), "torch._inductor.exc.InductorError", "no", True, "f", USER, 3)
    soft = CompileFailed(err.source("1/0"), "torch._dynamo.exc.Unsupported", "no", True, "g", USER, 4)
    found = explained(spoken, soft)
    assert [f.function for f in found.suppressed or ()] == ["f"]


def test_stderr_to_its_end_without_a_traceback_tells_that_it_was_survived() -> None:
    found = explained(*failed(Writer(), "0/0"))
    assert [f.compile_id for f in found.suppressed or ()] == ["0/0"]
    assert (found.fatal, found.fatal_known) == (None, True)


def test_without_any_text_the_last_failure_is_the_end_and_is_said_to_be_a_guess() -> None:
    found = explained(*failed(Writer(), "0/0"), heard=False)
    assert found.fatal is not None
    assert not found.fatal_known
    assert any("nothing follows the failed compile" in note for note in found.notes)


def test_a_run_that_goes_on_guesses_nothing() -> None:
    ledger = Ledger("/run")
    for event in failed(Writer(), "0/0"):
        ledger.take(event)
    assert ledger.explanation(now_s=1.0).fatal is None
    ledger.over()
    assert ledger.explanation(now_s=2.0).fatal is not None


def test_a_good_end_tells_that_it_was_survived() -> None:
    end = Exited(Source(Place("/run/end.json", 0)), 0)
    found = explained(*failed(Writer(), "0/0"), end, heard=False)
    assert (found.fatal, found.fatal_known, len(found.suppressed or ())) == (None, True, 1)


@pytest.mark.parametrize("type_", ["torch._dynamo.exc.Unsupported", "torch._dynamo.exc.UserError"])
def test_what_dynamo_leaves_to_eager_is_no_error(type_: str) -> None:
    found = explained(*failed(Writer(), "0/0", type_, "break in a loop"))
    assert (found.suppressed, found.fatal, found.frames_compiled) == ((), None, 0)
    assert [c.state for c in found.compiles] == ["eager"]


def test_the_same_with_fullgraph_ends_the_program() -> None:
    unsupported = "torch._dynamo.exc.Unsupported"
    found = explained(*failed(Writer(), "0/0", unsupported, "Data-dependent"), uncaught(unsupported, "x", CALL))
    assert found.fatal is not None
    assert found.fatal.type == unsupported
    assert [c.state for c in found.compiles] == ["failed"]


def test_the_recompile_limit_is_no_failure() -> None:
    w = Writer()
    metrics = w.end("0/8", None, fail_type="Unsupported", fail_reason="Dynamo recompile limit exceeded\n  Explanation")
    old = w.end("1/8", None, backward=True, fail_type="RecompileLimitExceeded", fail_reason="cache_size_limit reached")
    found = explained(*w.compiled("0/0"), w.start("0/8"), metrics, w.start("1/8"), old)
    assert (found.suppressed, found.fatal, found.frames_compiled) == ((), None, 1)
    assert [c.state for c in found.compiles] == ["compiled", "eager", "eager"]


OWN = [
    ("KeyError", "'nope'", (CALL,)),
    (
        "ValueError",
        "user's own",
        (CALL, Line(EVAL_FRAME, 1000, "compile_wrapper", "return fn(*args)"), Line(USER, 5, "f")),
    ),
    (
        "RuntimeError",
        "shape '[3]' is invalid for input of size 4",
        (CALL, Line(EVAL_FRAME, 9, "_fn", "return fn(*args)")),
    ),
    ("torch.OutOfMemoryError", "CUDA out of memory", (CALL, Line("/tmp/torchinductor_me/ab/cab.py", 80, "call"))),
    ("torch.distributed.elastic.multiprocessing.errors.ChildFailedError", "", (CALL,)),
    ("KeyboardInterrupt", "", (CALL, Line("/venv/lib/python3.11/site-packages/torch/nn/modules/module.py", 1, "f"))),
]


@pytest.mark.parametrize(("type_", "reason", "stack"), OWN, ids=[row[0] for row in OWN])
def test_the_program_s_own_exception_is_none_of_torch_compile_s(
    type_: str, reason: str, stack: tuple[Line, ...]
) -> None:
    w = Writer()
    found = explained(*w.compiled("0/0"), uncaught(type_, reason, *stack))
    assert (found.fatal, found.fatal_known, found.suppressed) == (None, True, ())


TORCHS = [
    ("torch._inductor.exc.InductorError", "LoweringException", (CALL,)),
    (
        "RuntimeError",
        "Error: accessing tensor output of CUDAGraphs that has been overwritten by a subsequent run",
        (CALL,),
    ),
    ("AssertionError", "", (CALL, Line("/venv/lib/python3.11/site-packages/torch/_inductor/scheduler.py", 1, "fuse"))),
    ("IndexError", "", (CALL, Line(EVAL_FRAME, 1177, "compile_wrapper", "raise e.with_traceback("))),
    ("RuntimeError", "backend='inductor' raised:\nno g++", (CALL,)),
]


@pytest.mark.parametrize(("type_", "reason", "stack"), TORCHS, ids=[row[0] + str(i) for i, row in enumerate(TORCHS)])
def test_an_exception_of_the_compiler_is_fatal(type_: str, reason: str, stack: tuple[Line, ...]) -> None:
    found = explained(*Writer().compiled("0/0"), uncaught(type_, reason, *stack))
    assert found.fatal is not None
    assert (found.fatal.type, found.fatal.user) == (type_, CALL)


def test_a_failure_that_was_caught_and_another_exception_later() -> None:
    found = explained(*failed(Writer(), "0/0"), uncaught("KeyError", "'nope'", CALL))
    assert found.fatal is None
    assert [f.compile_id for f in found.suppressed or ()] == ["0/0"]


def test_a_traceback_that_was_only_printed_is_no_end() -> None:
    found = explained(
        *Writer().compiled("0/0"), uncaught(BACKEND, "x", CALL), uncaught(BACKEND, "x", CALL, withdrawn=True)
    )
    assert found.fatal is None


def test_the_exception_that_ends_the_program_is_no_graph_break_to_mend() -> None:
    """Dynamo meets `raise` while it compiles, leaves the frame to eager, and there it is raised."""
    w = Writer()
    events = [*w.compiled("0/0"), w.broke("0/1", 26, "Observed exception")]
    raised = Line(USER, 26, "f", "raise ValueError")
    assert explained(*events, uncaught("ValueError", "own", CALL, raised)).breaks == ()
    assert [b.line for b in explained(*events).breaks or ()] == [26]


def test_the_last_line_of_the_program_is_kept() -> None:
    assert explained(*Writer().compiled("0/0")).last_user_line == "the last line"


def test_the_settings_in_the_trace_tell_that_it_was_suppressed() -> None:
    """With nothing else to go by: no text, and no compile after it."""
    *before, end = failed(Writer(), "0/0")
    found = explained(*before, replace(end, suppress_errors=True), heard=False)
    assert found.fatal is None
    assert [f.compile_id for f in found.suppressed or ()] == ["0/0"]
