"""What is left when a guardian is killed or does not answer, and what is never touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import DEADLINE_S, finish, left_of, make, over, probe, until

from torchprobes import rundir
from torchprobes.model import Judgement, Readings, Verdict
from torchprobes.runner import processes, recovery
from torchprobes.runner.check import Check, Options
from torchprobes.runner.snapshot import ProbeState

PATIENT = Options(device="cpu", slots=4, grace_s=600.0, kill_s=0.5)


def running(check: Check) -> bool:
    return all(view.state is ProbeState.RUNNING and len(view.pids) > 1 for view in check.view().probes)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not ours to end."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        yield process
        assert process.poll() is None, "somebody else's process was ended"
        process.kill()


def guardian_of(check: Check) -> int:
    (one,) = check._ones
    assert one.guardian is not None
    return one.guardian


def test_a_guardian_that_gives_no_answer_is_ended_and_its_probe_with_it(tmp_path: Path) -> None:
    check = make(tmp_path, probe("leaves_children"), options=PATIENT)
    check.start()
    until(lambda: running(check), "a running probe with a child")
    os.kill(guardian_of(check), signal.SIGSTOP)
    check.cancel()
    assert check.wait(DEADLINE_S)
    (view,) = check.view().probes
    assert view.result is not None
    assert "its guardian ended" in view.result.reason
    assert left_of(check.view().run) == []


def test_console_and_guardian_killed_at_once_and_the_next_start_ends_what_was_left(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    """Nobody is left to end the grandchild: the kernel ends only the payload. The next start of the probe does."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\nfrom harness import make, probe\nfrom test_recovery import PATIENT, running, until\n"
        "check = make(Path(sys.argv[1]), probe('leaves_daemon'), options=PATIENT)\ncheck.start()\n"
        "until(lambda: running(check), 'it runs')\n"
        "print(check.view().run, check._ones[0].guardian, flush=True)\nimport time; time.sleep(600)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path), *sys.path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as console:
        assert console.stdout is not None
        run, guardian = console.stdout.readline().split()
        os.kill(console.pid, signal.SIGSTOP)
        os.kill(int(guardian), signal.SIGKILL)
        console.kill()
    assert left_of(run) != [], "nothing was left: this test shows nothing"
    result = finish(over(rundir.RunDir(Path(run)), probe("leaves_daemon"), options=Options(device="cpu", grace_s=0.2)))
    assert "outlived" in result["leaves_daemon"].reason
    assert left_of(run) == []
    assert bystander.poll() is None


def test_records_of_another_boot_or_of_a_reused_pid_end_nobody(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    entry = processes.read(bystander.pid)
    assert entry is not None

    def write(boot_id: str, start: int) -> None:
        rows = [
            {"ev": "start", "pid": 2**22, "start": 1, "boot_id": boot_id, "token": "f" * 32},
            {"ev": "process", "pid": bystander.pid, "start": start, "session": entry.session},
        ]
        (tmp_path / "guardian.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")

    write("another boot", entry.start)
    assert recovery.recover_probe(tmp_path) == 0
    write(rundir.boot_id(), entry.start + 1)
    assert recovery.recover_probe(tmp_path) == 0
    assert bystander.poll() is None


def test_rules_that_break_are_an_error_and_the_readings_stay(tmp_path: Path) -> None:
    check = make(tmp_path, probe("sound"), probe("not_numbers"))

    def broken(_probe: object, readings: Readings) -> Judgement:
        return Judgement(verdict=Verdict.PASS, reason=str(1 / (len(readings.figures) - 1)))

    for one in check._ones:
        one._judge = broken
    for result in finish(check).values():
        assert result.verdict is Verdict.ERROR
        assert result.reason == "its rules broke: ZeroDivisionError: division by zero"
        assert len(result.figures) == 1
