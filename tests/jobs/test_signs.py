"""Lines of logs as signs: real recordings, every row of the table, and lines that nobody should believe."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from torchprobes.jobs.signs import PATTERNS, SIGNS, Scanner, exit_words, shell_signal, signal_name
from torchprobes.jobs.signs.scanner import MAX_LINE
from torchprobes.jobs.signs.stamps import stamp_ns
from torchprobes.jobs.signs.table import HOOKS
from torchprobes.judge.cards.messages import SIGNS as CARD_SIGNS
from torchprobes.judge.cards.messages import Role
from torchprobes.rank_evidence import Exit, Sign

RECORDINGS = Path(__file__).parent / "recordings"
NOW = 1_795_414_300 * 10**9


def read(text: str, rank: int | None = 0) -> list[Sign]:
    scanner = Scanner(rank, timezone.utc, NOW)
    return [sign for line in text.splitlines() if (sign := scanner.feed(line)) is not None]


def recorded(name: str) -> list[Sign]:
    return read((RECORDINGS / name).read_text(), None)


# --- what two H200s said ---


def test_a_recorded_exception_of_one_rank() -> None:
    raised = [sign for sign in recorded("fail_raise.log") if sign.id == "exception"]
    assert [(s.rank, s.exception, s.site, s.victim) for s in raised] == [
        (1, "RuntimeError: rank 1 boom", "fail.py:7", False)
    ]


def test_a_recorded_assert_of_a_kernel() -> None:
    signs = recorded("fail_assert.log")
    raised = next(sign for sign in signs if sign.exception)
    assert (raised.id, raised.rank, raised.site, raised.victim) == ("cuda-assert", 1, "fail.py:9", False)
    assert signs[0].id == "cuda-kernel-assert"
    aborted = next(sign for sign in signs if sign.id == "agent-failed")
    assert aborted.details == {"exitcode": "-6", "local_rank": "1", "pid": "1076"}


def test_a_recorded_hang_names_numbers_of_both_ranks() -> None:
    signs = recorded("fail_hang.log")
    watchdog = next(sign for sign in signs if sign.id == "watchdog")
    assert (watchdog.rank, watchdog.victim) == (0, True)
    assert watchdog.details == {"seq": "2", "op": "ALLREDUCE", "numel": "1024", "ms": "20000"}
    assert watchdog.precision == "printed"
    expected = int(datetime(2026, 11, 23, 6, 10, 44, tzinfo=timezone.utc).timestamp()) * 10**9 + 109_776_664
    assert watchdog.t_ns == expected
    numbers = {s.rank: s.details["enqueued"] for s in signs if s.id == "watchdog-dump"}
    assert numbers == {0: "2", 1: "1"}
    assert any(sign.id == "agent-signalled" for sign in signs)


def test_a_recorded_mismatch_names_only_who_waits() -> None:
    signs = [sign for sign in recorded("fail_mismatch.log") if sign.rank is not None]
    assert {sign.rank for sign in signs} == {1}, "in the recording nothing names rank 0"
    assert signs[0].details["numel"] == "2048"


# --- one line of each kind ---

SAMPLES: dict[str, str] = dict(line.split("\t", 1) for line in (RECORDINGS / "lines.tsv").read_text().splitlines())
"""By row one line, as torch 2.13, NCCL 2.28, gloo, torchrun and Slurm wrote it."""


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_row_knows_its_line(name: str) -> None:
    if name == "interrupted":
        text = f'Traceback (most recent call last):\n  File "t.py", line 1, in f\n{SAMPLES[name]}'
        (sign,) = read(text)
    else:
        (sign,) = read(SAMPLES[name])
    assert sign.id == name
    assert sign.victim == (PATTERNS[name].role in ("victim", "asked"))


def test_no_row_is_without_a_line() -> None:
    assert set(SAMPLES) == set(PATTERNS) - {"exception"}


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"interrupted"}))
def test_a_hook_stands_in_every_line_that_matters(name: str) -> None:
    assert any(hook in SAMPLES[name] for hook in HOOKS)


def test_rows_of_one_id_agree_on_whose_fault_it_is() -> None:
    assert all((row.role, row.tells) == (PATTERNS[row.id].role, PATTERNS[row.id].tells) for row in SIGNS)


def test_what_a_card_calls_a_consequence_is_no_ranks_own_fault() -> None:
    """The cards of `explain` and these rows speak of the same lines: they must not contradict each other."""
    after = [row.text for row in CARD_SIGNS if row.role is Role.CONSEQUENCE and row.card == "TD-ERR-032"]
    assert after
    for text in after:
        (sign,) = read(f"RuntimeError: gloo c10d {text}")
        assert sign.victim, text


def test_what_lines_name() -> None:
    named = {name: read(SAMPLES[name])[0] for name in SAMPLES if name != "interrupted"}
    assert named["store-timeout"].ranks == (2,)
    assert named["monitored-barrier"].ranks == (2,)
    assert read("RuntimeError: Ranks 2, 5, 11 failed to pass monitoredBarrier in 15000 ms")[0].ranks == (2, 5, 11)
    assert read("DistStoreError: wait timeout after 600000ms, keys: /default_pg/0//cuda//0")[0].ranks == (0,)
    assert read("DistStoreError: wait timeout after 600000ms, keys: /worker/attempt/7")[0].ranks == ()
    assert named["gloo-mismatch"].details == {"got": "1024", "expected": "512"}
    assert named["port-taken"].details == {"port": "29500"}
    assert named["loader-worker"].details == {"pid": "4711", "signal": "Killed"}
    assert named["agent-closing"].details == {"pid": "1075", "signal": "SIGTERM"}
    assert named["slurm-task"].details == {"host": "vm", "task": "2", "exitcode": "3"}
    assert named["slurm-cancelled"].details == {"limit": " DUE TO TIME LIMIT"}
    assert named["cuda-oom"].details == {"size": "20.00 GiB"}
    assert (named["fingerprint"].details["left"], named["fingerprint"].details["right"]) == ("0", "2")


# --- tracebacks ---


def test_the_innermost_call_site_outside_torch_and_python() -> None:
    (sign,) = read(
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3.12/runpy.py", line 198, in _run_module_as_main\n'
        '  File "/workspace/train.py", line 80, in <module>\n'
        "    main()\n"
        "    ~~~~^^\n"
        '  File "/workspace/model.py", line 41, in forward\n'
        "    return self.layer(x)\n"
        '  File "/opt/venv/lib/python3.12/site-packages/torch/nn/modules/module.py", line 1700, in _call_impl\n'
        "  [Previous line repeated 3 more times]\n"
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied\n"
    )
    assert (sign.id, sign.site) == ("exception", "model.py:41 (forward)")
    assert sign.exception == "RuntimeError: mat1 and mat2 shapes cannot be multiplied"


def test_tracebacks_of_many_ranks_in_one_log_do_not_mix() -> None:
    mixed = []
    for line in range(4):
        for rank in (0, 1):
            block = ("Traceback (most recent call last):", f'  File "/w/r{rank}.py", line {rank + 1}, in f',
                     "    raise E", f"ValueError: of {rank}")  # fmt: skip
            mixed.append(f"[rank{rank}]: {block[line]}")
    assert [(s.rank, s.site, s.exception) for s in read("\n".join(mixed), None)] == [
        (0, "r0.py:1 (f)", "ValueError: of 0"),
        (1, "r1.py:2 (f)", "ValueError: of 1"),
    ]


def test_what_python_ignores_is_ignored() -> None:
    text = (
        "Exception ignored in: <function Pool.__del__ at 0x7f>\n"
        'Traceback (most recent call last):\n  File "/w/t.py", line 1, in f\nOSError: handle is closed\n'
    )
    assert read(text) == []
    assert len(read(text + 'Traceback (most recent call last):\n  File "/w/t.py", line 1, in f\nOSError: real')) == 1


def test_faulthandler_tells_where_it_crashed() -> None:
    signs = read(
        "Fatal Python error: Segmentation fault\n\n"
        "Current thread 0x00007f (most recent call first):\n"
        '  File "/usr/lib/python3.12/ctypes/__init__.py", line 500 in string_at\n'
        '  File "/workspace/train.py", line 41 in load\n'
        '  File "/workspace/train.py", line 80 in <module>\n\n'
        "Extension modules: numpy\n"
        "step 12 loss 0.1\n"
    )
    assert [(s.id, s.site) for s in signs] == [("fatal", ""), ("fatal", "train.py:41 (load)")]


def test_a_workers_own_traceback_gives_the_site() -> None:
    signs = read(
        "Traceback (most recent call last):\n"
        '  File "/workspace/train.py", line 60, in <module>\n'
        "ValueError: Caught ValueError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        '  File "/opt/venv/lib/python3.12/site-packages/torch/utils/data/_utils/worker.py", line 349, in _worker_loop\n'
        '  File "/workspace/data.py", line 7, in __getitem__\n'
        "ValueError: bad item 13\n"
    )
    assert (signs[-1].site, signs[-1].exception) == ("data.py:7 (__getitem__)", "ValueError: bad item 13")


def test_colours_of_a_terminal_are_taken_off() -> None:
    (sign,) = read('Traceback (most recent call last):\n  File "/w/t.py", line 3, in f\n\x1b[1;35mValueError\x1b[0m: x')
    assert sign.exception == "ValueError: x"


def test_chunks_give_what_lines_give() -> None:
    for name in ("fail_raise.log", "fail_assert.log", "fail_hang.log", "fail_mismatch.log"):
        data = (RECORDINGS / name).read_bytes()
        whole = list(Scanner(None, timezone.utc, NOW).feed_lines(data))
        assert whole == recorded(name)
        scanner, parts = Scanner(None, timezone.utc, NOW), []
        for line in data.splitlines(keepends=True):
            parts += scanner.feed_lines(line)
        assert parts == whole


# --- time ---

UTC = timezone.utc


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[W1123 06:11:34.461904281 Utils.hpp:137] Warning", datetime(2026, 11, 23, 6, 11, 34, tzinfo=UTC)),
        ("W1123 06:11:30.611000 940 torch/distributed/run.py", datetime(2026, 11, 23, 6, 11, 30, tzinfo=UTC)),
        ("E0101 00:00:01.000000 940 torch", datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("[2026-11-26 05:00:00,123] [INFO] step", datetime(2026, 11, 26, 5, 0, 0, tzinfo=UTC)),
        ("2026-11-26T05:00:00.5Z x", datetime(2026, 11, 26, 5, 0, 0, tzinfo=UTC)),
        ("2026-11-26T05:00:00+02:00 x", datetime(2026, 11, 26, 3, 0, 0, tzinfo=UTC)),
        ("2026-13-26T05:00:00 x", None),
        ("E1399 06:11:30.611000", None),
        ("E0230 06:11:30.611000", None),
        ("step 1123 06:11:30", None),
        ("0000-01-01 00:00:00", None),
    ],
)
def test_stamps(line: str, expected: datetime | None) -> None:
    found = stamp_ns(line, NOW, UTC)
    assert (None if found is None else found // 10**9) == (None if expected is None else int(expected.timestamp()))


def test_a_fraction_is_kept_to_the_nanosecond() -> None:
    assert (stamp_ns("[W1123 06:11:34.461904281 U", NOW, UTC) or 0) % 10**9 == 461_904_281


def test_a_line_of_december_that_is_read_in_january() -> None:
    january = int(datetime(2027, 1, 2, tzinfo=UTC).timestamp() * 1e9)
    found = stamp_ns("W1231 23:59:59.000000 940 torch", january, UTC)
    assert found == int(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 10**9


def test_the_zone_of_the_host_counts() -> None:
    east = timezone(timedelta(hours=9))
    assert (stamp_ns("W1123 06:11:30.611000", NOW, UTC) or 0) - (stamp_ns("W1123 06:11:30.611000", NOW, east) or 0) == (
        9 * 3600 * 10**9
    )


def test_a_line_without_a_stamp_was_seen_or_not() -> None:
    line = "RuntimeError: CUDA error: unspecified launch failure"
    assert [(s.t_ns, s.precision) for s in (Scanner(0).feed(line, 7), Scanner(0).feed(line)) if s] == [
        (7, "marked"),
        (0, ""),
    ]


# --- hostile and many ---


def test_lines_that_nobody_should_believe() -> None:
    scanner = Scanner(None)
    hostile = [
        b"\xff\xfe error Traceback (most recent call last):" + b"x" * 10**6,
        b'  File "' + b"a" * 10**6,
        b"RuntimeError" + b":" * 10**6,
        b"Rank 0 is running collective: CollectiveFingerPrint(" * 10_000 + b" Detected mismatch between collectives",
        b"[rank" + b"9" * 10**6 + b"]: error",
        b"wait timeout after 1ms, keys: " + b"/" * 10**6,
        b"\x00\x1b[31m error \x1b]0;title\x07",
        b"",
        b"[rank99999999999]: RuntimeError: x",
        "ValueError: \ud800 signal",
    ]
    start = time.process_time()
    for line in hostile * 20:
        sign = scanner.feed(line)
        assert sign is None or len(sign.text) <= MAX_LINE
    assert time.process_time() - start < 5.0, "a line costs no more than its length"


def test_a_thousand_writers_whose_tracebacks_never_end() -> None:
    scanner = Scanner(None)
    for rank in range(10_000):
        scanner.feed(f"[rank{rank}]: Traceback (most recent call last):")
    assert scanner.feed("RuntimeError: CUDA error: unspecified launch failure") is not None


def test_a_traceback_that_never_ends_is_given_up() -> None:
    scanner = Scanner(0)
    scanner.feed("Traceback (most recent call last):")
    for _ in range(3000):
        assert scanner.feed('  File "x.py", line 1, in f') is None
    assert scanner.feed("RuntimeError: CUDA error: unspecified launch failure") is not None


def test_ordinary_lines_are_no_signs() -> None:
    ordinary = (
        "step 12 loss 0.1234 lr 3e-4 tokens/s 123456",
        "Traceback: none today",
        "connecting to port 29500",
        "0 done",
        "epoch 3: validation error 0.12",
        "vm:753:753 [0] NCCL INFO NET/IB : No device found.",
        "[W1126 05:00:00.1 WorkerServer.cpp:123] [c10d] Server listening to UNIX /tmp/torchdoctor-0-ranks/12-ab",
    )
    assert [line for line in ordinary if read(line)] == []


# --- ends in words ---


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Exit(t_ns=1, code=0), "exit code 0"),
        (Exit(t_ns=1, code=3), "exit code 3"),
        (Exit(t_ns=1, code=139), "exit code 139 (128 + SIGSEGV)"),
        (Exit(t_ns=1, code=250), "exit code 250"),
        (Exit(t_ns=1, signal="SIGKILL"), "SIGKILL"),
        (Exit(t_ns=1, signal="SIGKILL", oom=True), "SIGKILL (out of memory)"),
        (Exit(t_ns=1, signal="SIGTERM", asked="SIGTERM"), "SIGTERM from its launcher"),
        (Exit(t_ns=1, signal="SIGKILL", asked="SIGTERM"), "SIGKILL (after its launcher's SIGTERM)"),
        (Exit(t_ns=1, signal="SIGSEGV", core_dumped=True), "SIGSEGV, core dumped"),
        (Exit(t_ns=1, seen="gone"), "ended, exit code unseen"),
    ],
)
def test_exit_words(end: Exit, words: str) -> None:
    assert exit_words(end) == words


def test_numbers_of_signals() -> None:
    assert (signal_name(9), signal_name(40), shell_signal(137), shell_signal(1), shell_signal(None)) == (
        "SIGKILL", "signal 40", "SIGKILL", "", "",
    )  # fmt: skip
