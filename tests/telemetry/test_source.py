"""The console's end of the sampler: what it does when its child dies, says nonsense, or must go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fake_driver import DEADLINE_S, FakeDriver, is_ready, sample_where, sampling, until

from torchprobes.telemetry import source
from torchprobes.telemetry.holders import find
from torchprobes.telemetry.reload import EXIT_REOPEN
from torchprobes.telemetry.source import Sampler


def child_of_this_process() -> int:
    """The sampler that runs below this test."""
    return until(lambda: next((h.pid for h in find() if h.parent == os.getpid()), 0))


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def dying(tmp_path: Path, code: str) -> tuple[tuple[str, ...], Path]:
    """A child that leaves a mark for each start, and then does `code`."""
    marks = tmp_path / "marks"
    words = f"open({str(marks)!r}, 'a').write('x'); {code}"
    return (sys.executable, "-I", "-S", "-c", words), marks


def test_before_the_first_sample_there_is_none_and_nothing_is_wrong() -> None:
    sampler = Sampler(command=("/bin/true",))
    assert sampler.latest() == (0, None)
    assert sampler.state == ""


def test_a_child_that_is_killed_is_started_again(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESTART_S", 0.05)
    with sampling() as sampler:
        sample_where(sampler, lambda s: is_ready(s) and sampler.latest()[0] > 1)
        pid, seen = child_of_this_process(), sampler.latest()[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid))
        sample_where(sampler, lambda s: is_ready(s) and sampler.latest()[0] > seen + 2)
        assert child_of_this_process() != pid
        assert sampler.state == ""


def test_three_deaths_in_a_row_are_a_banner_and_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESTART_S", 0.05)
    command, marks = dying(tmp_path, "raise SystemExit('NVML is broken')")
    with sampling(command=command) as sampler:
        words = until(lambda: sampler.state if "3 times" in sampler.state else "")
        assert words == "no telemetry: the sampler died 3 times (NVML is broken)"
        until(lambda: "torchdoctor-sampler" not in {thread.name for thread in threading.enumerate()})
        assert marks.read_text() == "xxx", "the thread that starts children is gone, and there were three"
        assert sampler.state == words


def test_a_child_that_talks_nonsense_is_told_by_its_last_words(tmp_path: Path) -> None:
    command, _ = dying(tmp_path, "print('{\"v\": [1'); print('\\x1b[2Jboom'); raise SystemExit(3)")
    with sampling(command=command) as sampler:
        assert "boom" in until(lambda: sampler.state)
        assert sampler.latest() == (0, None)


def test_a_silent_child_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "STALE_S", 0.1)
    command, _ = dying(tmp_path, "import sys; sys.stdin.read()")
    with sampling(command=command) as sampler:
        assert "no sample for" in until(lambda: sampler.state)


@pytest.mark.parametrize("rules", [(), ("0:nvmlDeviceGetTemperature:hang",)])
def test_stop_returns_at_once_and_the_child_ends(driver: FakeDriver, rules: tuple[str, ...]) -> None:
    driver.rules(*rules)
    sampler = Sampler(20.0)
    sampler.start()
    pid = child_of_this_process()
    until(lambda: sampler.latest()[0])
    began = time.monotonic()
    sampler.stop()
    assert time.monotonic() - began < 1.0, "stop waits for nothing"
    until(lambda: is_gone(pid), DEADLINE_S)


def test_stop_before_the_child_is_there_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, spawn, ended = threading.Event(), source.Piped, tmp_path / "ended"

    def spawn_late(command: list[str]) -> subprocess.Popen[bytes]:
        stopped.wait(DEADLINE_S)
        return spawn(command)

    monkeypatch.setattr(source, "Piped", spawn_late)
    command, _ = dying(tmp_path, "import sys; sys.stdin.read(); open(sys.argv[1], 'w')")
    sampler = Sampler(command=(*command, str(ended)))
    sampler.start()
    sampler.stop()
    stopped.set()
    until(ended.exists)


# --- what becomes of the child ----------------------------------------------------------------------------------


def test_a_child_that_asks_for_a_successor_gets_it_without_a_strike_but_not_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "REOPEN_S", 0.2)
    command, marks = dying(tmp_path, f"raise SystemExit({EXIT_REOPEN})")
    with sampling(command=command) as sampler:
        until(lambda: marks.exists() and len(marks.read_text()) >= 2)
        began, before = time.monotonic(), len(marks.read_text())
        until(lambda: len(marks.read_text()) >= before + 4)
        assert time.monotonic() - began > 0.5, "four lives of a fifth of a second each"
        assert sampler.state == "the driver was exchanged: the sampler opens it anew"


def test_there_is_no_second_child_while_the_first_cannot_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sits in an uninterruptible call of the driver stays after its pipe was closed."""
    asked, ask = [], source._exit_code
    monkeypatch.setattr(source, "RESTART_S", 0.0)
    monkeypatch.setattr(source, "_exit_code", lambda process: asked.append(1) or ask(process))
    go_on = tmp_path / "go on"
    code = f"import os, time; os.close(1); os.close(2)\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    command, marks = dying(tmp_path, "exec(" + repr(code) + ")")
    with sampling(command=command) as sampler:
        until(lambda: "cannot be interrupted" in sampler.state)
        until(lambda: len(asked) > 5)
        assert marks.read_text() == "x"
        go_on.touch()
        until(lambda: len(marks.read_text()) > 1)


def test_a_signal_is_told_before_last_words_and_released_in_spite_of_them(tmp_path: Path) -> None:
    kill = "import os; print('noise', flush=True); os.kill(os.getpid(), {})"
    command, _ = dying(tmp_path, kill.format(11))
    with sampling(command=command) as sampler:
        assert "(SIGSEGV: noise)" in until(lambda: sampler.state)
    command, marks = dying(tmp_path, kill.format(15))
    marks.unlink()
    with sampling(command=command) as sampler:
        assert until(lambda: sampler.state).startswith("released")
        assert marks.read_text() == "x"
