"""A healthy sample, and changes to it. What a GPU reads is what two real H200s read, idle and under a matmul."""

from __future__ import annotations

from typing import Any

from torchprobes.cells import Absent, CellState
from torchprobes.samples import GpuSample, HostSample, KernelEvent, Sample

MIB, GIB = 1 << 20, 1 << 30

CELL_LOST = Absent(state=CellState.LOST, why="the GPU has fallen off the bus", code=15)
CELL_UNSUPPORTED = Absent(state=CellState.NOT_SUPPORTED, why="this GPU does not support it", code=3)
CELL_DENIED = Absent(state=CellState.PERMISSION, why="the driver denies it to this user", code=4)

_ECC: dict[str, Any] = {
    f"{place}_{kind}_{span}": 0
    for place in ("ecc", "dram", "sram")
    for kind in ("corrected", "uncorrected")
    for span in ("volatile", "aggregate")
}

_H200: dict[str, Any] = {
    **_ECC, "memory_temperature_c": 37, "recovery_action": 0, "performance_state": 0, "power_capped_percent_1m": 0.0,
    "thermal_percent_1m": 0.0, "brake_percent_1m": 0.0, "pcie_generation": 5, "pcie_width": 16, "pcie_replays": 1,
    "pcie_rx_bytes_per_s": 708e3, "pcie_tx_bytes_per_s": 588e3, "nvlink_rx_bytes_per_s": 0.0,
    "nvlink_tx_bytes_per_s": 0.0, "encoder_percent": 0, "decoder_percent": 0, "fan_percent": CELL_UNSUPPORTED,
    "energy_j": 4951.2, "temperature_margin_c": 50, "ecc_mode": 1, "ecc_pending": 1, "sram_threshold_exceeded": 0,
    "remapped_correctable_rows": 0, "remapped_uncorrectable_rows": 0, "remap_pending": 0, "remap_failure": 0,
    "remap_banks_max": 3072, "remap_banks_high": 0, "remap_banks_partial": 0, "remap_banks_low": 0,
    "remap_banks_none": 0, "retired_single_bit_pages": CELL_UNSUPPORTED, "retired_double_bit_pages": CELL_UNSUPPORTED,
    "retired_pending": CELL_UNSUPPORTED, "unrepairable_memory": 0, "repair_pending": 0, "reset_status": 0,
    "drain_and_reset_status": 0, "pcie_correctable_errors": 0, "pcie_nonfatal_errors": 0, "pcie_fatal_errors": 0,
    "pcie_naks_received": 0, "pcie_naks_sent": 11, "pcie_receiver_errors": 14, "pcie_bad_tlps": 15,
    "pcie_bad_dllps": 0, "pcie_lcrc_errors": 0, "pcie_lane_errors": 0, "aer_correctable": 0, "aer_nonfatal": 0,
    "aer_fatal": 0, "persistence_mode": 1, "compute_mode": "default", "mig_mode": 0,
    "fabric_state": "completed", "fabric_status": 0,
    "fabric_health_mask": 0, "fabric_clique": 0, "nvlinks": 18, "nvlinks_active": 18,
    "nvlink_speed_mbytes_per_s": 26562, "nvlink_crc_errors": 0, "nvlink_replay_errors": 0,
    "nvlink_recovery_errors": 0, "nvlink_receive_errors": CELL_UNSUPPORTED,
    "nvlink_failed_recoveries": CELL_UNSUPPORTED, "application_sm_clock_mhz": 1980,
    "application_memory_clock_mhz": 3201, "bar1_used_bytes": 1703936, "serial": "REDACTED-0",
    "board_part_number": "692-2G520-0282-000", "compute_capability": "9.0", "vbios": "96.00.A5.00.1A",
    "inforom": "G520.0282.02.02", "inforom_valid": 1, "gsp_mode": "enabled", "gsp_firmware": "580.159.04",
    "numa_node": CELL_UNSUPPORTED, "minor_number": 0, "power_default_limit_w": 700.0, "power_max_limit_w": 700.0,
    "power_min_limit_w": 200.0, "sm_clock_max_mhz": 1980, "memory_clock_max_mhz": 3201, "temperature_slowdown_c": 89,
    "temperature_shutdown_c": 95, "temperature_max_c": 87, "memory_temperature_max_c": 95, "pcie_generation_max": 5,
    "pcie_width_max": 16, "bar1_total_bytes": 256 * GIB,
}  # fmt: skip

_GPU: dict[str, Any] = {
    **_H200,
    "index": 0,
    "name": "NVIDIA Fake",
    "utilization_percent": 0,
    "memory_utilization_percent": 0,
    "memory_used_bytes": 0,
    "memory_total_bytes": 80 * GIB,
    "power_w": 70.0,
    "power_limit_w": 700.0,
    "temperature_c": 30,
    "sm_clock_mhz": 345,
    "memory_clock_mhz": 2619,
    "throttle_reasons": 1,
}

IDLE: dict[str, Any] = {
    "name": "NVIDIA H200", "memory_used_bytes": 644939776, "memory_total_bytes": 150754820096, "power_w": 101.303,
    "temperature_c": 37, "sm_clock_mhz": 345, "memory_clock_mhz": 3201,
}  # fmt: skip
"""What differs from `gpu()` on an idle H200, driver 580.159.04."""

LOADED: dict[str, Any] = {
    **IDLE, "utilization_percent": 100, "memory_utilization_percent": 23, "memory_used_bytes": 1570635776,
    "power_w": 691.031, "temperature_c": 59, "memory_temperature_c": 47, "sm_clock_mhz": 1485, "throttle_reasons": 4,
    "temperature_margin_c": 28, "power_capped_percent_1m": 94.6,
}  # fmt: skip
"""The same under bf16 matmuls of 8192."""

_HOST: dict[str, Any] = {
    "host": "node", "cores": 8, "cpu_percent": 1.0, "load_1m": 0.1, "memory_used_bytes": 4 * GIB,
    "memory_total_bytes": 64 * GIB, "swap_used_bytes": 0, "swap_total_bytes": 0, "shm_used_bytes": 0,
    "shm_total_bytes": 32 * GIB, "uptime_s": 86400.0, "cpu_pressure_percent": 0.0, "memory_pressure_percent": 0.0,
    "memory_full_pressure_percent": 0.0, "io_pressure_percent": 0.0, "io_full_pressure_percent": 0.0, "oom_kills": 0,
    "memlock_limit_bytes": "unlimited", "open_files_limit": 1048576, "processes_limit": "unlimited",
    "files_open": 4000, "files_max": 9_000_000, "tasks": 900, "tasks_max": 900_000, "zombies": 0,
    "uninterruptible": 0, "cpu_governor": CELL_UNSUPPORTED, "clocksource": "kvm-clock", "cpu_affinity_cores": "0-7",
    "denied_modules": "", "peermem_loaded": 1, "nvswitches": 0, "fabric_manager": 0, "persistence_daemon": 1,
    "iommu": "off", "environment_faults": "", "visible_devices": "not set",
}  # fmt: skip


def gpu(index: int = 0, uuid: str = "", **changes: Any) -> GpuSample:
    """A healthy idle GPU but for the changes."""
    values = {**_GPU, "index": index, "uuid": uuid or f"GPU-{index}", "bus_id": f"00000000:{0x17 + index:02X}:00.0"}
    return GpuSample(**{**values, **changes})


def host(**changes: Any) -> HostSample:
    """A healthy host but for the changes."""
    return HostSample(**{**_HOST, **changes})


def sample(*gpus: GpuSample, **changes: Any) -> Sample:
    """A sample of these GPUs on a healthy host but for the changes."""
    values: dict[str, Any] = {
        "t_ns": 0, "m_ns": 0, "driver": "570.86.15", "cuda": "12.8", "driver_state": "ok", "gpus": gpus,
        "processes": (), "host": host(), "hardware": len(gpus), "kernel_module": "570.86.15",
        "device_nodes": len(gpus), "kernel_log": "kmsg",
    }  # fmt: skip
    return Sample(**{**values, **changes})


def xid(code: int, seconds: float = 0.0, source: str = "kmsg", index: int = 0, **changes: Any) -> KernelEvent:
    """An XID of a GPU at a time."""
    bus_id = f"00000000:{0x17 + index:02X}:00.0"
    return KernelEvent(t_ns=int(seconds * 1e9), kind="xid", source=source, code=code, bus_id=bus_id, **changes)
