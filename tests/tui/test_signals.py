"""A signal goes to the very process that was meant, if it is ours and on a GPU, and else to nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from torchdoctor import signals

DEADLINE_S = 20.0


class Held:
    """A real child process that has a file open which stands for a GPU's."""

    def __init__(self, folder: Path) -> None:
        device = folder / "nvidia0"
        device.touch()
        program = f"import sys; held = open({str(device)!r}); print('ready', flush=True); sys.stdin.read()"
        argv = [sys.executable, "-c", program]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid
        self.started = signals._ticks(self.pid)
        self.devices = (str(folder),)

    def end(self) -> int:
        """How it ends when its stdin is closed, or how it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    one = Held(tmp_path)
    yield one
    one.process.kill()
    one.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_of_ours_on_a_gpu_gets_it(held: Held, number: signal.Signals) -> None:
    assert signals.send(held.pid, held.started, number, held.devices) == ""
    assert held.process.wait(DEADLINE_S) == -number


def test_a_pid_that_was_given_anew_gets_nothing(held: Held) -> None:
    said = signals.send(held.pid, held.started - 1, signal.SIGKILL, held.devices)
    assert said == "another process has this pid by now"
    assert held.end() == 0


def test_a_process_whose_start_is_not_known_gets_nothing(held: Held) -> None:
    assert "not known when it was started" in signals.send(held.pid, None, signal.SIGKILL, held.devices)
    assert held.end() == 0


def test_a_process_without_a_gpu_gets_nothing(held: Held) -> None:
    assert "has no GPU open here" in signals.send(held.pid, held.started, signal.SIGKILL)
    assert held.end() == 0


def test_a_process_of_somebody_else_gets_nothing_even_from_root(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    said = signals.send(held.pid, held.started, signal.SIGKILL, held.devices)
    monkeypatch.undo()
    assert said == f"it belongs to uid {os.getuid()}: only your own processes get signals from here"
    assert held.end() == 0


def test_a_process_that_has_ended_is_said(held: Held) -> None:
    held.end()
    assert "it has ended" in signals.send(held.pid, held.started, signal.SIGKILL, held.devices)


def test_a_proc_of_another_namespace_is_not_believed(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.readlink

    def outer(path: str) -> str:
        return "1" if path == "/proc/self" else whole(path)

    monkeypatch.setattr(os, "readlink", outer)
    assert "another pid namespace" in signals.send(held.pid, held.started, signal.SIGKILL, held.devices)
    monkeypatch.undo()
    assert held.end() == 0


def test_a_system_without_pidfds_sends_nothing(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert "cannot hold a process" in signals.send(held.pid, held.started, signal.SIGKILL, held.devices)
    assert held.end() == 0


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_what_is_no_pid_is_refused_in_words(pid: Any) -> None:
    assert signals.send(pid, 1, signal.SIGKILL)
