"""What happens to logs: bars, colours, torn lines, NULs, endless lines, cuts anywhere, unknown formats, ends."""

from __future__ import annotations

import pytest
from text_files import of, read

from torchprobes.compilelog.events import (
    Autotuned,
    CacheAsked,
    CompileStarted,
    CudagraphSkip,
    Exited,
    Folder,
    GraphBroke,
    LimitHit,
    Loss,
    Lost,
    Recompiled,
    Said,
    Uncaught,
)
from torchprobes.compilelog.text import TextReader

P = "V1123 06:15:03.456000 18663 torch/_dynamo/symbolic_convert.py:5124] [0/0] [__graph_breaks] "
BREAK = "Graph break in user code at /w/m.py:9\nReason: Unsupported: builtin: print []\nUser code traceback:"
STACK = '  File "/w/m.py", line 9, in forward\n    print("x")\n'
FOLDER = "W1123 06:12:28.069000 13688 torch/_inductor/debug.py:545] [0/0] model__0_inference_0 debug trace: /w/t.0\n"
NOISE = "V1123 06:15:03.500000 18663 torch/_inductor/codecache.py:1646] [0/0] [abc] inductor_config[x]: off\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "/w/m.py", line 3, in <module>\n    f()\n'
UNSUPPORTED = (
    "torch._dynamo.exc.Unsupported: Data-dependent branching\n  Explanation: no\n\nfrom user code:\n"
    '   File "/w/m.py", line 5, in f\n    if x > 0:\n\nSet TORCHDYNAMO_VERBOSE=1 for the internal stack trace\n\n'
)


def prefixed(message: str, prefix: str = P) -> str:
    return "".join(f"{prefix}{line}\n" for line in message.split("\n"))


BROKE = prefixed(BREAK + "\n" + STACK)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 64, 1000])
def test_any_cut_of_any_bytes(cut: int) -> None:
    text = f"\x1b[32m 1/9 \x1b[0m|█ é\r 2/9 |██\r\n{BROKE}\x00\x00{NOISE}{FOLDER}{TRACEBACK}ValueError: ü\n".encode()
    whole = read(text)
    assert [type(e).__name__ for e in whole] == ["GraphBroke", "Folder", "Uncaught"]
    assert read(text, cut) == whole


def test_a_bar_is_overwritten_and_torchs_line_may_begin_behind_it() -> None:
    reader = TextReader("e")
    bar = "".join(f"\r{n}/30 |{'#' * n}" for n in range(30))
    events = reader.feed(f"hello\n{bar}{FOLDER}{bar}".encode()) + reader.finish()
    assert [e.path for e in of(events, Folder)] == ["/w/t.0"]
    assert reader.last_line == f"29/30 |{'#' * 29}"


def test_the_last_line_is_the_programs_own() -> None:
    reader = TextReader("e")
    warning = "/v/site-packages/torch/x.py:3: UserWarning: beware\n  warnings.warn(\n"
    reader.feed(
        f"epoch 3 \x1b[1mloss\x1b[0m 0.1\n{FOLDER}{NOISE}{warning}AUTOTUNE mm(2x2, 2x2)\n  mm 0.1 ms 100.0%\n".encode()
    )
    assert reader.last_line == "epoch 3 loss 0.1"


def test_a_torn_prefix_is_put_together() -> None:
    one = "[rank0]:V1123 06:19:45.029000 22589 torch/_inductor/codecache.py:1646] [4/1] [c7z] x\n"
    folder = FOLDER.replace("W1123 06:12:28.069000 13688", "[rank1]:W1123 06:19:45.030000 22590")
    torn = "[rank0]:W1123 06:19:45.02" + folder + "9000 22589" + FOLDER.partition("13688")[2]
    events = read(one + torn)
    assert [e.source.pid for e in of(events, Folder)] == [22590, 22589]
    assert not of(events, Lost)


def test_a_torn_message_is_told_and_its_rest_is_nobodys_output() -> None:
    folder = FOLDER.replace("W1123", "[rank1]:W1123")
    reader = TextReader("e")
    events = reader.feed((NOISE.replace("V1123", "[rank0]:V1123")[:-6] + folder + NOISE + "]: off\n").encode())
    events += reader.finish()
    assert [e.source.rank for e in of(events, Folder)] == [1]
    assert [e.loss for e in of(events, Lost)] == [Loss.TORN]
    assert reader.last_line == ""


def test_records_of_two_ranks_whose_lines_alternate() -> None:
    pairs = zip(BROKE.splitlines(), BROKE.replace("18663", "18664").splitlines(), strict=True)
    mixed = "".join(f"[rank0]:{a}\n[rank1]:{b}\n" for a, b in pairs)
    told = of(read(mixed), GraphBroke)
    assert {(e.source.rank, e.source.pid, e.line, len(e.stack)) for e in told} == {(0, 18663, 9, 1), (1, 18664, 9, 1)}


def test_the_tee_of_torchrun_keeps_streams_apart() -> None:
    tee = "".join(f"[default0]:{a}\n[default1]:{a}\n" for a in f"{TRACEBACK}ValueError: x".splitlines())
    assert [e.type for e in of(read(tee), Uncaught)] == ["ValueError", "ValueError"]
    assert len(of(read("".join(f"[default0]:{line}\n" for line in BROKE.splitlines())), GraphBroke)) == 1


def test_thread_ids_are_no_pids() -> None:
    (told,) = of(read(BROKE.replace("18663", "140123456789012")), GraphBroke)
    assert told.source.pid is None


def test_ten_megabytes_without_a_newline() -> None:
    reader = TextReader("e")
    data = b"W1123 " + b"x" * 10_000_000 + b"\n" + FOLDER.encode()
    events = [e for start in range(0, len(data), 50_000) for e in reader.feed(data[start : start + 50_000])]
    assert [e.path for e in of(events + reader.finish(), Folder)] == ["/w/t.0"]
    assert reader.offset == len(data)
    assert len(reader.last_line) <= 4096
    assert len(of(read(data), Folder)) == 1


def test_binary_and_broken_bytes() -> None:
    noise = bytes(range(256)) * 300
    events = read(noise + b"\n" + BROKE.encode() + noise)
    assert len(of(events, GraphBroke)) == 1


def test_a_record_is_told_when_the_file_stands_still_and_not_again() -> None:
    reader = TextReader("e")
    lines = BROKE.splitlines(keepends=True)
    assert reader.feed(lines[0].encode()) == []
    assert len(of(reader.feed("".join(lines[1:]).encode()) + reader.finish(), GraphBroke)) == 1
    assert reader.finish() == []
    assert of(reader.feed((P + "\n" + NOISE).encode()), GraphBroke) == []


def test_a_last_record_without_its_end_is_partial_once() -> None:
    reader = TextReader("e")
    reader.feed(BROKE[:60].encode())
    assert [e.loss for e in of(reader.finish(), Lost)] == [Loss.PARTIAL]
    assert reader.finish() == []
    assert len(of(reader.feed(BROKE[60:].encode()) + reader.finish(), GraphBroke)) == 1


def test_an_endless_record_stays_bounded() -> None:
    (told,) = of(read(BROKE + (P + "    x\n") * 20_000), GraphBroke)
    assert told.line == 9
    assert len(told.reason) < 1_000


@pytest.mark.parametrize("prefix", ["", "DEBUG:torch._dynamo.symbolic_convert.__graph_breaks:", "12:00 trainer | "])
def test_formats_that_nobody_knows(prefix: str) -> None:
    limit = (
        "torch._dynamo hit config.recompile_limit (8)\n   function: 'f' (/w/m.py:5)\n   last reason: 0/7: x\n"
        'To log all recompilation reasons, use TORCH_LOGS="recompiles".\n'
    )
    recompiled = (
        "Recompiling function f in /w/m.py:5\n    triggered by the following guard failure(s):\n    - 0/0: x == 1\n"
    )
    text = prefix + BREAK + "\n" + STACK + "epoch 1\n" + prefix + limit + prefix + recompiled + "epoch 2\n"
    reader = TextReader("e")
    events = reader.feed(text.encode()) + reader.finish()
    assert [(e.line, e.kind) for e in of(events, GraphBroke)] == [(9, "builtin: print")]
    assert [(e.function, e.last_reason) for e in of(events, LimitHit)] == [("f", "0/7: x")]
    assert [e.failures[0].guard for e in of(events, Recompiled)] == ["x == 1"]
    assert reader.last_line == "epoch 2"


def test_a_debug_log_has_no_prefix_at_all() -> None:
    short = "Graph break (user stack suppressed due to duplicate graph break) in user code at /w/m.py:9\n"
    reason = "Graph Break Reason: Data-dependent branching\n  Explanation: x\n\n"
    text = "Step 1: torchdynamo start tracing f /w/m.py:5\n" + short + reason + short + reason
    events = read(text, plain=True)
    assert [e.kind for e in of(events, GraphBroke)] == ["Data-dependent branching"] * 2
    assert len(of(events, CompileStarted)) == 1


def test_the_warning_of_item_counts_only_without_its_break() -> None:
    at = "W1123 06:14:51.581000 17910 torch/_dynamo/variables/tensor.py:1759] [2/0] "
    item = prefixed(
        "Graph break from `Tensor.item()`, consider setting:\n    x\nGraph break: from user code at:\n" + STACK, at
    )
    kind = "Unsupported Tensor.item() call with capture_scalar_outputs=False"
    assert [e.kind for e in of(read(item), GraphBroke)] == [kind]
    assert [e.kind for e in of(read(item + FOLDER), GraphBroke)] == [kind]
    own = BROKE.replace("18663", "17910").replace("[0/0]", "[2/0]")
    assert len(of(read(item + own), GraphBroke)) == 1


def test_torch_2_3_to_2_5_say_the_reason_in_a_traceback() -> None:
    message = (
        "Graph break: from user code at:\n"
        + STACK
        + 'Traceback (most recent call last):\n  File "/t/x.py", line 1, in y\n'
    )
    message += "torch._dynamo.exc.Unsupported: call_method UserDefinedObjectVariable(A) b [] {}"
    suppressed = prefixed(
        "Unsupported break in user code at /w/m.py:9 (details suppressed)", P.replace("[__graph_breaks] ", "")
    )
    told = of(read(prefixed(message) + NOISE + suppressed), GraphBroke)
    assert [(e.line, e.kind) for e in told] == [(9, "call_method UserDefinedObjectVariable(A) b")] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TRACEBACK + UNSUPPORTED, ["torch._dynamo.exc.Unsupported"]),
        (TRACEBACK + UNSUPPORTED + "falling back to eager\n", []),
        (TRACEBACK + UNSUPPORTED + FOLDER, []),
        (TRACEBACK + "ValueError: x\nepoch 2\n", []),
        (
            TRACEBACK
            + "ValueError\n\nThe above exception was the direct cause of the following exception:\n\n"
            + TRACEBACK
            + "KeyError: 'a'\n",
            ["KeyError"],
        ),
        (TRACEBACK + "ValueError: x\n" + TRACEBACK + "KeyError: 'a'\n", ["KeyError"]),
        (TRACEBACK + "KeyboardInterrupt\n", ["KeyboardInterrupt"]),
        (
            TRACEBACK + "ValueError: x\n[W1123 06:00:00.1 ProcessGroupNCCL.cpp:1] Warning: destroy_process_group\n",
            ["ValueError"],
        ),
        (prefixed(TRACEBACK + "ValueError: logged"), []),
        ("Exception ignored in: <function a>\n", []),
        ("all good\n", []),
    ],
)
def test_only_the_end_of_a_program_is_uncaught(text: str, told: list[str]) -> None:
    assert [e.type for e in of(read(text), Uncaught)] == told
    assert [e.type for e in of(read(text, 1), Uncaught)] == told


def test_an_end_that_was_none_is_taken_back() -> None:
    reader = TextReader("e")
    told = of(reader.feed((TRACEBACK + UNSUPPORTED).encode()) + reader.finish(), Uncaught)
    back = of(reader.feed(b"falling back to eager\n"), Uncaught)
    assert [e.withdrawn for e in told + back] == [False, True]
    assert told[0].source.place == back[0].source.place
    assert of(reader.finish(), Uncaught) == []


def test_each_ranks_end_and_torchruns_summary() -> None:
    ranks = "".join(f"[rank1]: {line}\n" for line in (TRACEBACK + "ValueError: x").splitlines())
    launcher = (
        "E1123 06:20:00.000000 100 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) "
        "local_rank: 1 (pid: 4711) of binary: /usr/bin/python\n"
    )
    summary = (
        TRACEBACK
        + "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
        + "=" * 60
        + "\nx.py FAILED\n"
        + "-" * 60
        + "\nFailures:\n  <NO_OTHER_FAILURES>\n"
        + "-" * 60
        + "\nRoot Cause (first observed failure):\n[0]:\n"
        "  time      : 2026-11-23_06:20:00\n  host      : h\n  rank      : 1 (local_rank: 1)\n"
        "  exitcode  : -9 (pid: 4712)\n  error_file: <N/A>\n  traceback : Signal 9 (SIGKILL) received by PID 4712\n"
        + "=" * 60
        + "\n"
    )
    events = read(ranks + launcher + summary)
    assert [(e.type, e.source.rank) for e in of(events, Uncaught)] == [("ValueError", 1)]
    ends = [(e.source.pid, e.source.rank, e.exit_code, e.signal) for e in of(events, Exited)]
    assert ends == [(4711, None, 1, ""), (4712, 1, -9, "SIGKILL")]


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("epoch 1\nKilled\n", ["SIGKILL"]),
        ("Killed\nepoch 1\n", []),
        ("the process was Killed\n", []),
        ("run.sh: line 3:  4711 Killed                  python x.py\nbye\n", ["SIGKILL"]),
        ("Fatal Python error: Segmentation fault\n\nThread 0x00 (most recent call first):\n", ["SIGSEGV"]),
        ("terminate called after throwing an instance of 'c10::Error'\n  what(): x\n", ["SIGABRT"]),
    ],
)
def test_ends_in_the_words_of_shells(text: str, signals: list[str]) -> None:
    assert [e.signal for e in of(read(text), Exited)] == signals


def test_hints_on_speed_skips_at_run_time_and_caches() -> None:
    cuda = "W1123 06:30:02.9 485 ".replace(".9", ".929000") + "torch/_inductor/cudagraph_utils.py:207] [__cudagraphs] "
    text = (
        cuda
        + "skipping cudagraphs due to mutated inputs (1 instances). Found from : \n"
        + cuda
        + '  File "/w/m.py", line 4, in f\n'
    )
    text += "I1123 06:30:03.000000 485 torch/_inductor/codecache.py:1] [0/0] fx graph cache hit for key fabc\n"
    text += "I1123 06:30:03.100000 485 torch/_functorch/x.py:1] [0/0] Bypassing autograd cache due to: no triton\n"
    text += "/v/torch/_inductor/compile_fx.py:3: UserWarning: TensorFloat32 tensor cores for float32 matrix "
    text += "multiplication available but not enabled. Consider it.\n  warnings.warn(\n"
    text += "/home/me/model.py:3: UserWarning: lr is high\n"
    events = read(text)
    assert [(e.kind, e.at and e.at.line, e.source.compile_id) for e in of(events, CudagraphSkip)] == [
        ("mutated inputs", 4, "")
    ]
    assert [(e.what, e.state, e.key, e.reason) for e in of(events, CacheAsked)] == [
        ("fx_graph", "hit", "fabc", ""),
        ("aotautograd", "bypass", "", "no triton"),
    ]
    assert [e.harmless for e in of(events, Said)] == [False]


def test_a_table_that_is_not_ended_is_told_at_the_end() -> None:
    table = "AUTOTUNE mm(2x2, 2x2)\nstrides: [2, 1]\n  a 0.2 ms 50.0% X=1\n  b 0.1 ms 100.0%\n  c inf ms 0.0%\n"
    (told,) = of(read(table), Autotuned)
    assert [name for name, _ in told.choices] == ["b", "a", "c"]
    assert told.seconds is None
    (old,) = of(read(table + "SingleProcess AUTOTUNE takes 5.5 seconds\nnext\n"), Autotuned)
    assert old.seconds == 5.5
