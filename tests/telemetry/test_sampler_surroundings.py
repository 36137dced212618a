"""What is told of a machine beside its driver, and which vendors' libraries it has use for."""

from __future__ import annotations

import time

import pytest
from fake_driver import FakeDriver, absent, sample_where, sampling

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.telemetry import hardware
from torchprobes.telemetry.hardware import in_slurm_step, kernel_module, pci_gpus
from torchprobes.telemetry.sampling import own_cost
from torchprobes.telemetry.sampling.own_cost import OwnCost
from torchprobes.telemetry.sampling.surroundings import Surroundings
from torchprobes.telemetry.vendors.present import drm_vendors, present


def gpu_of(driver: FakeDriver, card: str, vendor: str) -> None:
    driver._file(f"sys/class/drm/{card}/device/vendor", vendor + "\n")


def test_nvidia_is_asked_everywhere_and_others_where_the_kernel_shows_them(driver: FakeDriver) -> None:
    assert [vendor.name for vendor in present(driver.root)] == ["nvidia"]
    gpu_of(driver, "card0", "0x1a03")
    gpu_of(driver, "card1", "0x1002")
    gpu_of(driver, "renderD129", "0x8086")
    (driver.root / "sys/class/drm/version").write_text("drm 1.1.0 20060810")
    assert drm_vendors(driver.root) - {""} == {"0x1a03", "0x1002", "0x8086"}
    assert [vendor.name for vendor in present(driver.root)] == ["nvidia", "amd", "intel"]


def test_an_amd_node_without_its_library_says_what_stands_there(driver: FakeDriver) -> None:
    gpu_of(driver, "renderD128", "0x1002")
    driver._file("dev/dri/renderD128", "")
    driver.init(12)
    sample = driver.look()
    assert sample.gpus == ()
    assert [(each.vendor.lower(), each.count) for each in sample.accelerators] == [("amd", 1)]


def test_module_and_device_files_are_told(driver: FakeDriver) -> None:
    driver.module(loaded=True)
    driver.device_files(0, 1, 2)
    driver.on_bus(0, 1, 2)
    hardware._count.cache_clear()
    seen = Surroundings(driver.root, lambda: ()).look()
    assert (seen.gpus, seen.kernel_module, seen.device_nodes) == (3, "570.86.15", 3)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Jan 1\nGCC version: 13.2.0\n", "580.159.04"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n", "570.86.15"),
    ],
)
def test_the_module_is_told_by_its_line_in_proc_where_sys_has_none(driver: FakeDriver, text: str, version: str) -> None:
    driver._file("proc/driver/nvidia/version", text)
    assert kernel_module(driver.root) == version


def test_without_a_module_the_cell_says_so(driver: FakeDriver) -> None:
    assert absent(kernel_module(driver.root)).state is CellState.NOT_SUPPORTED
    driver._file("proc/driver/nvidia/version", "\x00 no line of its kind")
    assert absent(kernel_module(driver.root)).state is CellState.NOT_SUPPORTED


@pytest.mark.parametrize("given_to", ["vfio-pci", "nouveau", "pci-stub"])
def test_a_gpu_that_was_given_away_is_not_missed(driver: FakeDriver, given_to: str) -> None:
    driver.on_bus(0)
    driver.on_bus(1, driver=given_to)
    assert pci_gpus(driver.root / "sys/bus/pci/devices") == ("0000:17:00.0",)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0::/system.slice/slurmstepd.scope/job_12/step_0/user/task_0", True),
        ("5:devices:/slurm/uid_1000/job_12/step_extern", True),
        ("0::/user.slice/user-1000.slice/session-3.scope", False),
        ("0::/kubepods.slice/job_12", False),
    ],
)
def test_a_shell_that_slurm_adopted_is_known_by_its_control_group(
    driver: FakeDriver, line: str, expected: bool
) -> None:
    driver._file("proc/self/cgroup", line + "\n")
    assert in_slurm_step(driver.root) is expected


def test_the_samplers_own_cost_is_its_share_of_a_core_over_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = OwnCost()
    assert cost.percent() == UNREAD, "a single look is too short to have a share"
    monkeypatch.setattr(own_cost, "LEAST_S", 0.01)
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    share = cost.percent()
    assert isinstance(share, float)
    assert 0 < share <= 110 * 2


def test_a_running_sampler_tells_its_cost_and_that_xids_are_told(driver: FakeDriver) -> None:
    with sampling(20.0, driver.command("0.05")) as sampler:
        sample = sample_where(sampler, lambda s: s.live_xids == "nvml" and not isinstance(s.self_percent, Absent))
    assert sample.cost_ms > 0
