"""Fields, NVLink, MIG, PCIe, processes and topology of an NVIDIA GPU, each against the fake library."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvml_in_process import Nvml
from vendor_rows import absent

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.samples import MigSample, ProcessSample
from torchprobes.telemetry.readings import Device, Memory
from torchprobes.telemetry.vendors.nvidia import fields, links, pcie, processes, topology
from torchprobes.telemetry.vendors.nvidia.codes import TooOld

SUM = ("nvlink_replay_errors", "nvlink_recovery_errors", "nvlink_crc_errors")


def device_at(bus_id: str) -> Device:
    return Device(handle=None, index=0, uuid="GPU-0", bus_id=bus_id)


# --- fields ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "packed", "expected"),
    [
        (0, struct.pack("d", 1.5), 1.5),
        (1, struct.pack("I", 4_000_000_000), 4_000_000_000),
        (2, struct.pack("L", 1 << 40), 1 << 40),
        (3, struct.pack("Q", 1 << 63), 1 << 63),
        (4, struct.pack("q", -(1 << 40)), -(1 << 40)),
        (5, struct.pack("i", -8), -8),
        (6, struct.pack("H", 65535), 65535),
    ],
)
def test_a_value_is_read_by_its_type(kind: int, packed: bytes, expected: float) -> None:
    raw = (ctypes.c_char * 8).from_buffer_copy(packed.ljust(8, b"\xff"))
    assert fields.cell_of(SimpleNamespace(nvmlReturn=0, valueType=kind, value=raw)) == expected


@pytest.mark.parametrize(
    ("code", "kind", "packed", "state", "words"),
    [
        (2, 1, b"", CellState.NOT_SUPPORTED, "does not know the field"),
        (3, 1, b"", CellState.NOT_SUPPORTED, "this GPU does not support it"),
        (4, 1, b"", CellState.PERMISSION, "denies"),
        (0, 7, b"", CellState.ERROR, "a type that is not known (7)"),
        (0, 0, struct.pack("d", float("nan")), CellState.ERROR, "no figure"),
        (0, 1, b"\xff\xff\xff\xff", CellState.ERROR, "no figure"),
        (77, 1, b"", CellState.ERROR, "answers 77"),
    ],
)
def test_a_value_that_is_none_says_why(code: int, kind: int, packed: bytes, state: CellState, words: str) -> None:
    raw = (ctypes.c_char * 8).from_buffer_copy(packed.ljust(8, b"\0"))
    cell = absent(fields.cell_of(SimpleNamespace(nvmlReturn=code, valueType=kind, value=raw)))
    assert cell.state is state
    assert words in cell.why


def test_one_field_that_fails_leaves_the_others(nvml: Nvml) -> None:
    nvml.set("values", "0:FI4:!999", "0:FI6:7")
    cells = nvml.row("ecc", nvml.device())
    assert absent(cells["ecc_uncorrected_volatile"]).code == 999
    assert (cells["ecc_uncorrected_aggregate"], cells["ecc_mode"]) == (7, 1)


def test_a_field_that_says_the_gpu_is_lost_speaks_for_the_whole_row(nvml: Nvml) -> None:
    nvml.set("values", "0:FI82:!15")
    cells = nvml.row("recovery action and HBM temperature", nvml.device())
    assert {absent(cell).state for cell in cells.values()} == {CellState.LOST}


# --- NVLink ----------------------------------------------------------------------------------------------------


def test_errors_of_links_are_summed_only_when_each_link_was_read(nvml: Nvml) -> None:
    nvml.set("values", *(f"0:FI163.{link}:1" for link in range(18)))
    device = nvml.device()
    device.notes["links at a time"] = 5
    assert nvml.row("NVLink errors", device) == dict.fromkeys(SUM, UNREAD)
    device.notes["links at a time"] = 13
    assert nvml.row("NVLink errors", device)["nvlink_crc_errors"] == 18
    nvml.row("NVLink", device)
    link = nvml.row("NVLink", device)["links"][17]
    assert (link.state, link.version, link.remote, link.crc_errors) == (1, 6, "NVSwitch", 1)


def test_slow_links_are_asked_one_at_a_time(nvml: Nvml, tmp_path: Path) -> None:
    device = nvml.device()
    nvml.row("NVLink", device)
    nvml.set("delay_us", "8000")
    nvml.set("calls", str(tmp_path / "calls"))
    for _ in range(3):
        nvml.row("NVLink errors", device)
    assert device.notes["links at a time"] == 1
    assert device.notes["next link"] == 3
    assert (tmp_path / "calls").read_text() == "nvmlDeviceGetFieldValues 0\n" * 3


@pytest.mark.parametrize("entry", ["0:FI91:0", "0:FI91:!3"])
def test_a_gpu_without_links_says_not_supported_and_nothing_else(nvml: Nvml, entry: str) -> None:
    nvml.set("values", entry)
    device = nvml.device()
    for row in ("NVLink", "NVLink errors", "NVLink bytes"):
        cells = nvml.row(row, device)
        assert {absent(cell).state for cell in cells.values()} == {CellState.NOT_SUPPORTED}, row


def test_an_inactive_link_is_counted_and_a_link_that_is_not_told_is_no_zero(nvml: Nvml) -> None:
    nvml.set("values", "0:FI165.3:0")
    assert nvml.row("NVLink", nvml.device())["nvlinks_active"] == 17
    nvml.set("values", "0:FI165.3:!999")
    cells = nvml.row("NVLink", nvml.device())
    assert (absent(cells["nvlinks_active"]).code, cells["nvlinks"]) == (999, 18)


def test_an_old_driver_is_asked_link_by_link(nvml: Nvml) -> None:
    nvml.set("values", "0:FI165:!2", "0:FI166:!2", "0:FI161:!2", "0:FI162:!2", "0:FI163:!2", "0:link_errors:4")
    device = nvml.device()
    device.notes["links at a time"] = 18
    cells = nvml.row("NVLink", device)
    assert (cells["nvlinks_active"], cells["links"][17].version) == (18, 6)
    assert nvml.row("NVLink errors", device) == dict.fromkeys(SUM, 4 * 18)


def test_nvlink_5_counts_in_bytes_and_older_links_in_kib(nvml: Nvml) -> None:
    nvml.set("values", "0:FI139:0:15", "0:FI138:0:30", "1:FI138:!3", "1:FI139:!3", "1:FI204:0:15", "1:FI202:0:30")
    for index, unit in ((0, 1024), (1, 1)):
        device, nvml.memory = nvml.device(index), Memory()
        assert set(nvml.row("NVLink bytes", device, 1000.0).values()) == {UNREAD}
        rates = nvml.row("NVLink bytes", device, 1015.0)
        assert rates == {"nvlink_rx_bytes_per_s": unit, "nvlink_tx_bytes_per_s": 2 * unit}


def test_a_fabric_that_is_not_there_is_no_fault_and_older_structs_answer(nvml: Nvml) -> None:
    nvml.set("values", "0:fabric:0", "1:fabric:2", "1:fabric_v2:1")
    assert "no NVLink fabric" in absent(nvml.row("fabric", nvml.device())["fabric_state"]).why
    cells = nvml.row("fabric", nvml.device(1))
    assert (cells["fabric_state"], cells["fabric_health_mask"]) == ("in progress", 0)
    assert links.FABRIC_STATES[3] == "completed"


# --- MIG -------------------------------------------------------------------------------------------------------


def test_parts_of_a_partitioned_gpu_are_told(nvml: Nvml) -> None:
    nvml.set("values", "1:nvmlDeviceGetMigMode:1", "1:mig_parts:2")
    assert nvml.row("MIG", nvml.device(0)) == {"mig_mode": 0, "migs": ()}
    cells = nvml.row("MIG", nvml.device(1))
    assert cells["mig_mode"] == 1
    assert cells["migs"] == tuple(
        MigSample(index=i, uuid=f"MIG-fake-1-{i}", gpu_instance=i + 7, compute_instance=0, name="1g.10gb",
                  memory_used_bytes=1 << 30, memory_total_bytes=10 << 30)
        for i in range(2)
    )  # fmt: skip


# --- PCIe ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earlier", "later", "seconds", "expected"),
    [
        (1000, 6000, 0.005, 1_000_000),
        (0xFFFFFFF0, 0x10, 0.004, 8000),
        (5, 5, 0.01, 0),
    ],
)
def test_a_rate_of_bytes_survives_one_wrap(earlier: int, later: int, seconds: float, expected: int) -> None:
    assert pcie.rate(earlier, later, seconds, 2 * seconds) == expected


def test_a_rate_that_may_have_wrapped_twice_is_not_told() -> None:
    assert "may have wrapped" in absent(pcie.rate(0, 10, 0.005, 0.04)).why
    refused = Absent(state=CellState.NOT_SUPPORTED, why="x", code=3)
    assert pcie.rate(refused, 10, 0.005, 0.005) is pcie.rate(10, refused, 0.005, 0.005) is refused


def test_bytes_a_second_come_from_two_readings_in_one_row(nvml: Nvml) -> None:
    nvml.set("values", "0:FI198:4294967290:1000", "0:FI197:7:0")
    cells = nvml.row("PCIe bytes", nvml.device())
    assert 1000 / 0.033 < cells["pcie_rx_bytes_per_s"] <= 1000 / pcie.WINDOW_S
    assert cells["pcie_tx_bytes_per_s"] == 0


def test_the_kernels_counts_of_errors_are_its_totals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcie, "DEVICES", tmp_path)
    monkeypatch.setattr(pcie.folder, "__defaults__", (tmp_path,))
    folder = tmp_path / "0000:17:00.0"
    folder.mkdir()
    (folder / "aer_dev_correctable").write_text("RxErr 3\nBadTLP 4\nTOTAL_ERR_COR 7\n")
    (folder / "aer_dev_fatal").write_bytes(b"\xff\xfe nonsense")
    cells = pcie.aer(device_at("00000000:17:00.0"))
    assert cells["aer_correctable"] == 7
    assert absent(cells["aer_nonfatal"]).state is CellState.NOT_SUPPORTED
    assert "no total" in absent(cells["aer_fatal"]).why


@pytest.mark.parametrize("bus_id", ["", "../../etc", "0000:17:00", "00000000:17:00.0/../x"])
def test_no_bus_id_leads_elsewhere(bus_id: str) -> None:
    assert pcie.folder(bus_id).name == "no such device"


@pytest.mark.parametrize(
    ("bus_id", "name"),
    [("00000000:17:00.0", "0000:17:00.0"), ("00010000:17:00.0", "10000:17:00.0"), ("0000:0B:00.0", "0000:0b:00.0")],
)
def test_a_bus_id_is_written_as_the_kernel_does(bus_id: str, name: str) -> None:
    assert pcie.folder(bus_id).name == name


# --- processes -------------------------------------------------------------------------------------------------


def listed(nvml: Nvml, device: Device, kind: str) -> dict[int, ProcessSample]:
    (row,) = (row for row in nvml.vendor.processes if row.name == kind)
    return {process.pid: process for process in row.fill(row.calls[0](device), device)}


def test_processes_of_all_kinds_with_memory_instance_and_share(nvml: Nvml) -> None:
    nvml.set("processes", "0:11:1000:55", "0:12:-1:0:3", "0:13:5:0:-1:graphics", "0:14:6:9:-1:mps", "1:15:7")
    device = nvml.device()
    compute = listed(nvml, device, "compute")
    assert (compute[11].gpu_memory_bytes, compute[11].kind, compute[11].gpu_uuid) == (1000, "compute", "GPU-fake-0")
    assert absent(compute[12].gpu_memory_bytes).state is CellState.NOT_SUPPORTED
    assert (compute[12].gpu_instance, "not partitioned" in absent(compute[11].gpu_instance).why) == (3, True)
    assert set(listed(nvml, device, "graphics")) == {13}
    assert set(listed(nvml, device, "mps")) == {14}
    shares = {pid: process.sm_percent for pid, process in listed(nvml, device, "use of each").items()}
    assert shares == {11: 55, 12: 0, 13: 0, 14: 9}


def test_nobody_used_the_gpu_is_a_reading_and_a_gpu_that_cannot_tell_says_so(nvml: Nvml) -> None:
    nvml.set("processes", "0:11:1000")
    device = nvml.device()
    assert absent(listed(nvml, device, "compute")[11].sm_percent) == UNREAD
    assert listed(nvml, device, "use of each")[11].sm_percent == 0
    nvml.set("rules", "0:nvmlDeviceGetProcessUtilization:3")
    with pytest.raises(Exception, match="Not Supported"):
        listed(nvml, device, "use of each")
    assert absent(listed(nvml, device, "compute")[11].sm_percent).code == 3


def test_a_list_costs_one_call_and_grows_when_it_must(nvml: Nvml, tmp_path: Path) -> None:
    nvml.set("processes", *(f"0:{pid}:1" for pid in range(1, processes.ROOM + 20)))
    device, log = nvml.device(), tmp_path / "calls"
    nvml.set("calls", str(log))
    for expected in (2, 1):
        log.write_text("")
        assert len(listed(nvml, device, "compute")) == processes.ROOM + 19
        assert len(log.read_text().splitlines()) == expected


def test_a_driver_before_r460_lists_processes_in_its_first_form(nvml: Nvml) -> None:
    nvml.without(*(f"nvmlDeviceGetComputeRunningProcesses_v{version}" for version in (2, 3)))
    nvml.set("processes", "0:11:1000", "0:12:2000:0:3")
    device = nvml.device()
    (row,) = (row for row in nvml.vendor.processes if row.name == "compute")
    with pytest.raises(Exception, match="Function Not Found") as failed:
        row.calls[0](device)
    assert nvml.vendor.is_unknown(failed.value)
    found = row.fill(row.calls[-1](device), device)
    assert [(process.pid, process.gpu_memory_bytes) for process in found] == [(11, 1000), (12, 2000)]


# --- topology --------------------------------------------------------------------------------------------------


def matrix(nvml: Nvml, count: int) -> tuple[tuple[str, ...], ...]:
    nvml.set("gpus", str(count))
    return nvml.vendor.topology([nvml.device(index) for index in range(count)])


def test_through_switches_all_links_count(nvml: Nvml) -> None:
    assert matrix(nvml, 3) == (("X", "NV18", "NV18"), ("NV18", "X", "NV18"), ("NV18", "NV18", "X"))


def test_direct_links_count_between_their_two_ends(nvml: Nvml) -> None:
    nvml.set("values", "*:FI91:4", "*:nvmlDeviceGetNvLinkRemoteDeviceType:0", "*:level:50")
    assert matrix(nvml, 4) == (
        ("X", "NV4", "SYS", "SYS"),
        ("NV4", "X", "SYS", "SYS"),
        ("SYS", "SYS", "X", "NV4"),
        ("SYS", "SYS", "NV4", "X"),
    )


@pytest.mark.parametrize(
    ("level", "word"), [(10, "PIX"), (20, "PXB"), (30, "PHB"), (40, "NODE"), (50, "SYS"), (7, "?")]
)
def test_without_links_the_words_are_nvidia_smis(nvml: Nvml, level: int, word: str) -> None:
    nvml.set("values", "*:FI91:0", f"*:level:{level}")
    assert matrix(nvml, 2) == (("X", word), (word, "X"))


def test_switches_that_do_not_reach_the_other_are_no_links(nvml: Nvml) -> None:
    nvml.set("values", "*:p2p:4")
    assert matrix(nvml, 2) == (("X", "PHB"), ("PHB", "X"))


def test_a_gpu_that_does_not_answer_is_unknown_and_the_others_are_told(nvml: Nvml) -> None:
    nvml.set("rules", *(f"0:{name}:15" for name in ("nvmlDeviceGetFieldValues", "nvmlDeviceGetTopologyCommonAncestor")))
    assert matrix(nvml, 3) == (("X", "?", "?"), ("?", "X", "NV18"), ("?", "NV18", "X"))
    assert topology.UNKNOWN == "?"


@pytest.mark.parametrize(
    ("status", "words"), [(0, "yes"), (3, topology.PEERS[3]), (4, topology.PEERS[4]), (6, "?"), (99, "?")]
)
def test_peer_access_is_told_in_words_with_its_reason(nvml: Nvml, status: int, words: str) -> None:
    nvml.set("gpus", "2")
    nvml.set("values", f"*:p2p:{status}")
    assert nvml.vendor.peers([nvml.device(0), nvml.device(1)]) == (("X", words), (words, "X"))


def test_peer_access_that_the_driver_refuses_to_tell_is_unknown(nvml: Nvml) -> None:
    nvml.set("gpus", "2")
    nvml.set("rules", "0:nvmlDeviceGetP2PStatus:15")
    assert nvml.vendor.peers([nvml.device(0), nvml.device(1)]) == (("X", "?"), ("?", "X"))


# --- an older pynvml -------------------------------------------------------------------------------------------


def test_a_pynvml_that_lacks_a_function_says_that_it_must_be_updated(
    nvml: Nvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynvml

    monkeypatch.delattr(pynvml, "nvmlDeviceGetMarginTemperature")
    cell = absent(nvml.row("temperature_margin_c", nvml.device())["temperature_margin_c"])
    assert cell.state is CellState.NOT_SUPPORTED
    assert "nvidia-ml-py is too old" in cell.why
    assert nvml.vendor.is_unknown(TooOld("x"))


@pytest.mark.parametrize(
    "odd", [AttributeError("no"), TypeError("no"), struct.error("no"), UnicodeDecodeError("u", b"", 0, 1, "x")]
)
def test_whatever_pynvml_raises_becomes_a_cell(nvml: Nvml, odd: Exception) -> None:
    cell: Any = nvml.vendor.absent(odd)
    assert cell.state is CellState.ERROR
    assert type(odd).__name__ in cell.why
