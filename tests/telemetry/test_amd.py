"""AMD's rows against a fake of the package amdsmi, in the shapes of its releases 6.4 and 7.0."""

from __future__ import annotations

import enum
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from vendor_rows import absent, check_tables, read_all

from torchprobes.cells import CellState
from torchprobes.telemetry.readings import Vendor
from torchprobes.telemetry.vendors import amd

GIB = 1 << 30


class Refused(Exception):
    """As amdsmi.AmdSmiLibraryException."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.err_code = code


class Group(enum.IntEnum):
    HOTSPOT = 1
    VRAM = 2
    CURRENT = 3
    CRITICAL = 4
    EMERGENCY = 5
    GFX = 6
    MEM = 7


TEMPERATURES: dict[tuple[Any, ...], int] = {
    (Group.HOTSPOT, Group.CURRENT): 61, (Group.VRAM, Group.CURRENT): 44, (Group.HOTSPOT, Group.CRITICAL): 100,
    (Group.HOTSPOT, Group.EMERGENCY): 105, (Group.VRAM, Group.CRITICAL): 95,
}  # fmt: skip

ANSWERS: dict[str, Any] = {
    "amdsmi_init": None,
    "amdsmi_shut_down": None,
    "amdsmi_get_processor_handles": ["one", "two"],
    "amdsmi_get_gpu_device_uuid": "0fff74a1-0000-1000-80aa-2c2c2c2c2c2c",
    "amdsmi_get_gpu_device_bdf": "0000:05:00.0",
    "amdsmi_get_gpu_driver_info": {"driver_name": "amdgpu", "driver_version": "6.12.12"},
    "amdsmi_get_gpu_activity": {"gfx_activity": 97, "umc_activity": 31, "mm_activity": "N/A"},
    "amdsmi_get_gpu_vram_usage": {"vram_total": 196592, "vram_used": 2048},
    "amdsmi_get_power_info": {"current_socket_power": 512, "average_socket_power": "N/A", "power_limit": 750},
    "amdsmi_get_clock_info": {"clk": 2104, "min_clk": 132, "max_clk": 2100},
    "amdsmi_get_pcie_info": {
        "pcie_static": {"max_pcie_width": 16, "max_pcie_speed": 32},
        "pcie_metric": {"pcie_width": 16, "pcie_speed": 16000, "pcie_replay_count": 3},
    },
    "amdsmi_get_power_cap_info": {
        "power_cap": 750_000_000, "default_power_cap": 750_000_000, "min_power_cap": 0, "max_power_cap": 760_000_000,
    },
    "amdsmi_get_energy_count": {"energy_accumulator": 10_000_000, "counter_resolution": 15.3, "timestamp": 1},
    "amdsmi_get_gpu_total_ecc_count": {"correctable_count": 2, "uncorrectable_count": 1, "deferred_count": 0},
    "amdsmi_get_gpu_bad_page_info": [{"value": 1}, {"value": 2}],
    "amdsmi_get_gpu_asic_info": {"market_name": "AMD Instinct MI300X", "asic_serial": "0xA1",
                                 "target_graphics_version": "gfx942"},
    "amdsmi_get_gpu_board_info": {"model_number": "102-G30211-00"},
    "amdsmi_get_gpu_vbios_info": {"version": "022.040.003.041"},
    "amdsmi_topo_get_numa_node_number": 1,
    "amdsmi_get_gpu_process_list": [
        {"pid": 4711, "mem": 4096, "memory_usage": {"vram_mem": 3 * GIB}, "cu_occupancy": 100},
        {"pid": 12, "mem": 0, "memory_usage": {"vram_mem": 0}},
    ],
}  # fmt: skip


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the fake package answers; a Refused is raised, and a name that is taken out is not there."""
    said = {**ANSWERS, "amdsmi_get_temp_metric": TEMPERATURES}

    class Fake(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("AmdSmi"):
                return Group
            if name not in said:
                raise AttributeError(name)
            return lambda *arguments: self.answer(name, *arguments)

        def answer(self, name: str, *arguments: Any) -> Any:
            if name == "amdsmi_get_temp_metric":
                return TEMPERATURES[arguments[1:]]
            if isinstance(said[name], Exception):
                raise said[name]
            return said[name]

    fake = Fake("amdsmi")
    fake.__spec__ = types.SimpleNamespace(name="amdsmi")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "amdsmi", fake)
    return said


def test_the_tables_fill_every_cell_once(answers: dict[str, Any]) -> None:
    vendor: Vendor = amd.Amd()
    check_tables(vendor)


def test_every_number_comes_in_the_unit_of_its_cell(answers: dict[str, Any]) -> None:
    vendor = amd.Amd()
    opened = vendor.open()
    assert (opened.count, opened.version) == (2, "6.12.12")
    device = vendor.identify(0)
    assert (device.uuid, device.bus_id) == ("0fff74a1-0000-1000-80aa-2c2c2c2c2c2c", "0000:05:00.0")
    cells = read_all(vendor, device)
    numbers = {name: value for name, value in cells.items() if isinstance(value, (int, float, str))}
    assert numbers == {
        "utilization_percent": 97, "memory_utilization_percent": 31, "memory_used_bytes": 2 * GIB,
        "memory_total_bytes": 196592 << 20, "power_w": 512, "temperature_c": 61, "memory_temperature_c": 44,
        "sm_clock_mhz": 2104, "memory_clock_mhz": 2104, "pcie_generation": 4, "pcie_width": 16, "pcie_replays": 3,
        "power_limit_w": 750.0, "energy_j": pytest.approx(153.0), "ecc_corrected_volatile": 2,
        "ecc_uncorrected_volatile": 1, "retired_double_bit_pages": 2, "name": "AMD Instinct MI300X", "serial": "0xA1",
        "compute_capability": "gfx942", "board_part_number": "102-G30211-00", "vbios": "022.040.003.041",
        "power_default_limit_w": 750.0, "power_max_limit_w": 760.0, "power_min_limit_w": 0.0,
        "pcie_generation_max": 5, "pcie_width_max": 16, "sm_clock_max_mhz": 2100, "temperature_slowdown_c": 100,
        "temperature_shutdown_c": 105, "memory_temperature_max_c": 95, "numa_node": 1,
    }  # fmt: skip
    assert all(absent(cells[name]).state is CellState.NOT_SUPPORTED for name in cells.keys() - numbers.keys())


def test_only_processes_with_memory_on_the_gpu_are_listed(answers: dict[str, Any]) -> None:
    vendor = amd.Amd()
    vendor.open()
    device = vendor.identify(1)
    (row,) = vendor.processes
    (process,) = row.fill(row.calls[0](device), device)
    assert (process.pid, process.gpu_memory_bytes, process.gpu_uuid) == (4711, 3 * GIB, device.uuid)


@pytest.mark.parametrize(
    ("code", "state", "final", "reopen"),
    [(2, CellState.NOT_SUPPORTED, True, False), (10, CellState.PERMISSION, False, False),
     (32, CellState.ERROR, False, True), (30, CellState.ERROR, False, False), (77, CellState.ERROR, False, False)],
)  # fmt: skip
def test_a_code_is_a_state(answers: dict[str, Any], code: int, state: CellState, final: bool, reopen: bool) -> None:
    vendor = amd.Amd()
    vendor.open()
    answers["amdsmi_get_gpu_activity"] = Refused(code)
    cell = absent(read_all(vendor, vendor.identify(0))["utilization_percent"])
    assert (cell.state, cell.code) == (state, code)
    assert (vendor.is_final(cell), vendor.wants_reopening(cell)) == (final, reopen)


@pytest.mark.parametrize("name", sorted(n for n in ANSWERS if n.startswith(("amdsmi_get_gpu_a", "amdsmi_get_p"))))
def test_a_release_without_a_call_lacks_its_cells_alone(answers: dict[str, Any], name: str) -> None:
    vendor = amd.Amd()
    vendor.open()
    device = vendor.identify(0)
    whole = read_all(vendor, device)
    del answers[name]
    if name == "amdsmi_get_processor_handles":
        with pytest.raises(amd.UnknownCall):
            vendor.count()
        return
    cells = read_all(vendor, device)
    changed = [cell for cell in whole if whole[cell] != cells[cell]]
    assert changed
    assert all(f"does not know {name}" in absent(cells[cell]).why for cell in changed)


def test_answers_of_another_shape_are_told_and_not_raised(answers: dict[str, Any]) -> None:
    answers.update(amdsmi_get_gpu_activity={}, amdsmi_get_power_info={"socket_power": "N/A"}, amdsmi_get_pcie_info=[])
    vendor = amd.Amd()
    vendor.open()
    cells = read_all(vendor, vendor.identify(0))
    assert "the driver answered {}" in absent(cells["utilization_percent"]).why
    assert absent(cells["power_w"]).state is CellState.NOT_SUPPORTED
    assert absent(cells["pcie_width"]).state is CellState.ERROR


def test_a_driver_that_is_not_loaded_says_so(answers: dict[str, Any]) -> None:
    answers["amdsmi_init"] = Refused(34)
    vendor = amd.Amd()
    with pytest.raises(Refused) as failed:
        vendor.open()
    assert "modprobe amdgpu" in vendor.open_failure(failed.value)


def test_the_package_is_found_where_rocm_puts_it(tmp_path: Path) -> None:
    assert not amd.is_installed(tmp_path)
    (tmp_path / "amdsmi").mkdir()
    assert amd.is_installed(tmp_path)
