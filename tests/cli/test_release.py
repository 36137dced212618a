"""`release`: our samplers end, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import torchdoctor, until

from torchdoctor.cli import run
from torchdoctor.commands import release
from torchprobes.child import SAMPLER
from torchprobes.rundir import start_ticks
from torchprobes.telemetry import Sampler, holders, source
from torchprobes.telemetry.holders import Holder
from torchprobes.telemetry.letting_go import RELEASE


@pytest.fixture
def sampler() -> Iterator[subprocess.Popen[bytes]]:
    """A real sampler that gave its first sample."""
    command = [sys.executable, "-I", "-B", str(SAMPLER), "0.5"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
    assert process.stdout is not None
    assert process.stdout.readline()
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def own_samplers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`release` sees what this test started, and not the console that somebody has open beside it."""
    everything = holders.find

    def ours(proc: Path = Path("/proc")) -> tuple[Holder, ...]:
        return tuple(holder for holder in everything(proc) if holder.parent == os.getpid())

    monkeypatch.setattr(holders, "find", ours)
    monkeypatch.setenv("TORCHDOCTOR_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def holder_of(process: subprocess.Popen[bytes]) -> Holder:
    (found,) = [holder for holder in holders.find() if holder.pid == process.pid]
    return found


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this user that only names our file."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", "-I", "-B", str(SAMPLER)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_a_sampler_is_found_with_its_parent_and_start(
    sampler: subprocess.Popen[bytes], bystander: subprocess.Popen[bytes]
) -> None:
    found = holder_of(sampler)
    assert found == Holder(pid=sampler.pid, start_ticks=start_ticks(sampler.pid) or 0, parent=os.getpid())
    assert bystander.pid not in {holder.pid for holder in holders.find()}


@pytest.mark.usefixtures("own_samplers")
def test_release_ends_it_says_so_and_touches_nobody_else(
    sampler: subprocess.Popen[bytes], bystander: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["release"]) == 0
    said = capfd.readouterr()
    assert said.out.splitlines() == [
        f"sampler {sampler.pid} of process {os.getpid()}: closed",
        "1 driver handles closed, 0 left",
    ]
    assert said.err == ""
    assert sampler.wait(10) == -RELEASE
    assert bystander.poll() is None


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What looks like a sampler and does not end, as one in a driver call that cannot be interrupted."""
    file = tmp_path / "torchprobes" / "telemetry" / "sampler.py"
    file.parent.mkdir(parents=True)
    ignore = f"signal.signal({int(RELEASE)}, signal.SIG_IGN)"
    file.write_text(f"import signal, time\n{ignore}\nprint(flush=True)\ntime.sleep(600)\n")
    process = subprocess.Popen([sys.executable, "-I", "-B", str(file)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


@pytest.mark.usefixtures("own_samplers")
def test_one_that_does_not_end_is_told_and_4_and_the_others_end_all_the_same(
    deaf: subprocess.Popen[bytes],
    sampler: subprocess.Popen[bytes],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "DEADLINE_S", 0.2)
    assert run(["release"]) == 4
    lines = capfd.readouterr().out.splitlines()
    assert any(f"sampler {deaf.pid} " in line and "NOT closed" in line for line in lines)
    assert f"sampler {sampler.pid} of process {os.getpid()}: closed" in lines
    assert lines[-1] == "1 driver handles closed, 1 left"
    assert deaf.poll() is None


@pytest.mark.usefixtures("own_samplers")
def test_one_that_was_stopped_ends_too(sampler: subprocess.Popen[bytes]) -> None:
    sampler.send_signal(signal.SIGSTOP)
    assert run(["release"]) == 0
    assert sampler.wait(10) == -RELEASE


def test_read_only_ends_nothing(sampler: subprocess.Popen[bytes], tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "release", "--read-only")
    assert (said.code, "--read-only is set" in said.one_line()) == (2, True)
    assert sampler.poll() is None


def test_a_number_that_was_used_again_is_not_hit(bystander: subprocess.Popen[bytes]) -> None:
    assert holders.close([Holder(pid=bystander.pid, start_ticks=1, parent=1)], 5) == ("",)
    assert bystander.poll() is None


def test_one_that_is_gone_counts_as_closed(sampler: subprocess.Popen[bytes]) -> None:
    found = holder_of(sampler)
    sampler.kill()
    sampler.wait()
    assert holders.close([found], 5) == ("",)


def test_without_proc_there_are_none(tmp_path: Path) -> None:
    assert holders.find(tmp_path / "none") == ()
    (tmp_path / "12").mkdir()
    assert holders.find(tmp_path) == ()


@pytest.mark.usefixtures("own_samplers")
def test_the_console_of_a_released_sampler_starts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESTART_S", 0.0)
    console = Sampler(rate_hz=5)
    console.start()
    try:
        until(lambda: console.latest()[0] > 0, "a sample")
        assert holders.find()
        assert run(["release"]) == 0
        until(lambda: console.state.startswith("released"), "the console to say so")
        assert holders.find() == ()
    finally:
        console.stop()


@pytest.mark.usefixtures("own_samplers")
def test_a_sampler_that_somebody_else_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM comes from whoever stops services or all of python; only `release` means the driver."""
    monkeypatch.setattr(source, "RESTART_S", 0.0)
    console = Sampler(rate_hz=5)
    console.start()
    try:
        until(lambda: console.latest()[0] > 0, "a sample")
        (first,) = holders.find()
        os.kill(first.pid, signal.SIGTERM)
        until(lambda: holders.find() not in ((), (first,)), "another sampler")
        seen = console.latest()[0]
        until(lambda: console.latest()[0] > seen, "a sample of it")
        assert console.state == ""
    finally:
        console.stop()
