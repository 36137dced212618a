"""Stacks: recorded answers of py-spy, faulthandler and the worker server, their grouping, and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.helper import Said, run
from torchprobes.jobs.processes import look
from torchprobes.jobs.stacks import by_pyspy, call_site, find_pyspy, grouped, parse_dump, parse_pyspy
from torchprobes.jobs.stacks.groups import main_thread, site_words
from torchprobes.jobs.stacks.handler import dump
from torchprobes.jobs.stacks.pyspy import NoStack, _refusal
from torchprobes.rank_evidence import Frame, Stack, ThreadStack
from torchprobes.runner import processes

RECORDED = Path(__file__).parent / "stacks_recorded"
TORCH = "/opt/train/.venv/lib/python3.11/site-packages/torch"

needs_pyspy = pytest.mark.skipif(not find_pyspy(), reason="py-spy is not installed")


def recorded(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def length(data: bytes | str) -> str:
    """The name of a test with such data."""
    return str(len(data))


def functions(stack: Stack) -> list[str]:
    thread = main_thread(stack)
    assert thread is not None
    return [frame.function for frame in thread.frames]


# --- recorded --------------------------------------------------------------------------------------------------------


def test_pyspy_names_the_main_thread_and_its_frames() -> None:
    stack = parse_pyspy(recorded("pyspy_torch2.13_rank1.json"), 5)
    assert (stack.how, stack.t_ns) == ("py-spy", 5)
    thread = main_thread(stack)
    assert thread is not None
    assert thread.main
    assert thread.idle is True
    assert thread.holds_gil is False
    assert thread.frames[0] == Frame(function="load_batch", file="/home/user9/train.py", line=9)


def test_three_ranks_are_two_groups_and_the_odd_one_comes_first() -> None:
    stacks = {rank: parse_pyspy(recorded(f"pyspy_torch2.13_rank{rank}.json"), 0) for rank in range(3)}
    odd, rest = grouped(stacks)
    assert odd.ranks == (1,)
    assert odd.what == "train.py:9 in load_batch"
    assert rest.ranks == (0, 2)
    assert rest.what == "train.py:7 in synchronise"
    assert rest.text[0].startswith("all_reduce (/opt/train/.venv/lib/python3.11/site-packages/torch/distributed/")
    assert rest.text[-1] == "<module> (/home/user9/train.py:35)"


def test_sources_of_different_make_group_together() -> None:
    """py-spy of Python 3.13 gives qualified names, faulthandler plain ones; folders may differ from node to node."""
    one = parse_pyspy(recorded("pyspy_python3.13.json"), 0)
    text = recorded("faulthandler_python3.13.txt").decode().replace("/home/user9/", "/somewhere/else/")
    other = parse_dump(text, "faulthandler", 0)
    assert other is not None
    assert [group.ranks for group in grouped({0: one, 1: other})] == [(0, 1)]


@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13"])
def test_faulthandler_of_every_python(version: str) -> None:
    stack = parse_dump(recorded(f"faulthandler_python{version}.txt").decode(), "faulthandler", 0)
    assert stack is not None
    assert functions(stack) == ["all_reduce", "wrapper", "synchronise", "main", "<module>"]
    thread = main_thread(stack)
    assert thread is not None
    assert site_words(call_site(thread.frames)) == "train.py:7 in synchronise"


def test_the_worker_server_answers_with_its_own_thread_first() -> None:
    stack = parse_dump(recorded("server_torch2.13.txt").decode(), "server", 0)
    assert stack is not None
    assert [len(thread.frames) for thread in stack.threads] == [0, 5]
    assert [thread.main for thread in stack.threads] == [False, True]


def test_python_314_names_threads_and_may_add_a_stack_in_c() -> None:
    text = """\
Thread 0x00007f0000000001 [loader [a] "x"] (most recent call first):
  File "/usr/lib/python3.14/threading.py", line 370 in wait
  File "/usr/lib/python3.14/threading.py", line 1043 in _bootstrap

Current thread 0x00007f0000000002 [python] (most recent call first):
  Garbage-collecting
  File "/home/u/it's "odd".py", line 3 in f
  File "<string>", line ??? in <module>
  ...

Current thread's C stack trace (most recent call first):
  Binary file "/usr/lib/libc.so.6", at +0x45cd0 [0x7f00deadbeef]
"""
    stack = parse_dump(text, "faulthandler", 0)
    assert stack is not None
    assert [thread.name for thread in stack.threads] == ['loader [a] "x"', "python"]
    assert main_thread(stack) == stack.threads[1]
    assert stack.threads[1].frames == (
        Frame(function="f", file='/home/u/it\'s "odd".py', line=3),
        Frame(function="<module>", file="<string>", line=None),
    )


def test_of_several_dumps_in_one_text_the_last_counts() -> None:
    one = 'Current thread 0x01 (most recent call first):\n  File "a.py", line {} in f\n  File "a.py", line 9 in g\n'
    stack = parse_dump(one.format(1) + one.format(2), "faulthandler", 0)
    assert stack is not None
    assert len(stack.threads) == 1
    assert stack.threads[0].frames[0].line == 2


@pytest.mark.parametrize(
    "text", ["", "hello", "\x00" * 100_000, '  File "a.py", line 1 in f\n' * 1000, "Thread 0x1"], ids=length
)
def test_what_is_no_dump_is_none(text: str) -> None:
    assert parse_dump(text, "faulthandler", 0) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"[1]", b'[{"frames": 1}]', b"\xff", b"[" * 100_000], ids=length)
def test_what_is_no_answer_of_pyspy_is_refused(data: bytes) -> None:
    with pytest.raises(NoStack):
        parse_pyspy(data, 0)


def test_a_stack_without_end_is_cut() -> None:
    text = "Thread 0x01 (most recent call first):\n" + '  File "a.py", line 1 in f\n' * 10_000
    stack = parse_dump(text, "faulthandler", 0)
    assert stack is not None
    assert len(stack.threads[0].frames) == 256


# --- call sites ------------------------------------------------------------------------------------------------------


def frame(function: str, file: str) -> Frame:
    return Frame(function=function, file=file, line=1)


SITES = [
    ((frame("all_reduce", f"{TORCH}/distributed/distributed_c10d.py"), frame("step", "/home/u/train.py")), "step"),
    ((frame("wait", "/usr/lib/python3.11/threading.py"), frame("get", "/home/u/data.py")), "get"),
    ((frame("a", f"{TORCH}/x.py"), frame("fit", "/v/lib/python3.11/site-packages/lightning/t.py")), "fit"),
    (
        (frame("fit", "/v/lib/python3.11/site-packages/lightning/t.py"), frame("main", "/home/u/train.py")),
        "main",
    ),
    ((frame("_find", "<frozen importlib._bootstrap>"), frame("<module>", "/home/u/m.py")), "<module>"),
    ((frame("a", f"{TORCH}/x.py"), frame("run", "/usr/lib/python3.11/runpy.py")), None),
    ((), None),
]


@pytest.mark.parametrize(("frames", "function"), SITES)
def test_the_call_site_is_the_innermost_frame_of_ones_own(frames: tuple[Frame, ...], function: str | None) -> None:
    found = call_site(frames)
    assert (found.function if found else None) == function


def test_ranks_without_a_python_frame_are_a_group_too() -> None:
    empty = Stack(how="py-spy", t_ns=0, threads=(ThreadStack(name="x", main=True),))
    assert grouped({4: empty})[0].what == "no Python frame"
    assert grouped({}) == ()


# --- real processes --------------------------------------------------------------------------------------------------

SLEEPER = "import time, sys\ndef load_batch():\n    print('ready', flush=True); time.sleep(600)\nload_batch()"

WITH_HANDLER = """
import faulthandler, signal, sys, time
faulthandler.register({number}, file=open({file!r}, "a"), all_threads=True)
def load_batch():
    print("ready", flush=True)
    while True:
        time.sleep(600)
load_batch()
"""


def started(program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with started(SLEEPER) as process:
        deadline = time.monotonic() + 60
        while look([identity(process.pid)])[0].state != "S":  # its word comes before its sleep
            assert time.monotonic() < deadline
        yield process
        process.kill()


def identity(pid: int) -> RankIdentity:
    found = processes.read(pid)
    assert found is not None
    return RankIdentity(rank=0, pid=pid, start_ticks=found.start, uid=os.getuid())


@needs_pyspy
def test_pyspy_reads_a_sleeping_process_and_leaves_it_as_it_is(sleeper: subprocess.Popen[bytes]) -> None:
    before = look([identity(sleeper.pid)])[0]
    stack = by_pyspy(sleeper.pid, 20)
    after = look([identity(sleeper.pid)])[0]
    assert functions(stack) == ["load_batch", "<module>"]
    assert (after.state, after.tracer_pid, after.switches) == ("S", 0, before.switches)


@needs_pyspy
def test_pyspy_reads_a_stopped_process(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.send_signal(signal.SIGSTOP)
    assert functions(by_pyspy(sleeper.pid, 20)) == ["load_batch", "<module>"]
    assert look([identity(sleeper.pid)])[0].state == "T"
    sleeper.send_signal(signal.SIGCONT)


@needs_pyspy
def test_one_that_is_no_python_is_refused_in_words() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(NoStack, match=r"^py-spy: "):
            by_pyspy(process.pid, 20)
        process.kill()


def test_without_pyspy_it_says_so() -> None:
    with pytest.raises(NoStack, match="not installed"):
        by_pyspy(os.getpid(), 1, program="")


def test_a_pyspy_that_hangs_is_killed_at_its_deadline(tmp_path: Path) -> None:
    program, seen = tmp_path / "py-spy", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {seen}\nexec sleep 600\n")
    program.chmod(0o755)
    with pytest.raises(NoStack, match="within its deadline"):
        by_pyspy(1, 1.0, program=str(program))
    assert not Path(f"/proc/{int(seen.read_text())}").exists()


def test_a_helper_takes_what_it_started_along() -> None:
    said = run(["/bin/sh", "-c", "sleep 600 & echo $!; exec sleep 600"], 1.0, 1 << 16)
    assert said.code is None
    child = processes.read(int(said.out))
    assert child is None or child.dead


def test_a_helper_that_says_too_much_is_killed() -> None:
    said = run(["/bin/sh", "-c", "exec yes"], 20, 1 << 16)
    assert (len(said.out), said.code, said.why) == (1 << 16, None, "it says too much")


def test_a_helper_that_closes_its_output_and_stays_is_killed() -> None:
    said = run(["/bin/sh", "-c", "exec >&- 2>&-; exec sleep 600"], 0.3, 1 << 16)
    assert said.code is None
    assert "did not end" in said.why


def test_the_code_and_the_last_words_of_a_helper() -> None:
    said = run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], 20, 1 << 16)
    assert (said.out, said.errors, said.code, said.why) == (b"out\n", "err", 3, "")


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ("Error: Permission Denied: Try running again with elevated permissions", "ptrace right"),
        ("Error: No such process (os error 3)", "it has ended"),
        ("Error: Failed to find python version from target process", "no Python process"),
        ("something new\nError: never seen", "never seen"),
        ("", "exit code 1"),
    ],
)
def test_what_pyspy_complains_of_in_words(errors: str, words: str) -> None:
    assert words in _refusal(Said(b"", errors, 1))


# --- faulthandler of our own ranks -----------------------------------------------------------------------------------

NUMBER = signal.SIGRTMIN + 9


@pytest.fixture
def handled(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    file = tmp_path / "stacks.txt"
    with started(WITH_HANDLER.format(number=NUMBER, file=str(file))) as process:
        yield process, file
        process.kill()


def test_a_rank_of_ours_writes_its_stack(handled: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, file = handled
    rank = identity(process.pid)
    for _ in range(2):  # each takes what was appended for it
        stack = dump(rank, look([rank])[0], NUMBER, file, 20)
        assert functions(stack) == ["load_batch", "<module>"]
        assert len(stack.threads) == 1
    assert process.poll() is None


def test_a_signal_that_would_kill_is_not_sent(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    rank, file = identity(sleeper.pid), tmp_path / "stacks.txt"
    file.touch()
    with pytest.raises(NoStack, match="does not catch"):
        dump(rank, look([rank])[0], NUMBER, file, 1)
    with pytest.raises(NoStack, match="not a private one"):
        dump(rank, look([rank])[0], signal.SIGINT, file, 1)  # Python catches it, and it is still not ours to send
    assert sleeper.poll() is None


def test_a_stopped_rank_is_not_asked(handled: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, file = handled
    rank = identity(process.pid)
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while look([rank])[0].state != "T":
        assert time.monotonic() < deadline
    with pytest.raises(NoStack, match="state T"):
        dump(rank, look([rank])[0], NUMBER, file, 1)


def test_a_file_that_is_none_is_not_followed(handled: tuple[subprocess.Popen[bytes], Path], tmp_path: Path) -> None:
    process, file = handled
    rank = identity(process.pid)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(NoStack, match="its file"):
        dump(rank, look([rank])[0], NUMBER, tmp_path / "link", 1)
    with pytest.raises(NoStack, match="no file"):
        dump(rank, look([rank])[0], NUMBER, tmp_path, 1)


def test_another_process_of_the_same_pid_gets_no_signal(handled: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, file = handled
    reading = look([identity(process.pid)])[0]
    later = RankIdentity(rank=0, pid=process.pid, start_ticks=1)
    with pytest.raises(NoStack, match="has ended"):
        dump(later, reading, NUMBER, file, 1)
    assert file.stat().st_size == 0
