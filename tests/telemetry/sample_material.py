"""A healthy sample, and changes to it."""

from __future__ import annotations

from typing import Any

from torchprobes.samples import Absent, CellState, GpuSample, HostSample, Sample

MIB, GIB = 1 << 20, 1 << 30

CELL_LOST = Absent(state=CellState.LOST, why="the GPU has fallen off the bus", code=15)
CELL_UNSUPPORTED = Absent(state=CellState.NOT_SUPPORTED, why="this GPU does not support it", code=3)
CELL_DENIED = Absent(state=CellState.PERMISSION, why="the driver denies it to this user", code=4)

_GPU: dict[str, Any] = {
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
    "performance_state": 0,
    "ecc_uncorrected_volatile": 0,
    "recovery_action": 0,
}

_HOST: dict[str, Any] = {
    "host": "node",
    "cores": 8,
    "cpu_percent": 1.0,
    "load_1m": 0.1,
    "memory_used_bytes": 4 * GIB,
    "memory_total_bytes": 64 * GIB,
    "swap_used_bytes": 0,
    "swap_total_bytes": 0,
    "shm_used_bytes": 0,
    "shm_total_bytes": 32 * GIB,
}


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
        "processes": (), "host": host(), "hardware": len(gpus),
    }  # fmt: skip
    return Sample(**{**values, **changes})
