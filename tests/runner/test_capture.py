"""A captured command: what is kept of it, how it ends, and that nothing of ours ends it or outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE_S, left_of, until

from torchprobes import rundir
from torchprobes.compilelog.switches import SwitchError, Torch
from torchprobes.rundir import RunDir
from torchprobes.runner import capture, capture_plan
from torchprobes.runner.capture import Capture, end_of, exit_code_of, folder_of
from torchprobes.runner.capture_pipes import BEFORE, Kept
from torchprobes.runner.capture_plan import CaptureError, Plan, Request

ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}


@pytest.fixture(autouse=True)
def _torch_2_6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_plan, "torch_of", lambda python, _: (Torch("2.6.0") if python else Torch(), ()))


def made(place: Path, *words: str, switches: str = "default", **environ: str) -> tuple[RunDir, Plan]:
    asked = Request(words, switches, str(place))
    return capture.create(place / "runs", ("capture", *words), asked, {**ENVIRON, **environ})


def start(place: Path, *words: str) -> tuple[RunDir, Capture]:
    run, plan = made(place, *words)
    return run, Capture(run, plan, ENVIRON).start()


def ended(place: Path, *words: str) -> tuple[RunDir, capture.End]:
    run, running = start(place, *words)
    assert running.wait(DEADLINE_S)
    return run, running.ended


def kept(run: RunDir, name: str = "stdout.log") -> bytes:
    return (folder_of(run) / name).read_bytes()


def shell(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


# --- what is kept ------------------------------------------------------------------------------------------------


def test_output_environment_and_end_of_a_command_are_kept(tmp_path: Path) -> None:
    run, end = ended(tmp_path, *shell("echo out; echo err >&2; echo $TORCH_TRACE $TORCH_COMPILE_DEBUG_DIR; exit 3"))
    folder = folder_of(run)
    assert kept(run) == f"out\n{folder}/trace {folder}/compile\n".encode()
    assert kept(run, "stderr.log") == b"err\n"
    assert (end.exit_code, end.signal, end.cause) == (3, None, "")
    told = json.loads((folder / "end.json").read_bytes())
    assert told["exit_code"] == 3
    assert told["signal"] is None
    assert 0 <= told["seconds"] < DEADLINE_S
    assert run.info.kind == "capture"
    assert run.info.finished


def test_a_signal_is_named_and_is_what_a_shell_would_say(tmp_path: Path) -> None:
    _, end = ended(tmp_path, *shell("kill -SEGV $$"))
    assert (end.exit_code, end.signal) == (None, "SIGSEGV")
    assert exit_code_of(end) == 128 + signal.SIGSEGV


def test_raw_bytes_and_a_last_line_without_an_end_stay_as_they_are(tmp_path: Path) -> None:
    run, _ = ended(tmp_path, *shell(r"printf '\033[31m\000\377\r half'"))
    assert kept(run) == b"\033[31m\0\377\r half"


def test_stdin_is_empty_and_secrets_are_masked_in_what_is_kept(tmp_path: Path) -> None:
    run, end = ended(tmp_path, *shell("cat; : --api-key=sk-0123456789abcdef0123"))
    assert (end.exit_code, kept(run)) == (0, b"")
    request = (folder_of(run) / "request.json").read_text()
    assert "sk-0123456789abcdef0123" not in request + (run.path / "run.json").read_text()
    assert json.loads(request)["cwd"] == str(tmp_path)


def test_more_than_a_pipe_holds_comes_whole_and_in_order(tmp_path: Path) -> None:
    run, _ = ended(tmp_path, *shell("seq 1 400000"))
    assert kept(run) == b"".join(b"%d\n" % n for n in range(1, 400001))


def test_a_stream_past_its_limit_keeps_its_last_lines_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "KEPT_BYTES", 100_000)
    run, running = start(tmp_path, *shell("seq 1 100000"))
    assert running.wait(DEADLINE_S)
    assert running.ended.exit_code == 0
    text = kept(run, "stdout.log" + BEFORE) + kept(run)
    lines = text.splitlines()
    assert len(text) <= 200_000 + (1 << 17)
    assert lines[-1] == b"100000"
    assert lines == [b"%d" % n for n in range(int(lines[0]), 100001)], "whole lines, none missing among the last"
    assert any("what came earlier is dropped" in line for line in running.view().warnings)


def test_a_full_disk_costs_text_and_is_counted(tmp_path: Path) -> None:
    log = Kept(str(tmp_path), "stdout.log", 1 << 20)
    log.write(b"kept\n")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._fd)
    log.write(b"lost\n")
    assert log.lost == 5
    os.close(full)
    log.close()


# --- how it ends -------------------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no program 'no-such-program'"):
        made(tmp_path, "no-such-program")
    with pytest.raises(SwitchError, match="near it: graph_breaks"):
        made(tmp_path, "true", switches="graph_brakes")
    assert not (tmp_path / "runs").exists()


def test_one_that_cannot_be_executed_says_why(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and no more")
    program.chmod(0o755)
    _, end = ended(tmp_path, str(program))
    assert end.exit_code == 127 or end.cause.startswith("cannot run")
    assert exit_code_of(end) == 127


def test_cancel_ends_all_that_descends_from_it(tmp_path: Path) -> None:
    run, running = start(tmp_path, *shell("setsid sleep 600 & sleep 600 & echo up; wait"))
    until(lambda: kept_so_far(run) == b"up\n", "its first line")
    running.cancel("cancelled")
    assert running.wait(DEADLINE_S)
    assert (running.ended.signal, running.ended.cause) == ("SIGKILL", "cancelled")
    assert left_of(run.path) == []


def kept_so_far(run: RunDir) -> bytes:
    path = folder_of(run) / "stdout.log"
    return path.read_bytes() if path.exists() else b""


def test_a_signal_is_handed_on_and_answered_in_the_commands_own_way(tmp_path: Path) -> None:
    run, running = start(tmp_path, *shell("trap 'echo saved; exit 7' TERM; echo up; while :; do sleep 0.05; done"))
    until(lambda: kept_so_far(run) == b"up\n", "its first line")
    running.hand_on(signal.SIGTERM)
    assert running.wait(DEADLINE_S)
    assert kept(run) == b"up\nsaved\n"
    assert running.ended.exit_code == 7


def test_what_it_left_behind_is_ended_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "GRACE_S", 0.1)
    run, running = start(tmp_path, *shell("setsid sleep 600 & echo gone"))
    assert running.wait(DEADLINE_S)
    assert running.ended.exit_code == 0
    assert left_of(run.path) == []
    assert any("left behind was ended: sleep 600" in line for line in running.view().warnings)


def test_a_compile_worker_that_is_slow_to_end_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "GRACE_S", 0.0)
    run, running = start(tmp_path, *shell("setsid sh -c 'sleep 600; : torch/_inductor/compile_worker' & echo gone"))
    assert running.wait(DEADLINE_S)
    assert not any("compile_worker" in line for line in running.view().warnings)
    assert left_of(run.path) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"exit_code": "x"}', "[" * 100_000, '{"seconds": {}}'], ids=range(6))
def test_an_end_that_is_none_is_not_believed(tmp_path: Path, text: str) -> None:
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture" / "end.json").write_text(text)
    assert end_of(tmp_path) is None


OWNER = """
import os, sys
from pathlib import Path
from torchprobes.runner import capture
from torchprobes.runner.capture_plan import Request
words = ("sh", "-c", "setsid sleep 600 & echo up; wait")
run, plan = capture.create(Path(sys.argv[1]), words, Request(words, "trace", sys.argv[1]), dict(os.environ))
print(run.path, flush=True)
capture.Capture(run, plan, dict(os.environ)).start().wait()
"""


def test_it_ends_with_its_owner_and_still_says_how(tmp_path: Path) -> None:
    roots = str(Path(capture.__file__).parents[2])
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, env={**ENVIRON, "PYTHONPATH": roots}
    )
    assert owner.stdout is not None
    run = RunDir(Path(owner.stdout.readline().decode().strip()))
    until(lambda: kept_so_far(run) == b"up\n", "its first line")
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: end_of(run) is not None, "its end")
    until(lambda: not left_of(run.path), "nothing left")
    end = end_of(run)
    assert end is not None
    assert (end.signal, end.cause) == ("SIGKILL", "interrupted: its console ended")


def test_a_guardian_that_is_killed_leaves_an_end_and_no_process(tmp_path: Path) -> None:
    run, running = start(tmp_path, *shell("setsid sleep 600 & echo up; wait"))
    until(lambda: kept_so_far(run) == b"up\n", "its first line")
    guard: Any = running._guard
    until(lambda: len(guard.pids()) >= 2, "both processes recorded")
    os.kill(guard.pid, signal.SIGKILL)
    assert running.wait(DEADLINE_S)
    assert "its guardian ended" in running.ended.cause
    assert end_of(run) == running.ended
    assert left_of(run.path) == []


# --- the disk ----------------------------------------------------------------------------------------------------


def test_a_large_trace_and_a_full_place_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "TRACE_BYTES", 1000)
    monkeypatch.setattr(capture, "ROOM_BYTES", 1 << 62)
    monkeypatch.setattr(capture, "DISK_S", 0.0)
    run, running = start(tmp_path, *shell('seq 1 1000 > "$TORCH_TRACE/t.log"; sleep 600'))
    until(lambda: len(running.view().warnings) == 2, "both warnings")
    told = running.view()
    running.cancel()
    assert running.wait(DEADLINE_S)
    assert any(line.startswith("the trace has passed") for line in told.warnings)
    assert len(running.view().warnings) == 2
    assert rundir.list_runs(run.path.parent) == [run]
