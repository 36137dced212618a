"""The console's end of the sampler: what it does when its child dies, says nonsense, or must go."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from fake_driver import DEADLINE_S, FakeDriver, is_ready, sample_where, sampling, until
from sample_material import gpu, sample

from torchprobes.telemetry import ending, source
from torchprobes.telemetry.health import Judge
from torchprobes.telemetry.history import History
from torchprobes.telemetry.holders import find
from torchprobes.telemetry.letting_go import EXIT_REOPEN, RELEASE
from torchprobes.telemetry.past import Past
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

    def spawn_late(command: list[str], **options: bool) -> subprocess.Popen[bytes]:
        stopped.wait(DEADLINE_S)
        return spawn(command, **options)

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
    asked, ask = [], ending.exit_code
    monkeypatch.setattr(source, "RESTART_S", 0.0)
    monkeypatch.setattr(ending, "STUCK_S", 0.3)
    monkeypatch.setattr(ending, "exit_code", lambda process: asked.append(time.monotonic()) or ask(process))
    go_on = tmp_path / "go on"
    code = f"import os, time; os.close(1); os.close(2)\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    command, marks = dying(tmp_path, "exec(" + repr(code) + ")")
    with sampling(command=command) as sampler:
        until(lambda: "cannot be interrupted" in sampler.state)
        assert time.monotonic() - asked[0] > 0.3, "a child that takes its time to end is not told as stuck"
        until(lambda: len(asked) > 5)
        assert marks.read_text() == "x"
        go_on.touch()
        until(lambda: len(marks.read_text()) > 1)


def test_a_signal_is_told_before_last_words_and_released_in_spite_of_them(tmp_path: Path) -> None:
    kill = "import os; print('noise', flush=True); os.kill(os.getpid(), {})"
    for number, name in ((signal.SIGSEGV, "SIGSEGV"), (signal.SIGTERM, "SIGTERM")):
        command, _ = dying(tmp_path, kill.format(int(number)))
        with sampling(command=command) as sampler:
            assert f"({name}: noise)" in until(lambda: sampler.state)
    command, marks = dying(tmp_path, kill.format(int(RELEASE)))
    marks.unlink()
    with sampling(command=command) as sampler:
        assert until(lambda: sampler.state).startswith("released")
        assert marks.read_text() == "x"


# --- lines that are no samples ----------------------------------------------------------------------------------


def end(sampler: Sampler) -> None:
    """Give its child the line for which it waits."""
    process = sampler._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def saying(tmp_path: Path, line: bytes, code: str) -> tuple[tuple[str, ...], Path]:
    """A child that has a line at hand as `line`, and its stdout as `out`."""
    file = tmp_path / "line"
    file.write_bytes(line)
    return dying(
        tmp_path, f"import sys, time; out = sys.stdout.buffer; line = open({str(file)!r}, 'rb').read(); {code}"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            b'{"t_ns": 1, "m_ns": 2}\n',
            "it speaks as another version of torchdoctor does: open the console anew (Object",
        ),
        (b"Traceback: boom\n", "its lines are no samples: Traceback: boom"),
        (b"[" * 5000 + b"\n", "its lines are no samples: [["),
    ],
    ids=["another version", "noise", "too deep"],
)
def test_a_child_whose_lines_are_no_samples_is_given_up_and_it_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, words: str
) -> None:
    """As when the package was upgraded under a running console: the child itself is well, and does not end."""
    monkeypatch.setattr(source, "RESTART_S", 0.0)
    command, marks = saying(tmp_path, line, "out.write(line * 5); out.flush(); sys.stdin.read()")
    with sampling(command=command) as sampler:
        told = until(lambda: sampler.state if "3 times" in sampler.state else "")
    assert told.startswith(f"no telemetry: the sampler died 3 times ({words}")
    assert marks.read_text() == "xxx"
    assert sampler.latest() == (0, None)


def test_bad_lines_between_samples_are_nothing_to_give_a_child_up_for(tmp_path: Path) -> None:
    line = msgspec.json.encode(sample()) + b"\n"
    command, _ = saying(
        tmp_path, line, "[out.write(b'x\\n' * 4 + line) for _ in range(9)]; out.flush(); sys.stdin.read()"
    )
    with sampling(command=command) as sampler:
        until(lambda: sampler.latest()[0] == 9)
        assert sampler.state == ""


def test_a_warning_on_stderr_splits_no_line_and_is_told_when_the_child_dies(tmp_path: Path) -> None:
    """A sample is longer than what a pipe takes in one piece."""
    line = msgspec.json.encode(sample(*(gpu(index) for index in range(8)))) + b"\n"
    assert len(line) > 2 * select.PIPE_BUF
    code = (
        "warn = lambda: (sys.stderr.write('NVRM: warning ' * 99 + chr(10)), sys.stderr.flush())\n"
        "for _ in range(20):\n"
        "    for at in range(0, len(line), 4000): out.write(line[at : at + 4000]); out.flush(); warn()\n"
        "sys.stdin.readline(); raise SystemExit('no more')"
    )
    command, _ = saying(tmp_path, line, f"exec({code!r})")
    with sampling(command=command) as sampler:
        until(lambda: sampler.latest()[0] == 20)
        assert sampler.state == ""
        end(sampler)
        assert "(no more)" in until(lambda: sampler.state)


def test_what_a_library_prints_on_stdout_is_no_part_of_a_line(driver: FakeDriver) -> None:
    driver.rules("0:nvmlDeviceGetPowerUsage:print")
    with sampling() as sampler:
        sample_where(sampler, lambda s: is_ready(s) and sampler.latest()[0] > 5)
        os.kill(child_of_this_process(), signal.SIGKILL)
        assert "SIGKILL: the fake driver prints" in until(lambda: sampler.state)


# --- faults of our own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "method"), [(History, "append"), (Past, "add"), (Judge, "judge")])
def test_a_sample_is_shown_also_when_our_own_part_fails_on_it(
    part: type, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    sampler = Sampler(command=("/bin/true",))
    line = msgspec.json.encode(sample(gpu()))
    with pytest.MonkeyPatch.context() as patch:
        # A test before may have opened the console's own log: then nothing goes up to the root, where caplog is.
        patch.setattr(logging.getLogger("torchdoctor.sampler"), "handlers", [caplog.handler])
        patch.setattr(logging.getLogger("torchdoctor.sampler"), "propagate", False)
        patch.setattr(part, method, fail)
        assert sampler.take(line)
        assert sampler.take(line)
    number, seen, health = sampler.judged()
    assert (number, seen) == (2, sample(gpu()))
    assert "a fault of torchdoctor's own in the" in sampler.state
    assert "ZeroDivisionError: a bug" in sampler.state
    assert health.line.startswith("not judged: a fault") is (part is Judge)
    assert [record.name for record in caplog.records] == ["torchdoctor.sampler"], "each fault is logged once"
    assert sampler.take(line)
    assert sampler.state == ""


def test_a_reader_that_fails_is_a_strike_and_not_the_end_of_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ill(Sampler):
        def take(self, line: bytes) -> bool:
            raise OSError("no space")

    monkeypatch.setattr(source, "RESTART_S", 0.0)
    command, marks = dying(tmp_path, "import sys; print(flush=True); sys.stdin.read()")
    sampler = Ill(command=command)
    sampler.start()
    told = until(lambda: sampler.state if "3 times" in sampler.state else "")
    assert "a fault of torchdoctor's own in the reader of samples: OSError: no space" in told
    assert marks.read_text() == "xxx"


def test_rules_are_asked_once_a_second_and_at_once_when_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler()
    asked: list[int] = []
    judge = sampler._judge.judge
    monkeypatch.setattr(sampler._judge, "judge", lambda one, past: (asked.append(one.m_ns), judge(one, past))[1])

    def take(ms: int, state: str = "ok") -> None:
        assert sampler.take(msgspec.json.encode(sample(gpu(0, state=state), m_ns=ms * 1_000_000)) + b"\n")

    for ms in (1000, 1500, 2000, 2500):
        take(ms)
    assert asked == [1_000_000_000, 2_000_000_000]
    take(2600, "lost")
    assert asked[2:] == [2_600_000_000]
    assert any(finding.id == "TD-GPU-003" for finding in sampler.judged()[2].findings)
