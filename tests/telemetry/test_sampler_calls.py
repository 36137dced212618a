"""What the driver is asked, counted in the library itself: minutes are played, nobody sleeps them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fake_driver import DEADLINE_S, FakeDriver, is_ready, sample_where, sampling

from torchprobes.child import SAMPLER

GIB = 1 << 30
BUDGET = 130
"""Calls a second, eight GPUs at 2 Hz, as a mean over a minute (issue 3; nvitop makes 252)."""

EVENT_WAITS = 1.5
"""Calls a second that are kept free for events, for the topology, and for counting the GPUs."""

PLAY = """
import sys
sys.path.insert(0, {source!r})
from torchprobes.telemetry.sampling.beat import Beat
from torchprobes.telemetry.sampling.gpu_reader import GpuReader
from torchprobes.telemetry.vendors.nvidia.vendor import Nvidia
vendor = Nvidia()
gpus = [GpuReader(vendor, index, vendor.open().count, Beat()) for index in range(8)]
for minute in range({minutes}):
    print("minute", flush=True)
    with open({calls!r}, "a") as calls:
        calls.write("minute -1\\n")
    for tick in range(120):
        for gpu in gpus:
            gpu.take_tick(1000.0 + 60 * minute + tick / 2)
assert all(gpu.looked and gpu.looked.state == "ok" for gpu in gpus)
"""


def played(driver: FakeDriver, tmp_path: Path, minutes: int) -> list[Counter[str]]:
    """The calls of each minute of eight GPUs at 2 Hz, by "FUNCTION GPU"."""
    script = tmp_path / "play.py"
    script.write_text(PLAY.format(source=str(SAMPLER.parents[2]), minutes=minutes, calls=str(tmp_path / "calls")))
    subprocess.run([sys.executable, "-I", "-B", str(script)], check=True, capture_output=True, timeout=120)
    parts = (tmp_path / "calls").read_text().split("minute -1\n")
    return [Counter(part.splitlines()) for part in parts[1:]]


def test_eight_busy_gpus_at_2_hz_cost_less_than_the_budget_in_every_minute(driver: FakeDriver, tmp_path: Path) -> None:
    driver.gpus(8)
    driver.processes(*((gpu, os.getpid() + gpu, GIB) for gpu in range(8)))
    minutes = played(driver, tmp_path, 3)
    per_second = [sum(minute.values()) / 60 for minute in minutes]
    print("calls a second:", [round(rate, 1) for rate in per_second])
    assert max(per_second) <= BUDGET - EVENT_WAITS
    assert min(per_second) >= 8 * 7 * 2, "all of the fast lane was asked on every tick"
    assert not {name for minute in minutes for name in minute if "PcieThroughput" in name}, "it blocks for 20 ms"


def test_what_does_not_change_is_asked_once_and_each_gpu_is_asked_as_often(driver: FakeDriver, tmp_path: Path) -> None:
    driver.gpus(8)
    minutes = played(driver, tmp_path, 2)
    for static in ("nvmlDeviceGetName", "nvmlDeviceGetSerial", "nvmlDeviceGetMaxClockInfo"):
        assert all(minutes[0][f"{static} {gpu}"] in (1, 2) for gpu in range(8))
        assert all(minutes[1][f"{static} {gpu}"] == 0 for gpu in range(8))
    shares = [sum(count for name, count in minutes[1].items() if name.endswith(f" {gpu}")) for gpu in range(8)]
    assert max(shares) < 1.1 * min(shares)


def test_use_of_each_process_costs_2_ms_and_is_asked_only_where_there_are_some(
    driver: FakeDriver, tmp_path: Path
) -> None:
    driver.gpus(8)
    driver.processes((3, os.getpid(), GIB))
    (minute,) = played(driver, tmp_path, 1)
    assert 8 <= minute["nvmlDeviceGetProcessUtilization 3"] <= 11
    assert {name for name in minute if name.startswith("nvmlDeviceGetProcessUtilization ")} == {
        "nvmlDeviceGetProcessUtilization 3"
    }


def test_what_is_not_supported_or_not_known_is_asked_once(driver: FakeDriver, tmp_path: Path) -> None:
    driver.gpus(8)
    driver.rules("*:nvmlDeviceGetTemperature:3", "0:nvmlDeviceGetPowerUsage:999")
    driver.hide("nvmlDeviceGetPerformanceState")
    (minute,) = played(driver, tmp_path, 1)
    for gpu in range(8):
        assert minute[f"nvmlDeviceGetTemperature {gpu}"] == 1
        assert minute[f"nvmlDeviceGetPerformanceState {gpu}"] == 1
    assert minute["nvmlDeviceGetPowerUsage 0"] == 120, "an error that may pass is asked again"


def test_a_lost_gpu_is_asked_for_its_fast_readings_only(driver: FakeDriver, tmp_path: Path) -> None:
    driver.gpus(8)
    script = PLAY.replace('gpu.looked.state == "ok"', 'gpu.looked.state in ("ok", "lost")')
    driver.rules("5:*:15:400")
    (tmp_path / "play.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "PLAY", script)
        _, minute = played(driver, tmp_path, 2)
    asked = {name.split()[0] for name in minute if name.endswith(" 5")}
    assert "nvmlDeviceGetUtilizationRates" in asked
    assert not asked & {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetTotalEccErrors"}


@pytest.mark.parametrize("rate_hz", [20.0])
def test_the_real_rate_is_the_asked_one(driver: FakeDriver, rate_hz: float) -> None:
    """Due times stand: what ticks and lines cost is not added to the period."""
    driver.gpus(8)
    with sampling(rate_hz, driver.command(str(1 / rate_hz))) as sampler:
        first = sample_where(sampler, is_ready)
        number = sampler.latest()[0]
        last = sample_where(sampler, lambda s: sampler.latest()[0] >= number + 40, DEADLINE_S)
        steps = sampler.latest()[0] - number
    seconds = (last.m_ns - first.m_ns) / 1e9
    print(f"asked {rate_hz} Hz, real {steps / seconds:.2f} Hz")
    assert steps / seconds < 1.05 * rate_hz, "never more often"
