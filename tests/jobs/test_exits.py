"""How processes end that are not the watcher's children: heard at once, with the code that the kernel tells."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from torchprobes.jobs.watch.edges import Ends, Held, of_code, of_status, signal_name
from torchprobes.rank_evidence import Exit
from torchprobes.rundir import start_ticks

Child = subprocess.Popen[bytes]


def start(code: str = "import sys; sys.stdin.read()") -> Child:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE)


def ticks(child: Child) -> int:
    found = start_ticks(child.pid)
    assert found is not None
    return found


@pytest.fixture
def waits() -> Iterator[Child]:
    child = start()
    yield child
    child.kill()
    child.wait()
    assert child.stdin is not None
    child.stdin.close()


def ended(child: Child, held: Held) -> None:
    assert select.select([held.fd], [], [], 30)[0], "a pidfd tells the end"


CAUSES = [
    ("os._exit(3)", 3, None),
    ("os._exit(0)", 0, None),
    ("raise SystemExit(250)", 250, None),
    ("1/0", 1, None),
    ("os.kill(os.getpid(), 9)", None, "SIGKILL"),
    ("signal.signal(15, signal.SIG_DFL); os.kill(os.getpid(), 15)", None, "SIGTERM"),
    ("os.abort()", None, "SIGABRT"),
    ("os.kill(os.getpid(), 11)", None, "SIGSEGV"),
]


@pytest.mark.parametrize(("code", "exit_code", "number"), CAUSES)
def test_the_kernels_own_code_is_told_before_and_after_the_parent_reaped_it(
    code: str, exit_code: int | None, number: str | None
) -> None:
    child = start(f"import os, signal, sys; sys.stdin.read(); sys.stderr = open(os.devnull, 'w'); {code}")
    held = Held(child.pid, ticks(child))
    assert child.stdin is not None
    child.stdin.close()
    ended(child, held)
    first = held.exit()
    assert (first.code, first.signal, first.seen) == (exit_code, number, "zombie")
    child.wait()
    second = held.exit()
    held.close()
    assert second.seen in ("pidfd", "gone"), "a kernel before 6.15 forgets it"
    if second.seen == "pidfd":
        assert (second.code, second.signal) == (exit_code, number)


def test_what_a_parent_told_and_a_core_dump() -> None:
    end = Exit(t_ns=1, seen="gone")
    assert of_code(-11, end).signal == "SIGSEGV"
    assert of_code(3, end).code == 3
    assert of_code(3, end).seen == "agent"
    assert of_status(11 | 0x80, "zombie", 1, 1).core_dumped
    assert not of_status(9, "zombie", 1, 1).core_dumped


def test_signals_have_names() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(int(signal.SIGRTMIN) + 5) == "SIGRTMIN+5"
    assert signal_name(0x7F - 1).startswith(("SIGRTMIN+", "signal"))


def test_a_pid_that_is_another_process_by_now_is_not_held(waits: Child) -> None:
    held = Held(waits.pid, ticks(waits) - 1)
    assert held.fd == -1
    assert held.ended()
    assert held.exit().seen == "gone"


def test_ends_are_heard_through_one_epoll_each_once(waits: Child) -> None:
    poll = select.epoll()
    ends = Ends(poll)
    other = start("import os, sys; sys.stdin.read(); os._exit(7)")
    keys = [(child.pid, ticks(child)) for child in (waits, other)]
    for key in keys * 2:
        ends.hold(*key)
    assert other.stdin is not None
    other.stdin.close()
    heard = [ends.heard(handle) for handle, _ in poll.poll(30)]
    assert heard == [keys[1]]
    assert ends.exits[keys[1]].code == 7
    assert poll.poll(0) == []
    assert ends.heard(12345) is None
    other.wait()


def test_one_that_ended_before_it_was_held_is_known_to_have_ended(waits: Child) -> None:
    key = (waits.pid, ticks(waits))
    waits.kill()
    os.waitid(os.P_PID, waits.pid, os.WEXITED | os.WNOWAIT)
    poll = select.epoll()
    ends = Ends(poll)
    ends.hold(*key)
    if key not in ends.exits:  # held as a zombie: told at once
        assert [ends.heard(handle) for handle, _ in poll.poll(30)] == [key]
    assert ends.exits[key].signal == "SIGKILL"


def test_without_a_pidfd_the_end_is_seen_by_looking(waits: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    key = (waits.pid, ticks(waits))
    ends = Ends(select.epoll())
    ends.hold(*key)
    assert ends.sweep() == []
    waits.kill()
    os.waitid(os.P_PID, waits.pid, os.WEXITED | os.WNOWAIT)
    assert ends.sweep() == [key]
    assert ends.exits[key].signal == "SIGKILL"
