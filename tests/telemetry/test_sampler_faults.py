"""Faults of a driver, one a test: which row says what, and that all other rows go on."""

from __future__ import annotations

import time

import pytest
from fake_driver import DEADLINE_S, FakeDriver, absent, is_ready, sample_where, sampling, until

from torchprobes.cells import Absent, CellState
from torchprobes.samples import LANES, GpuSample, Sample
from torchprobes.telemetry import source

RATE_HZ = 20.0


def in_state(state: str, index: int = 1):  # type: ignore[no-untyped-def]
    def holds(sample: Sample) -> bool:
        return len(sample.gpus) > index and sample.gpus[index].state == state

    return holds


def running(driver: FakeDriver):  # type: ignore[no-untyped-def]
    return sampling(RATE_HZ, driver.command(str(1 / RATE_HZ)))


def live_cells(gpu: GpuSample) -> dict[str, object]:
    """Everything of a GPU that changes, but for the parts that it has several of."""
    names = (name for name, lane in LANES.items() if lane != "static" and name not in ("links", "migs"))
    return {name: getattr(gpu, name) for name in names}


# --- how many ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 8, 16])
def test_any_number_of_gpus_is_shown_in_the_order_of_their_indices(driver: FakeDriver, count: int) -> None:
    driver.gpus(count)
    sample = driver.look()
    assert [(gpu.index, gpu.uuid) for gpu in sample.gpus] == [(n, f"GPU-fake-{n}") for n in range(count)]
    assert sample.driver_state == ("ok" if count else "the driver is loaded and shows no GPU")
    assert all(gpu.state == "ok" and isinstance(gpu.power_w, float) for gpu in sample.gpus)
    assert len(sample.topology) == count


# --- one that is lost -------------------------------------------------------------------------------------------


def test_a_gpu_lost_on_the_way_is_shown_within_a_tick_with_all_that_names_it(driver: FakeDriver) -> None:
    driver.gpus(3)
    driver.rules("1:*:15:300")
    with running(driver) as sampler:
        before = sample_where(sampler, lambda s: is_ready(s) and s.gpus[1].serial == "1650100001")
        after = sample_where(sampler, in_state("lost"))
        gone = sample_where(sampler, lambda s: s.m_ns > after.m_ns)
    was, row = before.gpus[1], gone.gpus[1]
    assert (row.uuid, row.bus_id, row.index, row.name, row.serial) == (
        was.uuid, was.bus_id, 1, "NVIDIA Fake 1", "1650100001")  # fmt: skip
    cells = {name: cell for name, cell in live_cells(row).items() if not isinstance(cell, Absent)}
    assert cells == {}, "no number is left of what is gone"
    assert absent(row.power_w).state is CellState.LOST
    assert absent(row.ecc_uncorrected_volatile).state in (CellState.LOST, CellState.STALE)
    others = [gone.gpus[0], gone.gpus[2]]
    assert all((gpu.state, gpu.age_s < 0.6) == ("ok", True) for gpu in others)


def test_a_gpu_that_must_be_reset_at_its_handle_is_a_row_that_says_so(driver: FakeDriver) -> None:
    """Here nvitop crashes (reference: telemetry 5.6)."""
    driver.gpus(3)
    driver.rules("1:nvmlDeviceGetHandleByIndex_v2:16")
    sample = driver.look()
    assert [gpu.state for gpu in sample.gpus] == ["ok", "reset", "ok"]
    cell = absent(sample.gpus[1].temperature_c)
    assert (cell.state, cell.code) == (CellState.RESET, 16)


# --- hanging ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["nvmlDeviceGetTemperature", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetName"])
def test_one_that_hangs_is_told_within_three_seconds_and_the_others_stay_fresh(driver: FakeDriver, call: str) -> None:
    driver.gpus(8)
    driver.rules(f"3:{call}:hang")
    with running(driver) as sampler:
        sample_where(sampler, lambda s: len(s.gpus) >= 7)
        oldest = 0.0
        while True:
            number, sample = sampler.latest()
            assert sample is not None
            oldest = max([oldest, *(gpu.age_s for gpu in sample.gpus if gpu.index != 3)])
            if in_state("hung", 3)(sample):
                break
            until(lambda seen=number: sampler.latest()[0] > seen)
        row = sample.gpus[3]
        cell = absent(row.power_w)
        assert cell.state is CellState.HUNG
        assert 2.0 <= (cell.age_s or 0) < 3.0
        assert {absent(c).state for c in live_cells(row).values()} == {CellState.HUNG}  # type: ignore[arg-type]
        assert oldest < 0.6
        older = sample_where(sampler, lambda s: s.gpus[3].age_s > row.age_s + 0.3)
        assert all(gpu.state == "ok" and gpu.age_s < 0.6 for gpu in older.gpus if gpu.index != 3)


def test_a_hung_gpu_keeps_what_does_not_change(driver: FakeDriver) -> None:
    driver.rules("1:nvmlDeviceGetPowerUsage:hang:40")
    with running(driver) as sampler:
        sample = sample_where(sampler, in_state("hung"))
    assert (sample.gpus[1].name, sample.gpus[1].uuid) == ("NVIDIA Fake 1", "GPU-fake-1")
    assert absent(sample.gpus[1].memory_total_bytes).state is CellState.HUNG


def test_with_every_call_hung_each_gpu_has_its_row_bus_id_name_and_holders(driver: FakeDriver) -> None:
    driver.gpus(8)
    driver.rules("*:*:hang")
    driver.on_bus(*range(8))
    driver.in_proc(*range(8))
    driver.holds(4711, 5)
    with running(driver) as sampler:
        sample = sample_where(sampler, lambda s: len(s.gpus) == 8 and all(g.state == "hung" for g in s.gpus))
        assert [gpu.bus_id for gpu in sample.gpus] == [f"00000000:{0x17 + n:02X}:00.0" for n in range(8)]
        assert [gpu.name for gpu in sample.gpus] == [f"NVIDIA Fake {n}" for n in range(8)]
        assert [gpu.uuid for gpu in sample.gpus] == [f"GPU-fake-{n}" for n in range(8)]
        held = sample_where(sampler, lambda s: bool(s.processes))
    (holder,) = held.processes
    assert (holder.pid, holder.gpu_uuid, holder.kind) == (4711, "GPU-fake-5", "holder")
    assert absent(holder.gpu_memory_bytes).state is CellState.HUNG
    assert held.device_holders == 1


@pytest.mark.parametrize("code", ["hang", "15"])
def test_gpus_that_give_no_handle_are_named_by_the_bus_and_shown_once(driver: FakeDriver, code: str) -> None:
    """Nothing but the bus knows them: no inventory, no file of the driver's."""
    driver.gpus(4)
    driver.rules(f"*:nvmlDeviceGetHandleByIndex_v2:{code}")
    driver.on_bus(*range(4))
    sample = driver.look()
    state = "hung" if code == "hang" else "lost"
    assert [(gpu.index, gpu.state, gpu.bus_id) for gpu in sample.gpus] == [
        (n, state, f"00000000:{0x17 + n:02X}:00.0") for n in range(4)
    ]


def test_a_gpu_that_is_slow_to_say_who_it_is_makes_none_lost(driver: FakeDriver) -> None:
    driver.gpus(2)
    driver.rules("1:nvmlDeviceGetUUID:hang")
    driver.on_bus(0, 1, 2)
    with running(driver) as sampler:
        states = set()
        while "hung" not in states:
            number, sample = sampler.latest()
            states |= {gpu.state for gpu in sample.gpus} if sample else set()
            until(lambda seen=number: sampler.latest()[0] > seen)
    assert "lost" not in states


def test_with_the_library_hung_at_its_start_each_gpu_has_its_row_and_the_host_is_read(driver: FakeDriver) -> None:
    driver.init("hang")
    driver.on_bus(0, 1)
    driver.in_proc(0, 1)
    driver.holds(4711, 1)
    with running(driver) as sampler:
        first = sample_where(sampler, lambda s: len(s.gpus) == 2)
        assert [gpu.state for gpu in first.gpus] == ["starting", "starting"], "they have a name at once"
        sample = sample_where(sampler, lambda s: s.driver_state.startswith("hung") and bool(s.processes))
    assert [(g.state, g.uuid, g.bus_id, g.name) for g in sample.gpus] == [
        ("hung", f"GPU-fake-{n}", f"00000000:{0x17 + n:02X}:00.0", f"NVIDIA Fake {n}") for n in range(2)
    ]
    assert [(p.pid, p.gpu_uuid, p.kind) for p in sample.processes] == [(4711, "GPU-fake-1", "holder")]
    assert sample.host.load_1m == 0.5


@pytest.mark.parametrize("rule", ["*:*:hang", "1:nvmlDeviceGetTemperature:hang", "init"])
def test_a_single_look_has_what_there_is_well_before_three_seconds(driver: FakeDriver, rule: str) -> None:
    driver.on_bus(0, 1)
    if rule == "init":
        driver.init("hang")
    else:
        driver.rules(rule)
    began = time.monotonic()
    sample = driver.look()
    took = time.monotonic() - began
    print(f"{rule}: {took:.2f} s")
    assert [gpu.state for gpu in sample.gpus][1] == "hung"
    assert took < DEADLINE_S / 2
    assert sample.gpus[1].age_s < 3.0


# --- crashes and oddities ---------------------------------------------------------------------------------------


def test_a_crash_in_the_library_is_told_by_its_signal(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "RESTART_S", 0.02)
    driver.rules("0:nvmlDeviceGetPowerUsage:segv")
    assert driver.look().driver_state.startswith("the sampler died: SIGSEGV")
    with running(driver) as sampler:
        words = until(lambda: sampler.state if "3 times" in sampler.state else "")
    assert words.startswith("no telemetry: the sampler died 3 times (SIGSEGV")


def test_a_device_that_supports_nothing_is_a_row_of_reasons(driver: FakeDriver) -> None:
    driver.bare(1)
    sample = driver.look()
    whole, bare = sample.gpus
    assert (whole.state, bare.state, bare.uuid) == ("ok", "ok", "GPU-fake-1")
    states = {absent(cell).state for cell in live_cells(bare).values()}  # type: ignore[arg-type]
    assert states == {CellState.NOT_SUPPORTED}
    assert (bare.links, bare.migs) == ((), ())
    assert whole.power_w == 250.5


def test_counters_that_run_backwards_are_shown_as_they_are_and_break_nothing(driver: FakeDriver) -> None:
    driver.values("0:nvmlDeviceGetTotalEnergyConsumption:5000000:-1000", "0:FI138:90000:-5000", "0:FI94:9:-1")
    with running(driver) as sampler:
        sample = sample_where(sampler, lambda s: is_ready(s) and sampler.latest()[0] > 10)
    assert sample.gpus[0].state == "ok"
    for cell in ("nvlink_rx_bytes_per_s", "pcie_rx_bytes_per_s"):
        value = getattr(sample.gpus[0], cell)
        assert isinstance(value, Absent) or value >= 0


# --- slow drivers -----------------------------------------------------------------------------------------------


def test_at_2_ms_a_call_everything_is_fresh_and_nothing_backs_off(driver: FakeDriver) -> None:
    driver.delay(2_000)
    with sampling(2.0, driver.command("0.5")) as sampler:
        sample = sample_where(sampler, lambda s: is_ready(s) and sampler.latest()[0] >= 4 and not s.backed_off)
    assert all(gpu.state == "ok" and gpu.age_s < 0.6 for gpu in sample.gpus)
    assert all(gpu.cost_ms >= 14 for gpu in sample.gpus)


def test_at_20_ms_a_call_it_asks_less_often_and_says_so(driver: FakeDriver) -> None:
    driver.gpus(1)
    driver.delay(20_000)
    with sampling(10.0, driver.command("0.1")) as sampler:
        sample_where(sampler, lambda s: s.backed_off)
        sample_where(sampler, lambda s: s.backed_off and s.gpus[0].age_s > 0.45)
        sample = sample_where(sampler, lambda s: s.backed_off and s.gpus[0].age_s < 0.2)
        seen = sampler.latest()[0]
        later = sample_where(sampler, lambda s: sampler.latest()[0] >= seen + 10)
    assert sample.gpus[0].state == later.gpus[0].state == "ok", "slow is not hung"
    assert (later.m_ns - sample.m_ns) / 1e9 < 10 * 0.1 + 1.0, "samples come at their rate all the same"
