"""The rows over what a real H200 answered (driver 580.159.04, `h200_answers.json`), idle and under a matmul."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from vendor_rows import read_all

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.telemetry.readings import Device, Memory
from torchprobes.telemetry.vendors.nvidia.vendor import Nvidia

ANSWERS = json.loads((Path(__file__).parent / "h200_answers.json").read_text())
FORMATS = ("d", "I", "L", "Q", "q", "i", "H")

CHOSEN: dict[str, dict[tuple[int, ...], str]] = {
    "nvmlDeviceGetClockInfo": {(1,): "clock_SM", (2,): "clock_MEM"},
    "nvmlDeviceGetMaxClockInfo": {(1,): "maxclock_SM", (2,): "maxclock_MEM"},
    "nvmlDeviceGetApplicationsClock": {(1,): "appclock_SM", (2,): "appclock_MEM"},
    "nvmlDeviceGetTemperature": {(0,): "temp"},
    "nvmlDeviceGetTemperatureThreshold": {
        (place,): f"NVML_TEMPERATURE_THRESHOLD_{name}"
        for place, name in enumerate(("SHUTDOWN", "SLOWDOWN", "MEM_MAX", "GPU_MAX"))
    },
    "nvmlDeviceGetMemoryInfo": {(0x02000028,): "memory_v2", (): "nvmlDeviceGetMemoryInfo"},
    "nvmlDeviceGetMemoryErrorCounter": {(k, c, 2): f"ecc_{k}_{c}_loc2" for k in (0, 1) for c in (0, 1)},
}
"""Functions with arguments -> arguments -> the name under which their answer was recorded."""

FILLED = {
    "nvmlDeviceGetSramEccErrorStatus": "sram", "nvmlDeviceGetGpuFabricInfoV": "fabric_v3",
    "nvmlDeviceGetGspFirmwareMode": "nvmlDeviceGetGspFirmwareMode",
    "nvmlDeviceGetGspFirmwareVersion": "nvmlDeviceGetGspFirmwareVersion",
}  # fmt: skip
"""Functions that fill what they are given."""

LINKS = {"nvmlDeviceGetNvLinkVersion": "nvlink_ver_0", "nvmlDeviceGetNvLinkRemoteDeviceType": "nvlink_remote_type"}


class Recorded:
    """Answers as pynvml gives them."""

    def __init__(self, when: str) -> None:
        self._calls, self._fields = ANSWERS[when]["calls"], ANSWERS[when]["fields"]

    def function(self, name: str) -> Callable[..., Any]:
        if name.startswith("c_"):
            return getattr(pynvml, name)  # type: ignore[no-any-return]
        if name == "nvmlDeviceGetFieldValues":
            return lambda _handle, ids: [self._field(each) for each in ids]
        if name in FILLED:
            return lambda _handle, *targets: self._fill(FILLED[name], targets)
        if name in LINKS:
            return lambda _handle, _link: self._answer(LINKS[name])
        if name == "nvmlDeviceValidateInforom":  # not in the recording
            return lambda _handle: None
        return lambda _handle, *arguments: self._answer(CHOSEN.get(name, {}).get(arguments, name))

    def _answer(self, key: str) -> Any:
        answer = self._calls[key]
        if isinstance(answer, dict) and "code" in answer:
            raise pynvml.NVMLError(answer["code"])
        return SimpleNamespace(**answer) if isinstance(answer, dict) else answer

    def _field(self, each: Any) -> Any:
        answer = self._fields[str(each if isinstance(each, int) else each[0])]
        if "code" in answer:
            return SimpleNamespace(nvmlReturn=answer["code"], valueType=0, value=b"\0" * 8)
        packed = struct.pack(FORMATS[answer["type"]], answer["value"]).ljust(8, b"\0")
        return SimpleNamespace(nvmlReturn=0, valueType=answer["type"], value=packed)

    def _fill(self, key: str, targets: tuple[Any, ...]) -> None:
        answer = self._calls[key]
        if isinstance(answer, str):
            targets[0].value = answer.encode()
        elif isinstance(answer, list):
            for target, value in zip(targets, answer, strict=True):
                target._obj.value = value
        else:
            for name, value in answer.items():
                old = getattr(targets[0]._obj, name)
                setattr(targets[0]._obj, name, type(old)(*value) if isinstance(value, list) else value)


def cells_of(when: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    recorded = Recorded(when)
    for module in ("calls", "ecc", "fields", "links", "mig", "readings"):
        monkeypatch.setattr(f"torchprobes.telemetry.vendors.nvidia.{module}.function", recorded.function)
    monkeypatch.setattr("torchprobes.telemetry.vendors.nvidia.links.TURN_S", 60.0)  # all links at the second time
    device = Device(handle=None, index=0, uuid="GPU-0", bus_id="ffffffff:ff:ff.7")
    memory = Memory()
    read_all(Nvidia(), device, memory, 1000.0)
    return read_all(Nvidia(), device, memory, 1030.0)


NEVER = {
    "retired_single_bit_pages", "retired_double_bit_pages", "retired_pending", "fan_percent", "nvlink_receive_errors",
    "nvlink_failed_recoveries", "aer_correctable", "aer_nonfatal", "aer_fatal", "numa_node", "serial",
    "cpu_affinity",
}  # fmt: skip
"""What this GPU has not, the recording left out, or this test's bus id hides."""


@pytest.mark.parametrize("when", ["idle", "load"])
def test_every_cell_of_a_real_h200_is_a_reading(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = cells_of(when, monkeypatch)
    without = {name: cell for name, cell in cells.items() if isinstance(cell, Absent) and name not in NEVER}
    assert without == {}
    assert all(cells[name].state is CellState.NOT_SUPPORTED for name in NEVER - {"serial"})


def test_a_real_h200_under_load_reads_as_nvidia_smi_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = cells_of("load", monkeypatch)
    expected = {
        "utilization_percent": 100, "memory_utilization_percent": 23, "memory_used_bytes": 925696000,
        "memory_total_bytes": 150754820096, "power_w": 691.031, "temperature_c": 59, "memory_temperature_c": 47,
        "sm_clock_mhz": 1485, "throttle_reasons": 4, "recovery_action": 0, "memory_clock_mhz": 3201,
        "performance_state": 0, "power_limit_w": 700.0, "power_capped_percent_1m": 0.0, "pcie_generation": 5,
        "pcie_width": 16, "pcie_replays": 1, "temperature_margin_c": 28, "ecc_mode": 1, "ecc_pending": 1,
        "ecc_uncorrected_aggregate": 0, "sram_threshold_exceeded": 0, "dram_corrected_volatile": 0, "remap_failure": 0,
        "remap_banks_max": 3072, "repair_pending": 0, "unrepairable_memory": 0, "pcie_naks_sent": 11,
        "pcie_bad_tlps": 15, "pcie_receiver_errors": 14, "persistence_mode": 1, "compute_mode": "default",
        "mig_mode": 0, "fabric_state": "completed", "fabric_status": 0, "fabric_clique": 0, "fabric_health_mask": 0,
        "nvlinks": 18, "nvlinks_active": 18, "nvlink_speed_mbytes_per_s": 26562, "nvlink_crc_errors": 0,
        "application_sm_clock_mhz": 1980, "application_memory_clock_mhz": 3201, "bar1_used_bytes": 927465472,
        "name": "NVIDIA H200", "board_part_number": "692-2G520-0282-000", "compute_capability": "9.0",
        "vbios": "96.00.A5.00.1A", "inforom": "G520.0282.02.02", "gsp_mode": "enabled", "gsp_firmware": "580.159.04",
        "minor_number": 0, "power_default_limit_w": 700.0, "power_max_limit_w": 700.0, "power_min_limit_w": 200.0,
        "sm_clock_max_mhz": 1980, "memory_clock_max_mhz": 3201, "temperature_slowdown_c": 89,
        "temperature_shutdown_c": 95, "temperature_max_c": 87, "memory_temperature_max_c": 95,
        "pcie_generation_max": 5, "pcie_width_max": 16, "bar1_total_bytes": 274877906944, "encoder_percent": 0,
    }  # fmt: skip
    assert {name: cells[name] for name in expected} == expected
    assert cells["energy_j"] == pytest.approx(4951.225)
    assert {(link.state, link.version, link.remote) for link in cells["links"]} == {(1, 6, "NVSwitch")}


def test_between_idle_and_load_the_counters_say_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    idle, load = Recorded("idle"), Recorded("load")
    device, memory, vendor = Device(None, 0, "GPU-0", ""), Memory(), Nvidia()
    (row,) = (row for row in vendor.readings if row.name == "throttle time")
    shares = []
    for recorded, now in ((idle, 1000.0), (load, 1010.0)):
        monkeypatch.setattr("torchprobes.telemetry.vendors.nvidia.fields.function", recorded.function)
        shares.append(row.fill(row.calls[0](device), memory, now))
    assert shares[0] == dict.fromkeys(row.cells, UNREAD)
    assert shares[1] == {"power_capped_percent_1m": 28.5, "thermal_percent_1m": 0.0, "brake_percent_1m": 0.0}
