"""NVIDIA's tables: what they fill, what they cost, and what is left when a symbol or a whole GPU does not answer."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from nvml_in_process import Nvml
from vendor_rows import absent, check_tables, read_all

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.telemetry.readings import ONCE, Device, Memory, Vendor
from torchprobes.telemetry.vendors.nvidia import pcie
from torchprobes.telemetry.vendors.nvidia.readings import READINGS
from torchprobes.telemetry.vendors.nvidia.vendor import Nvidia

MOST_CALLS = 130
GPUS, RATE_HZ = 8, 2
LEFT_FOR_THE_DRIVER = 4.0
"""Calls a second that are nobody's reading: the count of GPUs, and waiting for XIDs."""

SYMBOLS = sorted(
    set(re.findall(r"nvmlDevice\w+", (Path(__file__).parent / "fake_nvml.c").read_text()))
    - {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo_v3"}
    - {"nvmlDeviceRegisterEvents", "nvmlDeviceGetSupportedEventTypes", "nvmlDeviceGetP2PStatus"}
    - {"nvmlDeviceGetTopologyCommonAncestor"}
)
"""What the rows ask of a GPU; without its identity it is no GPU, and events and neighbours are tested elsewhere."""

STAND_INS = {
    "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetViolationStatus", "nvmlDeviceGetPcieReplayCounter",
    "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetNvLinkErrorCounter", "nvmlDeviceGetNvLinkState", "nvmlDeviceGetNvLinkVersion",
    "nvmlDeviceGetNvLinkRemotePciInfo_v2",
    "nvmlDeviceGetNumaNodeId", "nvmlDeviceGetFanSpeed", "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v2", "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetProcessUtilization",
}  # fmt: skip
"""Asked only where something newer is missing, where the GPU is partitioned, or for processes, or has an older
function to stand in for it: no cell of a healthy H200 hangs on one of them."""


def test_every_cell_is_filled_by_one_row_of_its_lane() -> None:
    vendor: Vendor = Nvidia()
    check_tables(vendor)
    assert {"links", "migs"} <= {cell for row in vendor.readings for cell in row.cells}


def calls_a_second(nvml: Nvml, tmp_path: Path) -> float:
    """Calls of one GPU a second at RATE_HZ as a mean, once everything static is known; counted in the library."""
    nvml.set("processes", "0:4711:1000:50")
    device, log = nvml.device(), tmp_path / "calls"
    for _ in range(3):
        nvml.cells(device)
    nvml.set("calls", str(log))
    total = 0.0
    for row in [row for row in nvml.vendor.readings if row.every_s != ONCE]:
        log.write_text("")
        cells = nvml.row(row.name, device)
        final = all(isinstance(c, Absent) and nvml.vendor.is_final(c) for c in cells.values() if c != ())
        calls = len(log.read_text().splitlines())
        total += 0 if final else calls * (1 / row.every_s if row.every_s else RATE_HZ)
    for listing in nvml.vendor.processes:
        log.write_text("")
        listing.fill(listing.calls[0](device), device)
        total += len(log.read_text().splitlines()) / listing.every_s
    return total


def test_eight_gpus_with_processes_stay_within_the_budget_of_calls(nvml: Nvml, tmp_path: Path) -> None:
    assert calls_a_second(nvml, tmp_path) * GPUS + LEFT_FOR_THE_DRIVER <= MOST_CALLS


def test_what_a_healthy_h200_does_not_tell_is_known(nvml: Nvml) -> None:
    device = nvml.device()
    for now in (1000.0, 1010.0, 1020.0):
        cells = nvml.cells(device, now)
    without = {name: absent(cell).state for name, cell in cells.items() if isinstance(cell, Absent)}
    expected = {
        "retired_single_bit_pages", "retired_double_bit_pages", "retired_pending", "nvlink_receive_errors",
        "nvlink_failed_recoveries", "fan_percent", "numa_node", "aer_correctable", "aer_nonfatal", "aer_fatal",
        "cpu_affinity",
    }  # fmt: skip
    assert without == dict.fromkeys(expected, CellState.NOT_SUPPORTED)
    assert (cells["power_w"], cells["recovery_action"], cells["memory_temperature_c"]) == (250.5, 0, 47)
    assert (cells["energy_j"], cells["temperature_margin_c"], cells["ecc_mode"]) == (5147.531, 28, 1)
    assert (cells["compute_mode"], cells["gsp_mode"], cells["fabric_state"]) == ("default", "enabled", "completed")
    assert (cells["nvlinks"], cells["nvlinks_active"], cells["nvlink_speed_mbytes_per_s"]) == (18, 18, 26562)
    assert (cells["pcie_bad_tlps"], cells["remap_banks_max"], cells["power_min_limit_w"]) == (15, 3072, 200.0)
    assert (cells["compute_capability"], cells["temperature_max_c"], cells["inforom_valid"]) == ("9.0", 87, 1)


@pytest.mark.parametrize("how", ["missing", "hidden"])
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_without_one_symbol_its_own_cells_are_not_supported_and_all_others_stay(
    nvml: Nvml, symbol: str, how: str
) -> None:
    whole = read_all(nvml.vendor, nvml.device(), Memory())
    if how == "missing":
        nvml.without(symbol)
    else:
        nvml.set("hide", symbol)
    cells = read_all(nvml.vendor, nvml.device(), Memory())
    assert cells.keys() == whole.keys()
    lost = {name for name in cells if differs(whole[name], cells[name])}
    gone = (CellState.NOT_SUPPORTED, CellState.STALE)
    assert all(cells[name] == () or absent(cells[name]).state in gone for name in lost)
    assert lost or cells["links"] != whole["links"] or symbol in STAND_INS, f"nothing hangs on {symbol}"


def differs(one: Any, other: Any) -> bool:
    """Whether a cell went: an older call in place of a newer one may give another number."""
    return one != other and (isinstance(other, Absent) or other == ())


def test_without_the_newer_names_the_older_ones_answer(old_nvml: Nvml) -> None:
    cells = old_nvml.cells(old_nvml.device())
    assert cells["memory_used_bytes"] == 11 << 30, "version 1 counts the driver's own"
    assert cells["throttle_reasons"] == 4
    assert cells["sram_uncorrected_aggregate"] == 0
    assert "no threshold" in absent(cells["sram_threshold_exceeded"]).why
    assert absent(cells["fabric_state"]).code == 13


def test_a_gpu_that_supports_nothing_has_a_row_and_says_so_in_every_cell(nvml: Nvml) -> None:
    nvml.set("bare", "0")
    device = nvml.device()
    cells = nvml.cells(device)
    assert {absent(cell).state for cell in cells.values()} == {CellState.NOT_SUPPORTED}
    assert nvml.device(1).uuid == "GPU-fake-1"
    assert nvml.cells(nvml.device(1))["power_w"] == 251.5


@pytest.mark.parametrize(
    ("code", "state"), [(15, CellState.LOST), (16, CellState.RESET), (4, CellState.PERMISSION), (999, CellState.ERROR)]
)
def test_what_every_call_answers_is_the_state_of_every_cell_that_the_driver_tells(
    nvml: Nvml, code: int, state: CellState
) -> None:
    device = nvml.device()
    nvml.set("rules", f"0:*:{code}")
    cells = nvml.cells(device)
    of_kernel = {"aer_correctable", "aer_nonfatal", "aer_fatal", "cpu_affinity"}
    states = {name: absent(cell).state for name, cell in cells.items() if name not in of_kernel}
    odd = {name for name, found in states.items() if found is not state}
    assert not odd
    assert all(absent(cells[name]).code == code for name in states)


def test_a_driver_that_was_reloaded_asks_to_be_opened_again(nvml: Nvml, tmp_path: Path) -> None:
    generation = tmp_path / "generation"
    generation.write_text("2")
    nvml.set("generation", str(generation))
    nvml.vendor.open()
    device = nvml.device()
    assert nvml.row("power_w", device) == {"power_w": 250.5}
    generation.write_text("1")
    cell = absent(nvml.row("power_w", device)["power_w"])
    assert (cell.code, nvml.vendor.wants_reopening(cell), nvml.vendor.is_final(cell)) == (1, True, False)
    assert nvml.vendor.open().count == 1
    assert nvml.row("power_w", nvml.device()) == {"power_w": 250.5}


def test_an_enumeration_that_no_header_knows_is_told_as_it_is(nvml: Nvml) -> None:
    nvml.set("values", "0:FI230:99", "0:nvmlDeviceGetCurrentClocksEventReasons:1028", "0:nvmlDeviceGetComputeMode:9")
    cells = nvml.cells(nvml.device())
    assert (cells["recovery_action"], cells["throttle_reasons"]) == (99, 1028)
    assert cells["compute_mode"] == "unknown (9)"


def test_counters_that_run_backwards_give_no_rate_and_no_share(nvml: Nvml) -> None:
    nvml.set("values", "0:FI139:1000:-10", "0:FI74:60000000000:-30000000000")
    device = nvml.device()
    rates = [nvml.row("NVLink bytes", device, 1000.0 + 10 * n)["nvlink_rx_bytes_per_s"] for n in range(3)]
    shares = [nvml.row("throttle time", device, 1000.0 + 10 * n)["power_capped_percent_1m"] for n in range(2)]
    assert rates == [UNREAD] * 3
    assert shares == [UNREAD] * 2


def test_throttle_time_is_the_share_of_what_was_seen_of_the_last_minute(nvml: Nvml) -> None:
    nvml.set("values", "0:FI74:0:5000000000", "0:FI270:0:1000000000")
    device = nvml.device()
    cells: dict[str, Any] = {}
    for n in range(4):
        cells = nvml.row("throttle time", device, 1000.0 + 10 * n)
    assert cells == {"power_capped_percent_1m": 50.0, "thermal_percent_1m": 10.0, "brake_percent_1m": 0.0}


def test_a_driver_without_the_fields_tells_throttle_time_in_its_older_way(nvml: Nvml) -> None:
    nvml.without("nvmlDeviceGetFieldValues")
    nvml.set("values", "0:power:0:10000000000")
    device = nvml.device()
    nvml.row("throttle time", device, 1000.0)
    cells = nvml.row("throttle time", device, 1010.0)
    assert (cells["power_capped_percent_1m"], cells["thermal_percent_1m"]) == (100.0, 0.0)
    assert "does not count it" in absent(cells["brake_percent_1m"]).why


def test_a_corrupted_inforom_is_a_reading_and_not_an_error(nvml: Nvml) -> None:
    nvml.set("rules", "0:nvmlDeviceValidateInforom:14")
    assert nvml.row("inforom_valid", nvml.device()) == {"inforom_valid": 0}


def test_rows_are_asked_under_names_of_their_own(nvml: Nvml) -> None:
    assert max(Counter(row.name for row in nvml.vendor.readings).values()) == 1


def test_the_cpus_beside_a_gpu_are_as_the_kernel_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(one for one in READINGS if one.cells == ("cpu_affinity",))
    device = Device(None, 0, "GPU-0", "00000000:18:00.0")
    monkeypatch.setattr(pcie, "folder", lambda bus_id: tmp_path / bus_id)
    found = row.fill(row.calls[0](device), Memory(), 0.0)["cpu_affinity"]
    assert absent(found).state is CellState.NOT_SUPPORTED
    (tmp_path / device.bus_id).mkdir()
    (tmp_path / device.bus_id / "local_cpulist").write_text("0-47,96-143\n")
    assert row.fill(row.calls[0](device), Memory(), 0.0)["cpu_affinity"] == "0-47,96-143"
