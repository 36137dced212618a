"""Every reading of a GPU and of the host as data: its group, its words, its unit, and the limit beside it.

A test holds this table against the sample's own list of cells: no reading is without a place on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GIB: Final = float(1 << 30)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a cell is shown: `scale` divides it, `limits` are (word, cell) told beside it."""

    cell: str
    label: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 0
    limits: tuple[tuple[str, str], ...] = ()


def _counters(prefix: str, label: str, kinds: tuple[str, ...]) -> tuple[Shown, ...]:
    return tuple(Shown(f"{prefix}_{kind}", f"{label}, {kind.replace('_', ' ')}") for kind in kinds)


_ECC: Final = ("corrected_volatile", "corrected_aggregate", "uncorrected_volatile", "uncorrected_aggregate")

GPU_GROUPS: Final[tuple[tuple[str, tuple[Shown, ...]], ...]] = (
    ("work", (
        Shown("utilization_percent", "utilisation", " %"),
        Shown("memory_utilization_percent", "memory bus", " %"),
        Shown("encoder_percent", "encoder", " %"),
        Shown("decoder_percent", "decoder", " %"),
        Shown("memory_used_bytes", "memory", " GiB", GIB, 1, (("of", "memory_total_bytes"),)),
        Shown("memory_total_bytes", "memory in all", " GiB", GIB, 1),
        Shown("bar1_used_bytes", "BAR1", " GiB", GIB, 2, (("of", "bar1_total_bytes"),)),
        Shown("bar1_total_bytes", "BAR1 in all", " GiB", GIB, 2),
    )),
    ("power and heat", (
        Shown("power_w", "power", " W", limits=(("limit", "power_limit_w"), ("most", "power_max_limit_w"))),
        Shown("power_limit_w", "power limit", " W", limits=(("default", "power_default_limit_w"),)),
        Shown("power_default_limit_w", "default limit", " W"),
        Shown("power_min_limit_w", "smallest limit", " W"),
        Shown("power_max_limit_w", "largest limit", " W"),
        Shown("energy_j", "energy since driver load", " MJ", 1e6, 3),
        Shown("temperature_c", "core", " °C", limits=(
            ("slows down at", "temperature_slowdown_c"), ("shuts down at", "temperature_shutdown_c"))),
        Shown("temperature_margin_c", "margin to the limit", " °C"),
        Shown("memory_temperature_c", "HBM", " °C", limits=(("most", "memory_temperature_max_c"),)),
        Shown("temperature_slowdown_c", "slows down at", " °C"),
        Shown("temperature_shutdown_c", "shuts down at", " °C"),
        Shown("temperature_max_c", "runs at full clocks up to", " °C"),
        Shown("memory_temperature_max_c", "HBM runs up to", " °C"),
        Shown("fan_percent", "fan", " %"),
    )),
    ("clocks", (
        Shown("sm_clock_mhz", "SM", " MHz", limits=(("most", "sm_clock_max_mhz"),)),
        Shown("sm_clock_max_mhz", "SM at most", " MHz"),
        Shown("memory_clock_mhz", "memory", " MHz", limits=(("most", "memory_clock_max_mhz"),)),
        Shown("memory_clock_max_mhz", "memory at most", " MHz"),
        Shown("application_sm_clock_mhz", "application SM clock", " MHz"),
        Shown("application_memory_clock_mhz", "application memory clock", " MHz"),
        Shown("performance_state", "performance state"),
        Shown("throttle_reasons", "throttle now"),
        Shown("power_capped_percent_1m", "held by power, minute", " %", digits=1),
        Shown("thermal_percent_1m", "held by heat, minute", " %", digits=1),
        Shown("brake_percent_1m", "held by power brake, minute", " %", digits=1),
    )),
    ("memory errors", (
        Shown("recovery_action", "the driver asks for"),
        Shown("reset_status", "reset needed"),
        Shown("drain_and_reset_status", "drain and reset needed"),
        Shown("ecc_mode", "ECC"),
        Shown("ecc_pending", "ECC after next reboot"),
        *_counters("ecc", "all", _ECC),
        *_counters("dram", "HBM", _ECC),
        *_counters("sram", "SRAM", _ECC),
        Shown("sram_threshold_exceeded", "SRAM threshold passed"),
        Shown("remapped_correctable_rows", "rows remapped, correctable"),
        Shown("remapped_uncorrectable_rows", "rows remapped, uncorrectable"),
        Shown("remap_pending", "remap waits for a reset"),
        Shown("remap_failure", "a remap failed"),
        Shown("remap_banks_max", "banks with all spare rows"),
        Shown("remap_banks_high", "banks with many"),
        Shown("remap_banks_partial", "banks with some"),
        Shown("remap_banks_low", "banks with few"),
        Shown("remap_banks_none", "banks with none left"),
        Shown("retired_single_bit_pages", "pages retired, single bit"),
        Shown("retired_double_bit_pages", "pages retired, double bit"),
        Shown("retired_pending", "page waits to be retired"),
        Shown("unrepairable_memory", "unrepairable memory"),
        Shown("repair_pending", "repair waits for a reset"),
    )),
    ("PCIe", (
        Shown("pcie_generation", "generation", limits=(("most", "pcie_generation_max"),)),
        Shown("pcie_generation_max", "generation at most"),
        Shown("pcie_width", "lanes", limits=(("most", "pcie_width_max"),)),
        Shown("pcie_width_max", "lanes at most"),
        Shown("pcie_rx_bytes_per_s", "received", " GB/s", 1e9, 3),
        Shown("pcie_tx_bytes_per_s", "sent", " GB/s", 1e9, 3),
        Shown("pcie_replays", "replays"),
        Shown("pcie_correctable_errors", "correctable errors"),
        Shown("pcie_nonfatal_errors", "non-fatal errors"),
        Shown("pcie_fatal_errors", "fatal errors"),
        Shown("pcie_naks_received", "NAKs received"),
        Shown("pcie_naks_sent", "NAKs sent"),
        Shown("pcie_receiver_errors", "receiver errors"),
        Shown("pcie_bad_tlps", "bad TLPs"),
        Shown("pcie_bad_dllps", "bad DLLPs"),
        Shown("pcie_lcrc_errors", "LCRC errors"),
        Shown("pcie_lane_errors", "lane errors"),
        Shown("aer_correctable", "AER correctable (kernel)"),
        Shown("aer_nonfatal", "AER non-fatal (kernel)"),
        Shown("aer_fatal", "AER fatal (kernel)"),
    )),
    ("NVLink and fabric", (
        Shown("nvlinks_active", "links up", limits=(("of", "nvlinks"),)),
        Shown("nvlinks", "links"),
        Shown("nvlink_speed_mbytes_per_s", "speed of a link", " MB/s"),
        Shown("nvlink_rx_bytes_per_s", "received", " GB/s", 1e9, 3),
        Shown("nvlink_tx_bytes_per_s", "sent", " GB/s", 1e9, 3),
        Shown("nvlink_crc_errors", "CRC errors"),
        Shown("nvlink_replay_errors", "replay errors"),
        Shown("nvlink_recovery_errors", "recovery errors"),
        Shown("nvlink_receive_errors", "receive errors"),
        Shown("nvlink_failed_recoveries", "failed recoveries"),
        Shown("fabric_state", "fabric"),
        Shown("fabric_status", "fabric registration"),
        Shown("fabric_health_mask", "fabric health"),
        Shown("fabric_clique", "clique"),
    )),
    ("settings", (
        Shown("persistence_mode", "persistence mode"),
        Shown("compute_mode", "compute mode"),
        Shown("mig_mode", "MIG"),
        Shown("gsp_mode", "GSP"),
        Shown("gsp_firmware", "GSP firmware"),
    )),
    ("identity", (
        Shown("name", "model"),
        Shown("serial", "serial number"),
        Shown("board_part_number", "part number"),
        Shown("compute_capability", "compute capability"),
        Shown("vbios", "vBIOS"),
        Shown("inforom", "InfoROM"),
        Shown("inforom_valid", "InfoROM valid"),
        Shown("numa_node", "NUMA node"),
        Shown("cpu_affinity", "CPUs beside it"),
        Shown("minor_number", "device file /dev/nvidia"),
    )),
)  # fmt: skip
"""Groups of a GPU's cells, in the order in which they are shown."""


_UNITS: Final = (
    ("_bytes_per_s", " MB/s", 1e6, 1), ("_percent", " %", 1.0, 1), ("_bytes", " GiB", GIB, 2),
    ("_mbits_per_s", " Mb/s", 1.0, 0), ("_gbits_per_s", " Gb/s", 1.0, 0), ("_cores", " cores", 1.0, 0),
    ("_s", " s", 1.0, 0), ("_1m", "", 1.0, 2),
)  # fmt: skip
"""Ending of a cell's name -> unit, scale, digits: names of cells carry their unit."""


def by_name(cell: str) -> Shown:
    """How a cell is shown that has no row of its own: by the unit at the end of its name."""
    for ending, unit, scale, digits in _UNITS:
        if cell.endswith(ending):
            return Shown(cell, cell.removesuffix(ending).replace("_", " "), unit, scale, digits)
    return Shown(cell, cell.replace("_", " "))
