"""Intel's rows against a fake Level Zero loader, whose structs are written in C beside it."""

from __future__ import annotations

from pathlib import Path

import c_library
import pytest
from vendor_rows import absent, check_tables, read_all

from torchprobes.cells import UNREAD, Absent, CellState, throttle_words
from torchprobes.telemetry.readings import Memory, Vendor
from torchprobes.telemetry.vendors import intel, sysman

SOURCE = Path(__file__).parent / "fake_sysman.c"


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> str:
    library = tmp_path_factory.mktemp("zes") / "libze_loader.so.1"
    otherwise = "the fake Level Zero loader cannot be built and Intel is not tested"
    return str(c_library.build(SOURCE, library, otherwise=otherwise))


@pytest.fixture
def vendor(loader: str) -> intel.Intel:
    opened = intel.Intel(loader)
    assert (opened.open().count, opened.open().version) == (1, "1.3.27642")
    return opened


def test_the_tables_fill_every_cell_once() -> None:
    vendor: Vendor = intel.Intel()
    check_tables(vendor)


def test_every_number_comes_in_the_unit_of_its_cell(vendor: intel.Intel) -> None:
    device, memory = vendor.identify(0), Memory()
    assert (device.uuid, device.bus_id) == ("INTEL-" + "ab" * 16, "00000000:3a:00.0")
    first = read_all(vendor, device, memory)
    assert {first["utilization_percent"], first["power_w"], first["pcie_rx_bytes_per_s"]} == {UNREAD}
    cells = read_all(vendor, device, memory)
    numbers = {name: value for name, value in cells.items() if isinstance(value, (int, float, str))}
    assert numbers.pop("energy_j") % 420 == 0, "joules, of a fake that counts 420 a reading"
    assert numbers == {
        "utilization_percent": 25, "memory_used_bytes": 8 << 30, "memory_total_bytes": 128 << 30, "power_w": 420.0,
        "temperature_c": 41.0, "memory_temperature_c": 42.0, "sm_clock_mhz": 1450.0, "throttle_reasons": 0x44,
        "memory_clock_mhz": 3200.0, "power_limit_w": 500.0, "pcie_generation": 4.0, "pcie_width": 8.0,
        "pcie_replays": 7, "pcie_rx_bytes_per_s": 5000.0, "pcie_tx_bytes_per_s": 9000.0, "ecc_corrected_volatile": 3,
        "ecc_uncorrected_volatile": 0, "name": "Intel(R) Data Center GPU Max 1550", "serial": "LQAC13400",
        "power_default_limit_w": 600.0, "power_max_limit_w": 600.0, "sm_clock_max_mhz": 1600.0,
        "pcie_generation_max": 5.0, "pcie_width_max": 16.0,
    }  # fmt: skip
    assert all(absent(cells[name]).state is CellState.NOT_SUPPORTED for name in cells.keys() - {*numbers, "energy_j"})


def test_reasons_are_told_in_the_words_of_the_screen() -> None:
    assert throttle_words(intel.reasons(0x1 | 0x8)) == "power limit, hw thermal"
    assert throttle_words(intel.reasons(0x10)) == "power brake"
    assert intel.reasons(0) == 0
    assert "0x" in throttle_words(intel.reasons(0x80)), "a flag that is new is told as it is"


def test_processes_are_listed_with_their_memory(vendor: intel.Intel) -> None:
    device = vendor.identify(0)
    (row,) = vendor.processes
    found = row.fill(row.calls[0](device), device)
    assert [(process.pid, process.gpu_memory_bytes) for process in found] == [(4711, 1 << 30), (4712, 2 << 30)]


@pytest.mark.parametrize(
    ("code", "state", "final"),
    [(0x78000003, CellState.NOT_SUPPORTED, True), (0x70000001, CellState.LOST, False),
     (0x70000006, CellState.RESET, False), (0x70010000, CellState.PERMISSION, False),
     (0x78000001, CellState.ERROR, False), (0x7FFFFFFE, CellState.ERROR, False)],
)  # fmt: skip
def test_a_code_is_a_state(
    vendor: intel.Intel, monkeypatch: pytest.MonkeyPatch, code: int, state: CellState, final: bool
) -> None:
    device = vendor.identify(0)
    monkeypatch.setenv("FAKE_ZES_RULES", f"zesEngineGetActivity:{code:x}")
    cells = read_all(vendor, device)
    cell = absent(cells["utilization_percent"])
    assert (cell.state, cell.code, vendor.is_final(cell)) == (state, code, final)
    assert vendor.wants_reopening(cell) == (code == 0x78000001)
    assert cells["temperature_c"] == 41.0, "the other readings live"


def test_every_call_that_fails_takes_its_own_cells_alone(vendor: intel.Intel, monkeypatch: pytest.MonkeyPatch) -> None:
    device = vendor.identify(0)
    whole = read_all(vendor, device)
    for name in ("zesMemoryGetState", "zesPowerGetLimits", "zesRasGetState", "zesFrequencyGetState"):
        monkeypatch.setenv("FAKE_ZES_RULES", f"{name}:78000003")
        cells = read_all(vendor, device)
        lost = {cell for cell in cells if isinstance(cells[cell], Absent) and not isinstance(whole[cell], Absent)}
        assert lost, name
        assert lost <= set(LOST_WITH[name])


LOST_WITH = {
    "zesMemoryGetState": ("memory_used_bytes", "memory_total_bytes"),
    "zesPowerGetLimits": ("power_limit_w",),
    "zesRasGetState": ("ecc_corrected_volatile", "ecc_uncorrected_volatile"),
    "zesFrequencyGetState": ("sm_clock_mhz", "throttle_reasons", "memory_clock_mhz"),
}


def test_a_loader_that_knows_no_sysman_and_a_machine_without_one_say_so(tmp_path: Path) -> None:
    nothing = intel.Intel(str(tmp_path / "libze_loader.so.1"))
    with pytest.raises(OSError, match="cannot open shared object") as failed:
        nothing.open()
    assert nothing.open_failure(failed.value).startswith("Level Zero cannot be opened: OSError")
    assert not intel.is_installed(str(tmp_path / "libze_loader.so.1"))
    old = intel.Intel("libc.so.6")
    with pytest.raises(sysman.UnknownCall) as unknown:
        old.open()
    assert old.is_unknown(unknown.value)
    assert "does not know zesInit" in old.open_failure(unknown.value)


def test_after_its_close_nothing_is_asked(vendor: intel.Intel) -> None:
    vendor.close()
    with pytest.raises(sysman.Failed) as failed:
        vendor.count()
    assert vendor.wants_reopening(vendor.absent(failed.value))
