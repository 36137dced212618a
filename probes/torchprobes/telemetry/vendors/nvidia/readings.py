"""NVML as rows: which call fills which cells, and how often.

What is asked how often follows what it costs on a real H200 (reference: telemetry 7) and a budget: at 2 Hz eight
GPUs are asked at most 130 things a second as a mean, of which the seven calls of a tick take 112. The other rows of
a GPU therefore share two calls a second; `tests/telemetry/test_nvidia_tables.py` adds them up.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ....cells import Absent, Cell, CellState
from ...readings import ONCE, Device, Memory, Reading
from . import ecc, links, mig, pcie
from .calls import call, first, first_known, function, number, one, reading, text, thousandth, word_of
from .codes import CORRUPTED_INFOROM, code_of
from .fields import batch, fields

SM, MEMORY = 1, 2
"""Kinds of clock (nvml.h, nvmlClockType_t)."""

COMPUTE_MODES: Final = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
MODES: Final = {0: "disabled", 1: "enabled"}

# --- fast -----------------------------------------------------------------------------------------------------

FAST: Final[tuple[Reading, ...]] = (
    reading(
        "utilization",
        0.0,
        (call("nvmlDeviceGetUtilizationRates"),),
        {
            "utilization_percent": lambda u: number(u.gpu),
            "memory_utilization_percent": lambda u: number(u.memory),
        },
    ),
    reading(
        "memory",
        0.0,
        # version 2 leaves out what the driver reserves, as nvidia-smi does (R510 and later)
        (call("nvmlDeviceGetMemoryInfo", 0x02000028), call("nvmlDeviceGetMemoryInfo")),
        {"memory_used_bytes": lambda m: number(m.used), "memory_total_bytes": lambda m: number(m.total)},
    ),
    one("power_w", 0.0, call("nvmlDeviceGetPowerUsage"), take=thousandth),
    one("temperature_c", 0.0, call("nvmlDeviceGetTemperature", 0)),
    one("sm_clock_mhz", 0.0, call("nvmlDeviceGetClockInfo", SM)),
    one(
        "throttle_reasons",
        0.0,
        call("nvmlDeviceGetCurrentClocksEventReasons"),
        call("nvmlDeviceGetCurrentClocksThrottleReasons"),
    ),
    fields("recovery action and HBM temperature", 0.0, {"recovery_action": 230, "memory_temperature_c": 82}),
)
"""Seven calls a tick, each of 1 to 10 us."""

# --- counters -------------------------------------------------------------------------------------------------


def _violations(device: Device) -> tuple[Any, ...]:
    """What a driver without the fields counts: for power and for heat, in nanoseconds."""
    ask = function("nvmlDeviceGetViolationStatus")
    power, thermal = (ask(device.handle, policy).violationTime for policy in (0, 1))
    nothing = Absent(state=CellState.NOT_SUPPORTED, why="this driver does not count it")
    return power, thermal, nothing, nothing, nothing


def _held_back(answer: Any, memory: Memory, now_s: float) -> Mapping[str, Cell]:
    """Nanoseconds for which the clocks were held back, as the share of the last minute."""
    names = ("power", "thermal", "sw thermal", "hw thermal", "brake")
    shares = {
        name: value if isinstance(value, (Absent, str)) else memory.share_of_minute(name, value / 1e9, now_s)
        for name, value in zip(names, answer, strict=True)
    }
    heat = [s for n, s in shares.items() if n.endswith("thermal") and not isinstance(s, (Absent, str))]
    return {
        "power_capped_percent_1m": shares["power"],
        "thermal_percent_1m": max(heat) if heat else shares["thermal"],
        "brake_percent_1m": shares["brake"],
    }


COUNTERS: Final[tuple[Reading, ...]] = (
    Reading(
        "throttle time",
        15.0,
        (batch(74, 75, 269, 270, 271), _violations),
        ("power_capped_percent_1m", "thermal_percent_1m", "brake_percent_1m"),
        _held_back,
        again_s=5.0,  # a share is told from the second time on
    ),
    one("memory_clock_mhz", 20.0, call("nvmlDeviceGetClockInfo", MEMORY)),
    one("performance_state", 20.0, call("nvmlDeviceGetPerformanceState")),
    one("power_limit_w", 60.0, call("nvmlDeviceGetEnforcedPowerLimit"), take=thousandth),
    one("encoder_percent", 60.0, call("nvmlDeviceGetEncoderUtilization"), take=first(number)),
    one("decoder_percent", 60.0, call("nvmlDeviceGetDecoderUtilization"), take=first(number)),
    one("fan_percent", 30.0, call("nvmlDeviceGetFanSpeed")),
    *pcie.COUNTERS,
    *links.COUNTERS,
)

# --- health ---------------------------------------------------------------------------------------------------

HEALTH: Final[tuple[Reading, ...]] = (
    one(
        "energy_j",
        60.0,
        first_known(lambda d: batch(83)(d)[0], call("nvmlDeviceGetTotalEnergyConsumption")),
        take=thousandth,
    ),
    one("temperature_margin_c", 30.0, call("nvmlDeviceGetMarginTemperature"), take=int),
    *ecc.ROWS,
    *pcie.HEALTH,
    *links.HEALTH,
    *mig.ROWS,
    one("persistence_mode", 120.0, call("nvmlDeviceGetPersistenceMode")),
    one("compute_mode", 120.0, call("nvmlDeviceGetComputeMode"), take=word_of(COMPUTE_MODES)),
    one("application_sm_clock_mhz", 120.0, call("nvmlDeviceGetApplicationsClock", SM)),
    one("application_memory_clock_mhz", 120.0, call("nvmlDeviceGetApplicationsClock", MEMORY)),
    reading(
        "memory window",
        120.0,
        (call("nvmlDeviceGetBAR1MemoryInfo"),),
        {"bar1_used_bytes": lambda m: number(m.bar1Used)},
    ),
)

# --- static ---------------------------------------------------------------------------------------------------


def _gsp_mode(device: Device) -> int:
    """With numbers of our own: pynvml's default arguments are shared by all threads."""
    mode, usual = ctypes.c_uint(), ctypes.c_uint()
    function("nvmlDeviceGetGspFirmwareMode")(device.handle, ctypes.byref(mode), ctypes.byref(usual))
    return mode.value


def _inforom_valid(device: Device) -> int:
    """1, or 0 where a checksum of the InfoROM is wrong."""
    try:
        function("nvmlDeviceValidateInforom")(device.handle)
    except Exception as error:
        if code_of(error) == CORRUPTED_INFOROM:
            return 0
        raise
    return 1


def _gsp_firmware(device: Device) -> bytes:
    """Into a buffer of our own, as pynvml before 12.575 wants it."""
    version = ctypes.create_string_buffer(80)
    function("nvmlDeviceGetGspFirmwareVersion")(device.handle, version)
    return version.value


def _numa_of_kernel(device: Device) -> int:
    try:
        return int(pcie.read(pcie.folder(device.bus_id) / "numa_node"))
    except FileNotFoundError:
        return -1


def _numa_node(value: Any) -> Cell:
    """The node of the CPUs and memory next to it; -1 where the firmware names none."""
    node = int(value)
    return node if node >= 0 else Absent(state=CellState.NOT_SUPPORTED, why="the firmware names no NUMA node for it")


def _cpus_of_kernel(device: Device) -> str:
    """The CPUs next to it as the kernel lists them: `0-47,96-143`; "" where it lists none."""
    try:
        return pcie.read(pcie.folder(device.bus_id) / "local_cpulist")
    except FileNotFoundError:
        return ""


def _cpus(value: Any) -> Cell:
    return text(value) if value else Absent(state=CellState.NOT_SUPPORTED, why="the kernel names no CPUs for it")


def _threshold(cell: str, kind: int) -> Reading:
    return one(cell, ONCE, call("nvmlDeviceGetTemperatureThreshold", kind))


STATIC: Final[tuple[Reading, ...]] = (
    one("name", ONCE, call("nvmlDeviceGetName"), take=text),
    one("power_default_limit_w", ONCE, call("nvmlDeviceGetPowerManagementDefaultLimit"), take=thousandth),
    reading(
        "limits of power",
        ONCE,
        (call("nvmlDeviceGetPowerManagementLimitConstraints"),),
        {"power_min_limit_w": lambda p: thousandth(p[0]), "power_max_limit_w": lambda p: thousandth(p[1])},
    ),
    one("sm_clock_max_mhz", ONCE, call("nvmlDeviceGetMaxClockInfo", SM)),
    one("memory_clock_max_mhz", ONCE, call("nvmlDeviceGetMaxClockInfo", MEMORY)),
    _threshold("temperature_shutdown_c", 0),
    _threshold("temperature_slowdown_c", 1),
    _threshold("memory_temperature_max_c", 2),
    _threshold("temperature_max_c", 3),
    *pcie.STATIC,
    one("serial", ONCE, call("nvmlDeviceGetSerial"), take=text),
    one("board_part_number", ONCE, call("nvmlDeviceGetBoardPartNumber"), take=text),
    one(
        "compute_capability",
        ONCE,
        call("nvmlDeviceGetCudaComputeCapability"),
        take=lambda v: f"{int(v[0])}.{int(v[1])}",
    ),
    one("vbios", ONCE, call("nvmlDeviceGetVbiosVersion"), take=text),
    one("inforom", ONCE, call("nvmlDeviceGetInforomImageVersion"), take=text),
    one("gsp_mode", ONCE, _gsp_mode, take=word_of(MODES)),
    one("gsp_firmware", ONCE, _gsp_firmware, take=text),
    one("numa_node", ONCE, first_known(call("nvmlDeviceGetNumaNodeId"), _numa_of_kernel), take=_numa_node),
    one("cpu_affinity", ONCE, _cpus_of_kernel, take=_cpus),
    one("minor_number", ONCE, call("nvmlDeviceGetMinorNumber")),
    reading(
        "size of the memory window",
        ONCE,
        (call("nvmlDeviceGetBAR1MemoryInfo"),),
        {"bar1_total_bytes": lambda m: number(m.bar1Total)},
    ),
    replace(one("inforom_valid", ONCE, _inforom_valid), after_s=20.0),  # it reads a slow flash: 70 ms on an H100
)

READINGS: Final[tuple[Reading, ...]] = (*FAST, *STATIC, *HEALTH, *COUNTERS)
