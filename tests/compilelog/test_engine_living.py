"""Whether a process still lives: only what this host can know is said, and a process that goes on has not ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from torchprobes.compilelog import living
from torchprobes.compilelog.engine import explain
from torchprobes.compilelog.events import Exited, Place, Source
from torchprobes.compilelog.gather import Gatherer
from torchprobes.compilelog.living import Living, on_network

NEVER = 4_194_300
"""A pid that this host has not given out."""

HOLDER = "import sys, time; f = open(sys.argv[1], sys.argv[2]); print('held', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living, "on_network", lambda _: False)
    monkeypatch.setattr(living, "HELD_LOOK_S", 0.0)


def ended(path: Path, pid: int, at_s: float | None = None) -> list[Exited]:
    watched = Living()
    source = Source(Place(str(path), 9), pid, compile_id="0/0", at_s=time.time() if at_s is None else at_s, trace=True)
    watched.wrote(source)
    return watched.ended(time.monotonic())


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.log"
    path.write_bytes(b"V\n")
    return path


def test_a_process_that_is_there_lives(trace: Path) -> None:
    assert ended(trace, os.getpid()) == []


def test_one_that_is_not_there_has_ended_and_nobody_says_how(trace: Path) -> None:
    (exited,) = ended(trace, NEVER)
    assert (exited.exit_code, exited.signal, exited.source.pid) == (None, "", NEVER)
    assert (exited.source.compile_id, exited.source.at_s) == ("", None)


def test_a_number_that_another_process_has_now_does_not_count(trace: Path) -> None:
    assert len(ended(trace, os.getpid(), at_s=time.time() - 10 * 365 * 86_400)) == 1


def test_a_zombie_has_ended(trace: Path) -> None:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert len(ended(trace, child.pid)) == 1
    child.wait()
    child.stdout.close()


@pytest.mark.parametrize(("mode", "lives"), [("a", True), ("r", False)])
def test_a_file_that_somebody_writes_to_has_its_writer_though_its_pid_is_another(
    trace: Path, mode: str, lives: bool
) -> None:
    holder = subprocess.Popen([sys.executable, "-I", "-S", "-c", HOLDER, str(trace), mode], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert (ended(trace, NEVER) == []) == lives
    finally:
        holder.kill()
        holder.communicate()


def test_a_file_that_another_host_may_write_says_nothing(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living, "on_network", lambda _: True)
    assert ended(trace, NEVER) == []


@pytest.mark.parametrize(
    ("mounts", "network"),
    [
        ("/dev/a / ext4 rw 0 0\n", False),
        ("/dev/a / ext4 rw 0 0\nsrv:/x /data nfs4 rw 0 0\n", True),
        ("/dev/a / ext4 rw 0 0\nsrv:/x /data nfs4 rw 0 0\n/dev/b /data/job xfs rw 0 0\n", False),
        ("/dev/a / ext4 rw 0 0\nsrv:/x /dat nfs4 rw 0 0\n", False),
        ("/dev/a / ext4 rw 0 0\nx /data fuse.sshfs rw 0 0\n", True),
        ("nonsense\n", True),
    ],
)
def test_file_systems_of_other_hosts(
    mounts: str, network: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mounts"
    table.write_text(mounts)
    monkeypatch.setattr(living, "MOUNTS", str(table))
    assert on_network("/data/job/trace.log") == network


def test_each_end_is_told_once(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Living()
    watched.wrote(Source(Place(str(trace), 0), NEVER, 0, at_s=1.0, trace=True))
    assert len(watched.ended(1.0)) == 1
    assert watched.ended(100.0) == []


def record(name: str, phase: str, at: int) -> str:
    """A record of a trace: a phase begins or ends."""
    payload = f'\t{{\n\t"name": "{name}",\n\t"ph": "{phase}",\n\t"ts": {at}000000.0\n\t}}\n'
    head = f"V1123 06:12:{at:02}.000000 {NEVER} torch/_dynamo/utils.py:2350] "
    keys = '"frame_id": 0, "frame_compile_id": 0, "attempt": 0, "has_payload": "0123456789abcdef0123456789abcdef"'
    return f'{head}{{"chromium_event": {{}}, {keys}}}\n{payload}'


def start(at: int) -> str:
    head = f"V1123 06:12:{at:02}.000000 {NEVER} torch/_dynamo/convert_frame.py:1] "
    return f'{head}{{"dynamo_start": {{"stack": []}}, "frame_id": 0, "frame_compile_id": 0, "attempt": 0}}\n'


def test_what_a_process_compiled_when_it_ended_was_cut_off(tmp_path: Path) -> None:
    trace = tmp_path / "dedicated_log_torch_trace_abcdefgh.log"
    trace.write_text(start(1) + record("dynamo", "B", 2) + record("compile_file", "B", 3) + start(4))
    found = explain(str(tmp_path))
    assert [(one.compile_id, one.state) for one in found.compiles] == [("0/0", "killed")]
    assert found.processes[0].open_phases == ("dynamo", "compile_file")


def test_one_that_goes_on_had_not_ended(tmp_path: Path) -> None:
    trace = tmp_path / "dedicated_log_torch_trace_abcdefgh.log"
    trace.write_text(start(1) + record("dynamo", "B", 2) + start(3))
    gatherer = Gatherer(str(tmp_path))
    deadline = time.monotonic() + 20

    def state() -> str:
        gatherer.step(0.05)
        compiles = gatherer.explanation(time.time()).compiles
        return compiles[0].state if compiles else ""

    while state() != "killed":
        assert time.monotonic() < deadline
    with trace.open("a") as file:
        file.write(record("compile_file", "B", 4) + start(5))
    while state() != "compiling":
        assert time.monotonic() < deadline
