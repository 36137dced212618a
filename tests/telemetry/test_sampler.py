"""The sampler child with a driver library of our own: each illness of a driver, as cells, states and findings."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_driver import DEADLINE_S, FakeDriver, absent

from torchprobes.cells import UNREAD, CellState
from torchprobes.child import SAMPLER
from torchprobes.samples import LANES, Sample
from torchprobes.telemetry import health, take_sample

GIB = 1 << 30


def ids(sample: Sample) -> set[str]:
    return {finding.id for finding in health.judge(sample).findings if finding.id.startswith("TD-GPU")}


def state_of(sample: Sample, index: int, state: str) -> bool:
    return len(sample.gpus) > index and sample.gpus[index].state == state


def test_two_healthy_gpus_have_the_numbers_that_the_driver_gives(driver: FakeDriver) -> None:
    driver.on_bus(0, 1)
    driver.device_files(0, 1)
    sample = driver.look()
    assert (sample.driver_state, sample.driver, sample.cuda) == ("ok", "570.86.15", "12.8")
    gpu = sample.gpus[1]
    assert (gpu.index, gpu.uuid, gpu.bus_id, gpu.vendor, gpu.state) == (
        1, "GPU-fake-1", "00000000:18:00.0", "nvidia", "ok")  # fmt: skip
    assert gpu.age_s < DEADLINE_S
    said = {
        "name": "NVIDIA Fake 1",
        "utilization_percent": 41,
        "memory_utilization_percent": 21,
        "memory_used_bytes": 11 * GIB,
        "memory_total_bytes": 80 * GIB,
        "power_w": 251.5,
        "power_limit_w": 700.0,
        "temperature_c": 51,
        "sm_clock_mhz": 1901,
        "memory_clock_mhz": 2601,
        "throttle_reasons": 0,
        "performance_state": 0,
        "ecc_uncorrected_volatile": 0,
        "recovery_action": 0,
    }
    assert {name: getattr(gpu, name) for name in said} == said
    assert sample.gpus[0].power_w == 250.5
    assert ids(sample) == set()


def test_a_single_look_reads_every_lane(driver: FakeDriver) -> None:
    """What needs two readings for a rate, is counted link by link, or takes 70 ms, comes only with time."""
    sample = driver.look()
    for gpu in sample.gpus:
        unread = {name for name in LANES if getattr(gpu, name) == UNREAD}
        assert {name for name in unread if not name.endswith(("_1m", "_per_s", "_errors"))} == {"inforom_valid"}
        assert len(gpu.links) == 18
    assert sample.topology == (("X", "NV18"), ("NV18", "X"))
    assert sample.peers == (("X", "yes"), ("yes", "X"))
    assert sample.events == () or all(event.source != "nvml" for event in sample.events)


def test_a_gpu_that_is_lost_at_the_start_keeps_its_row_and_is_found(driver: FakeDriver) -> None:
    driver.rules("1:*:15")
    sample = driver.look()
    alive, lost = sample.gpus
    assert (alive.state, alive.utilization_percent) == ("ok", 40)
    assert (lost.state, lost.index, lost.uuid) == ("lost", 1, "index-1")
    cell = absent(lost.temperature_c)
    assert (cell.state, cell.code) == (CellState.LOST, 15)
    (finding,) = (f for f in health.judge(sample).findings if f.id == "TD-GPU-003")
    assert "GPU 1" in finding.seen


def test_a_gpu_that_must_be_reset_is_found(driver: FakeDriver) -> None:
    driver.rules("0:nvmlDeviceGetUtilizationRates:16")
    sample = driver.look()
    assert sample.gpus[0].state == "reset"
    assert absent(sample.gpus[0].utilization_percent).state is CellState.RESET
    assert sample.gpus[0].temperature_c == 50, "what can still be read is shown"
    assert "TD-GPU-004" in ids(sample)


def test_one_sample_of_a_hung_gpu_says_hung(driver: FakeDriver) -> None:
    driver.rules("0:nvmlDeviceGetTemperature:hang")
    sample = driver.look()
    assert [gpu.state for gpu in sample.gpus] == ["hung", "ok"]
    assert "TD-GPU-005" in ids(sample)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4, "look at the mode of /dev/nvidia"),
        (9, "modprobe nvidia"),
        (12, "no NVIDIA GPU on this machine"),
        (18, "reboot, or reload the module"),
        (28, "finds no GPU"),
        (999, "create it again"),
        (123, "NVML cannot be opened: what the fake driver calls it"),
    ],
)
def test_a_driver_that_cannot_be_opened_says_what_to_do(driver: FakeDriver, code: int, words: str) -> None:
    driver.init(code)
    sample = driver.look()
    assert words in sample.driver_state or (code == 12 and sample.hardware)
    assert sample.gpus == ()


def test_without_any_library_the_words_are_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    sample = take_sample(DEADLINE_S)
    assert sample.driver_state.startswith(("no NVIDIA GPU on this machine", "the NVIDIA driver library is not inst"))


def test_an_old_driver_gives_what_it_has_under_older_names(old_driver: FakeDriver) -> None:
    old_driver.processes((0, 4_000_000, GIB))
    sample = old_driver.look()
    gpu = sample.gpus[0]
    assert gpu.throttle_reasons == 4, "throttle reasons stand in for event reasons"
    assert gpu.memory_used_bytes == 11 * GIB, "version 1 counts the driver's own"
    assert [process.pid for process in sample.processes] == [4_000_000]


def test_a_call_that_this_user_may_not_make_is_asked_again(driver: FakeDriver) -> None:
    driver.rules("*:nvmlDeviceGetFieldValues:4")
    sample = driver.look()
    assert absent(sample.gpus[0].recovery_action).state is CellState.PERMISSION
    assert "unreadable" in health.judge(sample).line


def test_processes_are_told_with_their_names_and_a_foreign_pid_is_kept(driver: FakeDriver) -> None:
    driver.processes((0, os.getpid(), 3 * GIB), (1, 4_190_000, GIB))
    sample = take_sample(DEADLINE_S)
    assert isinstance(sample.host.memory_total_bytes, int)
    own, foreign = sample.processes
    assert (own.pid, own.gpu_uuid, own.gpu_memory_bytes, own.kind) == (os.getpid(), "GPU-fake-0", 3 * GIB, "compute")
    assert "pytest" in str(own.command)
    assert own.user
    assert (foreign.pid, foreign.gpu_uuid) == (4_190_000, "GPU-fake-1")
    assert "another namespace" in absent(foreign.command).why


def test_the_child_ends_when_its_lifeline_closes_also_with_a_hung_gpu(driver: FakeDriver) -> None:
    driver.rules("0:nvmlDeviceGetTemperature:hang")
    with subprocess.Popen(
        [sys.executable, "-I", "-B", str(SAMPLER), "0.05"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        child.stdin.close()
        assert child.wait(DEADLINE_S) == 0


def test_the_child_ends_when_nobody_reads_it(driver: FakeDriver) -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-B", str(SAMPLER), "0.05"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as child:
        assert child.stdout
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(DEADLINE_S) == 0


def test_a_child_that_never_has_time_to_wait_ends_all_the_same_when_its_lifeline_closes() -> None:
    code = f"import sys; sys.path.insert(0, {str(SAMPLER.parents[2])!r})\n"
    code += "from torchprobes.telemetry.sampler import sleep_until\nsleep_until(0.0)\nprint('went on', flush=True)\n"
    code += "sys.stdin.readline()\nsleep_until(0.0)\nprint('did not end', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"went on\n"
        assert child.communicate()[0] == b""
        assert child.returncode == 0


def test_no_sample_in_time_is_a_sample_that_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    words = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    began = time.monotonic()
    sample = take_sample(2.0, (sys.executable, "-I", "-S", "-c", words))
    assert time.monotonic() - began < DEADLINE_S
    assert sample.driver_state == "hung: the sampler gave no answer in 2 s"
    assert sample.gpus == ()
    end = time.monotonic() + DEADLINE_S
    while Path(f"/proc/{pid.read_text()}").exists():
        assert time.monotonic() < end, "the child was not killed and reaped"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit('no such thing')", "the sampler died: no such thing"),
        ("import os; os.kill(os.getpid(), 9)", "the sampler died: SIGKILL"),
        ("print('{\"t_ns\": 1}'); print('\\x00' * 9)", "the sampler died: "),
    ],
)
def test_a_sampler_that_dies_leaves_its_last_words(code: str, words: str) -> None:
    assert take_sample(DEADLINE_S, (sys.executable, "-I", "-S", "-c", code)).driver_state.startswith(words)


def test_a_sampler_that_cannot_be_started_says_why() -> None:
    assert take_sample(DEADLINE_S, ("/nowhere/python",)).driver_state.startswith(
        "the sampler cannot be started: No such"
    )
