"""Looks at processes: real ones and their children, and /proc as it is where much of it is denied."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_proc import FakeProc

from torchprobes.distributed import RankIdentity
from torchprobes.jobs.processes import GONE, Processes, ended, exit_of, look
from torchprobes.runner import processes

FAMILY = """
import os, signal, sys
for _ in range(2):
    if os.fork() == 0:
        signal.pause()
print("ready", flush=True)
signal.pause()
"""


def identity(pid: int, start_ticks: int | None = None) -> RankIdentity:
    found = processes.read(pid)
    assert found is not None
    return RankIdentity(rank=0, pid=pid, start_ticks=found.start if start_ticks is None else start_ticks)


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process with two children."""
    with subprocess.Popen([sys.executable, "-S", "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True) as one:
        assert one.stdout is not None
        one.stdout.readline()
        yield one
        try:
            os.killpg(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def await_state(rank: RankIdentity, states: str) -> None:
    deadline = time.monotonic() + 10
    while look([rank])[0].state not in states:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_living_process_is_read_with_its_descendants(family: subprocess.Popen[bytes]) -> None:
    found = look([identity(family.pid)])[0]
    assert found.state in {"S", "R"}, "it goes to sleep after its word"
    assert found.tree_processes == 3
    assert len(found.children) == 2
    assert found.children[0].startswith("python")
    assert found.cpu_s is not None
    assert found.tree_cpu_s is not None
    assert found.tree_cpu_s >= found.cpu_s
    assert found.rss_bytes is not None
    assert 1 << 20 < found.rss_bytes <= (found.peak_rss_bytes or 0)
    assert found.threads == 1
    assert found.signals_caught is not None
    assert found.signals_caught >> (signal.SIGINT - 1) & 1, "Python catches SIGINT"
    assert not found.signals_caught >> (signal.SIGUSR2 - 1) & 1
    assert found.tracer_pid == 0
    assert not found.frozen


def test_reading_and_writing_count_with_those_of_children(family: subprocess.Popen[bytes]) -> None:
    found = look([identity(family.pid)])[0]
    assert found.written_bytes is not None
    assert found.written_bytes >= len("ready\n")
    assert found.tree_bytes is not None
    assert found.tree_bytes >= found.written_bytes + (found.read_bytes or 0)


def test_another_process_of_the_same_pid_is_not_it(family: subprocess.Popen[bytes]) -> None:
    later = identity(family.pid, start_ticks=1)
    assert look([later])[0].state == GONE
    assert look([later])[0].cpu_s is None


def test_a_child_that_comes_later_is_seen_by_the_same_looker() -> None:
    looker, me = Processes(), identity(os.getpid())
    before = looker.look([me])[0].tree_processes
    with subprocess.Popen(["sleep", "60"]) as child:
        during = looker.look([me])[0]
        assert during.tree_processes == (before or 0) + 1
        assert "sleep" in during.children
        child.kill()
        child.wait()
        assert looker.look([me])[0].tree_processes == before


def test_a_stopped_process_is_told_as_stopped(family: subprocess.Popen[bytes]) -> None:
    family.send_signal(signal.SIGSTOP)
    await_state(identity(family.pid), "T")


@pytest.mark.parametrize(
    ("program", "code", "name"),
    [("raise SystemExit(7)", 7, None), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, "SIGKILL")],
)
def test_the_exit_of_one_that_waits_to_be_reaped_is_read(program: str, code: int | None, name: str | None) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", program]) as one:
        rank = identity(one.pid)
        await_state(rank, "Z")
        found = ended(rank, look([rank])[0])
        assert found is not None
        assert (found.code, found.signal, found.seen) == (code, name, "zombie")
    gone = look([rank])[0]
    assert gone.state == GONE
    after = ended(rank, gone)
    assert after is not None
    assert (after.code, after.signal, after.seen) == (None, None, "gone")


def test_one_that_lives_has_no_exit(family: subprocess.Popen[bytes]) -> None:
    rank = identity(family.pid)
    assert ended(rank, look([rank])[0]) is None


def test_wait_statuses() -> None:
    assert exit_of(3 << 8, 1).code == 3
    assert exit_of(0, 1).code == 0
    killed = exit_of(11 | 0x80, 1)
    assert (killed.signal, killed.core_dumped, killed.code) == ("SIGSEGV", True, None)
    assert exit_of(100, 1).signal == "signal 100"


# --- a /proc in which much is denied ---------------------------------------------------------------------------------


def test_what_is_denied_is_unread_and_not_zero(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    pid = proc.add("python train.py")
    found = look([RankIdentity(rank=0, pid=pid, start_ticks=1000 + pid)], tmp_path)[0]
    assert found.state == "S"
    assert found.cpu_s == 0.0
    assert found.read_bytes is None
    assert found.written_bytes is None
    assert found.tree_bytes is None
    assert found.rss_bytes is None
    assert found.signals_caught is None
    assert found.wchan == ""


def test_one_that_lives_and_is_hidden_is_not_told_as_gone(tmp_path: Path) -> None:
    hidden = RankIdentity(rank=0, pid=os.getpid(), start_ticks=1)
    assert look([hidden], tmp_path)[0].state == ""
    assert ended(hidden, look([hidden], tmp_path)[0]) is None


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path)
    pid = proc.add("python train.py")
    proc.add("x", parent=pid, title="a) Z 1 (b\x1b")
    found = look([RankIdentity(rank=0, pid=pid, start_ticks=1000 + pid)], tmp_path)[0]
    assert found.tree_processes == 2
    assert found.children == ("a) Z 1 (b?",)


def test_a_stat_that_is_not_understood_is_unread(tmp_path: Path) -> None:
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "stat").write_bytes(b"\xff\xff no such line")
    assert look([RankIdentity(rank=0, pid=os.getpid(), start_ticks=1)], tmp_path)[0].state == ""


@pytest.mark.parametrize(
    ("line", "file", "text"),
    [
        ("0::/job/step", "job/step/cgroup.events", "populated 1\nfrozen {}\n"),
        ("7:freezer:/job/step", "freezer/job/step/freezer.state", "{}\n"),
    ],
)
def test_a_frozen_control_group_is_told(tmp_path: Path, line: str, file: str, text: str) -> None:
    proc = FakeProc(tmp_path / "proc")
    pid = proc.add("python train.py")
    (tmp_path / "proc" / str(pid) / "cgroup").write_text(f"3:cpu,cpuacct:/other\n{line}\n")
    state = tmp_path / "groups" / file
    state.parent.mkdir(parents=True)
    looker = Processes(tmp_path / "proc", tmp_path / "groups")
    rank = RankIdentity(rank=0, pid=pid, start_ticks=1000 + pid)
    for words, frozen in ((("0", "THAWED"), False), (("1", "FROZEN"), True)):
        state.write_text(text.format(words[0] if "events" in file else words[1]))
        assert looker.look([rank])[0].frozen is frozen
