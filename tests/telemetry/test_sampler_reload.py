"""A driver that is exchanged, unloaded or shows another number of GPUs while we run: another process goes on."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from fake_driver import FakeDriver, is_ready, sample_where, sampling, until

from torchprobes.samples import Sample
from torchprobes.telemetry.holders import close, find
from torchprobes.telemetry.sampling.reload import Ground

RATE_HZ = 20.0


def running(driver: FakeDriver):  # type: ignore[no-untyped-def]
    return sampling(RATE_HZ, driver.command(str(1 / RATE_HZ)))


def child() -> int:
    """The sampler that runs below this test."""
    return until(lambda: next((holder.pid for holder in find() if holder.parent == os.getpid()), 0))


def shows(count: int):  # type: ignore[no-untyped-def]
    def holds(sample: Sample) -> bool:
        return len(sample.gpus) == count and all(gpu.state == "ok" for gpu in sample.gpus)

    return holds


def took(since: float) -> float:
    seconds = time.monotonic() - since
    print(f"recovered in {seconds:.1f} s")
    return seconds


def test_a_driver_that_was_reloaded_under_us_is_read_by_a_new_process_and_costs_no_strike(driver: FakeDriver) -> None:
    driver.reload(2)
    with running(driver) as sampler:
        sample_where(sampler, shows(2))
        for count in (4, 6, 7, 8):  # four lives; three strikes would have been the end
            before, began = child(), time.monotonic()
            driver.reload(count)
            sample = sample_where(sampler, shows(count))
            assert took(began) < 5.0
            assert child() != before
        assert sampler.state == ""
    assert [gpu.uuid for gpu in sample.gpus] == [f"GPU-fake-{n}" for n in range(8)]


def test_a_gpu_that_is_gone_after_the_reload_keeps_its_row_and_no_other_changes(driver: FakeDriver) -> None:
    """The bus and the inventory of the boot know of eight."""
    driver.reload(8)
    driver.on_bus(*range(8))
    with running(driver) as sampler:
        before = sample_where(sampler, lambda s: shows(8)(s) and all(isinstance(g.name, str) for g in s.gpus))
        until((driver.runtime / "torchdoctor" / "gpus-of-this-boot.json").exists)
        driver.reload(7)
        after = sample_where(sampler, lambda s: is_ready(s) and len(s.gpus) == 8 and s.gpus[7].state == "lost")
    assert [(g.index, g.uuid, g.bus_id, g.name) for g in after.gpus] == [
        (g.index, g.uuid, g.bus_id, g.name) for g in before.gpus
    ]
    assert all(gpu.state == "ok" for gpu in after.gpus[:7])
    why = after.gpus[7].power_w.why  # type: ignore[union-attr]
    assert why.startswith("the driver does not show it; it was there at ")


def test_a_library_that_was_exchanged_is_opened_anew(driver: FakeDriver, library: Path, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    place = tmp_path / "lib" / "libnvidia-ml.so.1"
    shutil.copy(library / place.name, place)
    driver.use_library(place.parent)
    with running(driver) as sampler:
        sample_where(sampler, shows(2))
        before, began = child(), time.monotonic()
        shutil.copy(library / place.name, place.with_suffix(".new"))
        place.with_suffix(".new").replace(place)
        until(lambda: child() != before)
        seen = sampler.latest()[0]
        sample_where(sampler, lambda s: sampler.latest()[0] > seen and is_ready(s))
        assert took(began) < 5.0


def test_a_module_that_was_unloaded_is_not_loaded_again_by_us_and_its_return_is_seen(driver: FakeDriver) -> None:
    """To open the library would load the module (nvidia-modprobe), while somebody tries to keep it out."""
    driver.module(loaded=True)
    with running(driver) as sampler:
        sample_where(sampler, shows(2))
        until((driver.runtime / "torchdoctor" / "gpus-of-this-boot.json").exists)
        driver.module(loaded=False)
        gone = sample_where(sampler, lambda s: "was unloaded" in s.driver_state)
        assert [(gpu.uuid, gpu.state) for gpu in gone.gpus] == [("GPU-fake-0", "starting"), ("GPU-fake-1", "starting")]
        assert "was unloaded" in gone.gpus[0].power_w.why  # type: ignore[union-attr]
        opened = driver.calls()["nvmlInitWithFlags -1"]
        seen = sampler.latest()[0]
        sample_where(sampler, lambda s: sampler.latest()[0] > seen + 20)
        assert driver.calls()["nvmlInitWithFlags -1"] == opened
        began = time.monotonic()
        driver.module(loaded=True)
        sample_where(sampler, shows(2))
        assert took(began) < 5.0


def test_a_module_that_was_exchanged_between_two_ticks_is_opened_anew(driver: FakeDriver) -> None:
    driver.module(loaded=True)
    with running(driver) as sampler:
        sample_where(sampler, shows(2))
        before = child()
        driver.module(loaded=True)
        until(lambda: child() != before)
        assert sample_where(sampler, shows(2)).driver_state == "ok"


def test_a_driver_that_is_installed_while_we_run_is_opened_when_its_module_comes(
    driver: FakeDriver, library: Path
) -> None:
    driver.use_library(driver.root)  # there is none yet
    with running(driver) as sampler:
        sample = sample_where(sampler, lambda s: s.driver_state != "opening the driver")
        assert sample.driver_state.startswith(("no NVIDIA GPU", "the NVIDIA driver library"))
        assert sample.gpus == ()
        shutil.copy(library / "libnvidia-ml.so.1", driver.root)
        began = time.monotonic()
        driver.module(loaded=True)
        sample_where(sampler, shows(2))
        assert took(began) < 5.0


@pytest.mark.parametrize("rule", ["*:*:hang", "0:nvmlDeviceGetTemperature:hang", "init"])
def test_release_ends_a_sampler_that_hangs_within_a_second(driver: FakeDriver, rule: str) -> None:
    if rule == "init":
        driver.init("hang")
    else:
        driver.rules(rule)
    with running(driver) as sampler:
        sample_where(sampler, lambda s: s.m_ns > 0)
        (holder,) = (holder for holder in find() if holder.parent == os.getpid())
        began = time.monotonic()
        assert close([holder], 1.0) == ("",)
        print(f"released in {time.monotonic() - began:.3f} s")
        until(lambda: sampler.state.startswith("released"))


# --- what is looked at ------------------------------------------------------------------------------------------


def test_the_ground_is_the_module_and_the_file_behind_the_library(tmp_path: Path) -> None:
    ground = Ground(tmp_path, "no such library")
    assert not ground.is_remembered
    ground.remember()
    assert (ground.is_remembered, ground.change()) == (True, "")
    (tmp_path / "sys/module/nvidia").mkdir(parents=True)
    assert ground.change() == "the kernel's module was loaded anew"
    ground.remember()
    (tmp_path / "sys/module/nvidia").rmdir()
    assert ground.change() == "the kernel's module was unloaded"


def test_a_library_that_this_process_has_loaded_is_found_by_its_map() -> None:
    ground = Ground(Path("/nowhere"), "libc")
    ground.remember()
    assert any("libc" in path.name for path in ground._paths[1:])
    assert ground.change() == ""
