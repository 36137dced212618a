"""`release`: our samplers end, and nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import torchdoctor, until

from torchprobes.rundir import start_ticks
from torchprobes.telemetry import Sampler, holders, source
from torchprobes.telemetry.holders import Holder
from torchprobes.telemetry.source import SAMPLER


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


def test_release_ends_it_says_so_and_touches_nobody_else(
    sampler: subprocess.Popen[bytes], bystander: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    said = torchdoctor(tmp_path, "release")
    assert said.code == 0
    assert f"sampler {sampler.pid} of process {os.getpid()}: closed" in said.out
    assert said.out.splitlines()[-1].endswith("driver handles closed, 0 left")
    assert sampler.wait(10) == -15
    assert bystander.poll() is None


def test_read_only_ends_nothing(sampler: subprocess.Popen[bytes], tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "release", "--read-only")
    assert (said.code, "--read-only is set" in said.one_line()) == (2, True)
    assert sampler.poll() is None


def test_a_number_that_was_used_again_is_not_hit(bystander: subprocess.Popen[bytes]) -> None:
    assert holders.close(Holder(pid=bystander.pid, start_ticks=1, parent=1), 5) == ""
    assert bystander.poll() is None


def test_one_that_is_gone_counts_as_closed(sampler: subprocess.Popen[bytes]) -> None:
    found = holder_of(sampler)
    sampler.kill()
    sampler.wait()
    assert holders.close(found, 5) == ""


def test_without_proc_there_are_none(tmp_path: Path) -> None:
    assert holders.find(tmp_path / "none") == ()
    (tmp_path / "12").mkdir()
    assert holders.find(tmp_path) == ()


def test_the_console_of_a_released_sampler_starts_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESTART_S", 0.0)
    console = Sampler(rate_hz=5)
    console.start()
    try:
        until(lambda: console.latest()[0] > 0, "a sample")
        mine = {holder.pid for holder in holders.find() if holder.parent == os.getpid()}
        assert mine
        assert torchdoctor(tmp_path, "release").code == 0
        until(lambda: console.state.startswith("released"), "the console to say so")
        assert not [holder for holder in holders.find() if holder.parent == os.getpid()]
    finally:
        console.stop()
