"""Who descends from whom, and signals that reach exactly whom they are meant for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from torchprobes.runner import processes
from torchprobes.runner.processes import Entry

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as process:
        yield process
        process.kill()


def entry_of(process: subprocess.Popen[bytes]) -> Entry:
    entry = processes.read(process.pid)
    assert entry is not None
    return entry


def test_a_signal_goes_to_the_process_that_was_meant_and_to_no_later_one_of_its_pid(
    sleeper: subprocess.Popen[bytes],
) -> None:
    entry = entry_of(sleeper)
    assert not processes.send(Entry(entry.pid, entry.start + 1, entry.session), signal.SIGKILL)
    assert sleeper.poll() is None
    assert processes.send(entry, signal.SIGKILL)
    assert sleeper.wait(60) == -signal.SIGKILL
    assert not processes.send(entry, signal.SIGKILL)


def test_the_same_where_the_kernel_has_no_pidfd(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    test_a_signal_goes_to_the_process_that_was_meant_and_to_no_later_one_of_its_pid(sleeper)


def test_our_own_group_and_session_are_never_signalled_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _number: sent.append(group))
    other = Entry(10, 1, session=4242, group=4243)
    processes.send_group(
        [
            Entry(10, 1, session=os.getsid(0), group=4244),
            Entry(11, 1, session=4242, group=os.getpgrp()),
            Entry(12, 1, session=0, group=4245),
            Entry(13, 1, session=4242, group=0),
            Entry(14, 1, session=4242, group=1),
            other,
        ],
        signal.SIGKILL,
    )
    assert sent == [4243]


def test_descent_ends_at_init_and_at_what_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes.descends(sleeper.pid, {os.getpid()})
    assert processes.descends(sleeper.pid, {sleeper.pid})
    assert not processes.descends(os.getpid(), {sleeper.pid})
    assert not processes.descends(2**22 + 1, {os.getpid()})


def test_a_census_finds_children_and_only_them(sleeper: subprocess.Popen[bytes]) -> None:
    census = processes.Census(os.getpid())
    assert sleeper.pid in [entry.pid for entry in census.scan()]
    assert sleeper.pid not in [entry.pid for entry in census.scan()], "it is new once"
    assert os.getppid() not in [entry.pid for entry in census.living()]
    sleeper.kill()
    sleeper.wait(60)
    assert sleeper.pid not in [entry.pid for entry in census.living()]


def test_a_command_line_is_one_line_of_text() -> None:
    argv = [sys.executable, "-c", SLEEP, "a\nb\x1b[31m", "z" * 500]
    with subprocess.Popen(argv) as process:
        text = processes.command_line(process.pid)
        process.kill()
    assert "a?b?[31m" in text
    assert len(text) == 160
    assert processes.command_line(2**22 + 1) == ""
