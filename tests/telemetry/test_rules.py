"""Every rule on one sample is hit by what it is about, and by nothing beside it; what it cannot read is counted."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from rules_material import AROUND, Row
from sample_material import (
    CELL_DENIED,
    CELL_LOST,
    CELL_UNSUPPORTED,
    GIB,
    MIB,
    gpu,
    host,
    sample,
)

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.judge.cards import card
from torchprobes.model import Severity
from torchprobes.samples import DiskSample, GpuSample, GroupSample, PortSample, Sample
from torchprobes.telemetry.health import judge
from torchprobes.telemetry.rules import CHECKS, TIMED, Check, On

H100, GB200 = "NVIDIA H100 80GB HBM3", "NVIDIA GB200"
V100: dict[str, Any] = {"retired_single_bit_pages": 0, "retired_double_bit_pages": 0, "retired_pending": 0}


def of_gpu(**changes: Any) -> Sample:
    return sample(gpu(0), gpu(1, **changes))


def of_host(**changes: Any) -> Sample:
    return sample(gpu(0), gpu(1), host=host(**changes))


def throttled(reasons: int) -> Sample:
    return of_gpu(throttle_reasons=reasons)


def failed(code: int | None, words: str = "it does not open", hardware: int = 8) -> Sample:
    driver = Absent(state=CellState.ERROR, why=words, code=code)
    return sample(driver=driver, cuda=driver, driver_state=words, hardware=hardware)


def pages(single: int, double: int, **changes: Any) -> Sample:
    return of_gpu(**{**V100, "retired_single_bit_pages": single, "retired_double_bit_pages": double, **changes})


def port(number: int = 1, state: str = "active", rate: float = 400, **changes: Any) -> PortSample:
    cells: dict[str, Any] = {"physical_state": "linkup", "link_layer": "InfiniBand", **changes}
    return PortSample(device=f"mlx5_{number}", port=1, state=state, rate_gbits_per_s=rate, **cells)


def ports(*of: PortSample, **changes: Any) -> Sample:
    return of_host(ports=of, **changes)


def eight(name: str, *of: PortSample) -> Sample:
    return sample(*(gpu(i, name=name) for i in range(8)), host=host(ports=of))


def disk(share: float) -> Sample:
    return of_host(
        disks=(DiskSample(path="/tmp", what="caches", used_bytes=int(100 * share) * GIB, total_bytes=100 * GIB),)
    )


def group(**cells: Any) -> Sample:
    return of_host(groups=(GroupSample(path="/slurm/job_7", job="7.0", **cells),))


def linked(**changes: Any) -> Sample:
    return sample(gpu(0), gpu(1, **{"nvlinks_active": 17, **changes}))


ONE: dict[str, Row] = {
    "TD-GPU-001": (failed(28), failed(28, hardware=0), "it does not open"),
    "TD-DRV-001": (failed(12), failed(9), "nvmlInit gives 12"),
    "TD-DRV-002": (failed(9), failed(12), "nvmlInit gives 9"),
    "TD-DRV-003": (sample(gpu(), kernel_module="570.1"), sample(gpu()), "570.86.15, the kernel module 570.1"),
    "TD-DRV-004": (failed(999), failed(28), "999"),
    "TD-DRV-005": (failed(4), failed(4, hardware=0), "nvmlInit gives 4"),
    "TD-DRV-006": (of_host(denied_modules="nouveau"), of_host(), "nouveau"),
    "TD-DRV-007": (sample(gpu(0), gpu(1), device_nodes=1), sample(gpu(0), gpu(1), device_nodes=3), "1 device files"),
    "TD-DRV-009": (of_host(visible_devices="0,2"), of_host(visible_devices="GPU-1,0"), "'2' names no GPU"),
    "TD-GPU-002": (sample(gpu(), hardware=8), sample(gpu(), hardware=1), "1 of 8"),
    "TD-GPU-014": (of_gpu(vbios="96.1"), of_gpu(vbios="96.1", name="NVIDIA T4"), "96.1 on GPU 1"),
    "TD-GPU-015": (of_gpu(gsp_firmware="570"), of_gpu(gsp_firmware=CELL_UNSUPPORTED), "570 on GPU 1"),
    "TD-GPU-003": (of_gpu(state="lost", utilization_percent=CELL_LOST), of_gpu(), "GPU 1 00000000:18:00.0"),
    "TD-GPU-004": (of_gpu(state="reset"), of_gpu(state="lost"), "state reset"),
    "TD-GPU-005": (of_gpu(state="hung"), of_gpu(state="starting"), "state hung"),
    "TD-GPU-006": (of_gpu(recovery_action=2), of_gpu(recovery_action=3), "reboot the node"),
    "TD-GPU-007": (of_gpu(recovery_action=3), of_gpu(recovery_action=1), "drain P2P"),
    "TD-GPU-008": (of_gpu(recovery_action=12), of_gpu(recovery_action=7), "recovery action 12"),
    "TD-GPU-011": (of_gpu(drain_and_reset_status=1), of_gpu(), "set: drain and reset"),
    "TD-GPU-012": (of_gpu(inforom_valid=0), of_gpu(inforom_valid=CELL_UNSUPPORTED), "corrupted"),
    "TD-GPU-013": (
        of_gpu(persistence_mode=0),
        sample(gpu(persistence_mode=0), host=host(uptime_s=599.0)),
        ": off 24 h after boot",
    ),
    "TD-GPU-016": (
        of_gpu(power_w=Absent(state=CellState.ERROR, why="the driver answers 999", code=999)),
        of_gpu(power_w=CELL_UNSUPPORTED),
        "(code 999)",
    ),
    "TD-GPU-017": (of_gpu(compute_mode="prohibited"), of_gpu(compute_mode="default"), "mode prohibited"),
    "TD-GPU-018": (of_gpu(compute_mode="exclusive process"), of_gpu(compute_mode="prohibited"), "exclusive"),
    "TD-GPU-019": (of_gpu(mig_mode=1), of_gpu(mig_mode=0), "MIG is on"),
    "TD-GPU-010": (of_gpu(ecc_uncorrected_volatile=1), of_gpu(ecc_uncorrected_volatile=0), "1 uncorrected"),
    "TD-MEM-001": (of_gpu(ecc_mode=0, ecc_pending=0, name=H100), of_gpu(ecc_mode=0, ecc_pending=0), "ECC is off"),
    "TD-MEM-002": (of_gpu(ecc_pending=0), of_gpu(), "is on and will be off"),
    "TD-MEM-003": (
        of_gpu(dram_corrected_aggregate=20_000_001),
        of_gpu(dram_corrected_aggregate=20_000_000),
        "20,000,001 aggregate (limit 20,000,000)",
    ),
    "TD-MEM-004": (of_gpu(sram_corrected_volatile=10_001), of_gpu(sram_corrected_volatile=10_000), "10,001 volatile"),
    "TD-MEM-005": (
        of_gpu(ecc_corrected_volatile=50_000_001),
        of_gpu(ecc_corrected_volatile=50_000_000),
        "(gcm's limit 50,000,000)",
    ),
    "TD-MEM-007": (of_gpu(sram_uncorrected_aggregate=1), of_gpu(), "1 aggregate (limit 0)"),
    "TD-MEM-008": (of_gpu(ecc_uncorrected_aggregate=3), of_gpu(), "3 in the life of the part"),
    "TD-MEM-009": (of_gpu(sram_threshold_exceeded=1), of_gpu(), "bThresholdExceeded"),
    "TD-MEM-010": (of_gpu(remap_pending=1), of_gpu(), "a row remap waits for a reset: pending"),
    "TD-MEM-011": (of_gpu(remap_failure=1), of_gpu(remap_pending=1), "the failure flag is set"),
    "TD-MEM-012": (
        of_gpu(remapped_uncorrectable_rows=512),
        of_gpu(remapped_uncorrectable_rows=511),
        "512 rows (limit 512)",
    ),
    "TD-MEM-014": (of_gpu(remap_banks_none=2), of_gpu(remap_banks_low=2), "2 banks without"),
    "TD-MEM-015": (of_gpu(remap_banks_low=1), of_gpu(remap_banks_none=1), "1 banks with few"),
    "TD-MEM-016": (of_gpu(unrepairable_memory=1), of_gpu(), "the flag is set"),
    "TD-MEM-017": (of_gpu(repair_pending=1), of_gpu(), "pending"),
    "TD-MEM-018": (pages(60, 3), pages(60, 2), "63 retired pages, 3 of them"),
    "TD-MEM-019": (pages(9, 2), pages(9, 1), "11 retired pages, 2 of them for double-bit errors (gcm's limit 10"),
    "TD-MEM-020": (pages(0, 0, retired_pending=1), pages(0, 0), "pending"),
    "TD-GPU-020": (throttled(0x8), throttled(0x40), "0x8"),
    "TD-GPU-021": (throttled(0x40), throttled(0x20), "0x40"),
    "TD-GPU-022": (throttled(0x80), throttled(0x100), "0x80"),
    "TD-GPU-024": (throttled(0x4 | 0x1), throttled(0x1), "0x5"),
    "TD-CLK-003": (throttled(0x2), throttled(0x4), "app clocks (0x2)"),
    "TD-CLK-004": (throttled(0x200), throttled(0x1), "0x200 of 0x200"),
    "TD-CLK-005": (of_gpu(thermal_percent_1m=0.2), of_gpu(), "0.2 % of the last minute (limit 0 %)"),
    "TD-CLK-006": (of_gpu(power_capped_percent_1m=51), of_gpu(power_capped_percent_1m=50), "51 % of the last minute"),
    "TD-CLK-007": (of_gpu(brake_percent_1m=1.0), of_gpu(), "1.0 % of the last minute"),
    "TD-GPU-030": (
        of_gpu(temperature_c=91, temperature_max_c=CELL_UNSUPPORTED, temperature_slowdown_c=CELL_UNSUPPORTED),
        of_gpu(temperature_c=90, temperature_max_c=CELL_UNSUPPORTED, temperature_slowdown_c=CELL_UNSUPPORTED),
        "91 °C (limit 90 °C)",
    ),
    "TD-CLK-008": (of_gpu(temperature_c=87), of_gpu(temperature_c=86), "87 °C (the part's limit 87 °C)"),
    "TD-CLK-009": (of_gpu(temperature_c=84), of_gpu(temperature_c=83), "84 °C, slowdown at 89 °C"),
    "TD-CLK-010": (of_gpu(memory_temperature_c=95), of_gpu(memory_temperature_c=94), "limit 95 °C"),
    "TD-CLK-011": (of_gpu(temperature_margin_c=5), of_gpu(temperature_margin_c=6), "5 °C left"),
    "TD-CLK-012": (
        sample(gpu(0, name=GB200, fabric_clique=1, nvlink_speed_mbytes_per_s=53125, power_w=1501)),
        sample(gpu(0, name=GB200, fabric_clique=1, nvlink_speed_mbytes_per_s=53125, power_w=1500)),
        "1501 W",
    ),
    "TD-CLK-013": (of_gpu(application_sm_clock_mhz=1949), of_gpu(application_sm_clock_mhz=1950), "1949 MHz of at most"),
    "TD-PCI-001": (of_gpu(pcie_width=8), of_gpu(pcie_width=16), "x8 of x16"),
    "TD-PCI-006": (of_gpu(pcie_fatal_errors=2), of_gpu(pcie_bad_tlps=900), "2 fatal and 0 non-fatal"),
    "TD-PCI-010": (of_host(iommu="translating"), of_host(iommu="passthrough"), "root complex"),
    "TD-NVL-001": (linked(), linked(nvlinks_active=18), "17 of 18 links"),
    "TD-NVL-002": (
        of_gpu(name=H100, nvlink_speed_mbytes_per_s=25781),
        of_gpu(name=H100, nvlink_speed_mbytes_per_s=26562),
        "18 of 26562 MB/s",
    ),
    "TD-NVL-008": (of_gpu(fabric_state="in progress"), of_gpu(fabric_state=CELL_UNSUPPORTED), "in progress, status 0"),
    "TD-NVL-009": (of_gpu(fabric_health_mask=0x552 | 0x1), of_gpu(fabric_health_mask=0x1AA), "too few NVLinks"),
    "TD-NVL-010": (
        sample(gpu(0, name=GB200, nvlink_speed_mbytes_per_s=53125)),
        sample(gpu(0, name=GB200, nvlink_speed_mbytes_per_s=53125, fabric_clique=1)),
        "clique 0",
    ),
    "TD-NVL-011": (of_host(nvswitches=4), of_host(nvswitches=4, fabric_manager=1), "4 NVSwitches"),
    "TD-NET-001": (
        ports(port(state="init")),
        ports(port(state="down", physical_state="disabled")),
        "mlx5_1/1 is init (linkup)",
    ),
    "TD-NET-002": (
        eight(H100, *(port(i) for i in range(7))),
        eight(H100, *(port(i) for i in range(8))),
        "7 active ports of 400 Gbit/s or more (gpud expects 8)",
    ),
    "TD-NET-003": (ports(port(0), port(1, rate=200)), ports(port(0), port(1)), "mlx5_1/1 200 Gbit/s, where others"),
    "TD-NET-007": (
        ports(port(state="down", physical_state="polling")),
        ports(port(state="down", physical_state="disabled")),
        "mlx5_1/1 is down (polling)",
    ),
    "TD-NET-006": (ports(port(), peermem_loaded=0), of_host(peermem_loaded=0), "not loaded"),
    "TD-HST-001": (of_host(shm_total_bytes=64 * MIB), of_host(shm_total_bytes=GIB), "64 MiB (limit 1024 MiB)"),
    "TD-HST-002": (of_host(shm_used_bytes=30 * GIB), of_host(shm_used_bytes=28 * GIB), "94% full (limit 90 %)"),
    "TD-HST-003": (of_host(memory_used_bytes=62 * GIB), of_host(memory_used_bytes=60 * GIB), "62.0 of 64.0 GiB"),
    "TD-HST-004": (
        ports(port(), memlock_limit_bytes=64 * MIB),
        of_host(memlock_limit_bytes=64 * MIB),
        "64 MiB, with 1 ports",
    ),
    "TD-HST-005": (of_host(files_open=7_300_000), of_host(files_open=7_200_000), "7,300,000 of 9,000,000"),
    "TD-HST-006": (of_host(files_open=8_600_000), of_host(files_open=8_500_000), "(limit 95 %)"),
    "TD-HST-007": (of_host(tasks=730_000), of_host(tasks=720_000), "730,000 of 900,000"),
    "TD-HST-008": (of_host(tasks=860_000), of_host(tasks=850_000), "(limit 95 %)"),
    "TD-HST-010": (of_host(zombies=1000), of_host(zombies=999), "1000 zombies (limit 1000)"),
    "TD-HST-012": (disk(0.91), disk(0.90), "/tmp (caches) is 91% full, 9.0 GiB left"),
    "TD-HST-013": (disk(0.96), disk(0.95), "96% full"),
    "TD-HST-014": (of_host(cpu_governor="powersave"), of_host(cpu_governor="performance"), "powersave"),
    "TD-HST-015": (of_host(clocksource="hpet"), of_host(clocksource="tsc"), "hpet"),
    "TD-HST-016": (of_host(environment_faults="CUDA_PROFILE"), of_host(), "CUDA_PROFILE"),
    "TD-HST-017": (
        of_host(memory_full_pressure_percent=10.0),
        of_host(memory_full_pressure_percent=9.9),
        "10 % of the last 10 s",
    ),
    "TD-HST-018": (of_host(io_full_pressure_percent=40.0), of_host(io_full_pressure_percent=39.0), "40 %"),
    "TD-HST-021": (group(cpu_throttled_percent=25.0), group(cpu_throttled_percent=24.0), "7.0"),
    "TD-HST-022": (
        group(memory_used_bytes=96 * MIB, memory_limit_bytes=100 * MIB),
        group(memory_used_bytes=95 * MIB, memory_limit_bytes=100 * MIB),
        "7.0",
    ),
}  # fmt: skip
"""Check -> a sample that it is about, one just beside it, and words that its finding must hold."""


def ids(of: Sample) -> list[str]:
    return [finding.id for finding in judge(of).findings]


def test_every_check_has_a_row_in_one_of_the_tables_and_every_row_a_check() -> None:
    rows = [*ONE, *AROUND]
    assert len(rows) == len(set(rows))
    assert set(rows) == {check.id for check in CHECKS}


@pytest.mark.parametrize("check", [check for check in CHECKS if check.id in ONE], ids=lambda check: check.id)
def test_a_check_hits_what_it_is_about_and_nothing_beside_it(check: Check) -> None:
    ill, beside, words = ONE[check.id]
    assert ids(ill) == [check.id]
    assert check.id not in ids(beside)
    (finding,) = judge(ill).findings
    assert words in finding.seen
    assert finding.seen.count(check.title) == 1
    assert (finding.severity, finding.why, finding.source) == (check.severity, check.why, check.source)


READS = [(check, cell) for check in CHECKS for cell in check.reads]


@pytest.mark.parametrize(("check", "cell"), READS, ids=[f"{check.id}-{cell}" for check, cell in READS])
def test_what_cannot_be_read_is_no_finding_and_is_counted(check: Check, cell: str) -> None:
    ill = ONE[check.id][0] if check.id in ONE else sample(gpu(0), gpu(1))
    denied = with_cell(check, ill, cell, CELL_DENIED)
    assert check.id not in ids(denied)
    if check.needs_s == 0:
        assert judge(denied).unread >= 1
        assert dict(judge(denied).reasons)[f"{cell.removeprefix('host.')}: perm"] >= 1
        assert judge(with_cell(check, ill, cell, UNREAD)).later >= 1
    assert check.id not in ids(with_cell(check, ill, cell, CELL_UNSUPPORTED))


def with_cell(check: Check, of: Sample, cell: str, value: Any) -> Sample:
    if check.gpu is not None:
        return replace(of, gpus=tuple(replace(one, **{cell: value}) for one in of.gpus))
    if cell.startswith("host."):
        return replace(of, host=replace(of.host, **{cell.removeprefix("host."): value}))
    return replace(of, **{cell: value})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_word_where_a_number_belongs_is_no_finding(check: Check) -> None:
    of = sample(gpu(0), gpu(1))
    for cell in check.reads:
        of = with_cell(check, of, cell, 7 if cell in WORDS else "nonsense")
    assert check.id not in ids(of)


WORDS = {
    "host.cpu_governor", "host.clocksource", "host.denied_modules", "host.environment_faults", "host.visible_devices",
    "host.iommu", "name", "compute_mode", "fabric_state",
}  # fmt: skip


def alone(check: Check, of: GpuSample) -> GpuSample:
    """The GPU with nothing read but what the check says that it looks at."""
    kept = {"index", "uuid", "bus_id", "vendor", "state", *check.reads, *check.also}
    return GpuSample(**{name: getattr(of, name) for name in kept})


PURE = [check for check in CHECKS if check.gpu is not None and check.on is On.CELLS]


@pytest.mark.parametrize("check", PURE, ids=lambda check: check.id)
def test_a_check_on_cells_looks_at_no_others(check: Check) -> None:
    """Its answer is kept as long as those cells are the same, so that it may go by nothing else."""
    ill = ONE[check.id][0]
    for one in ill.gpus:
        assert (check.id in ids(sample(one))) is (check.id in ids(sample(alone(check, one))))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_tells_why_whose_rule_it_is_and_what_to_do(check: Check) -> None:
    assert check.why.endswith(".")
    assert check.source
    assert (check.gpu is None) is not (check.node is None)
    assert check.severity is Severity.INFO or check.fix is not None
    if check.fix is not None and ("reset" in check.fix.command or "reboot" in check.fix.command):
        assert "drained" in check.fix.needs, "a fix that hurts others' work comes after the drain command"
        assert check.fix.command.startswith("scontrol update nodename=$(hostname -s) state=drain"), check.fix.command
    assert card(check.id).source == check.source
    assert {row.of for row in TIMED} <= {one.id for one in CHECKS}


def test_at_least_sixty_rows_of_the_catalogue_are_here() -> None:
    assert len(CHECKS) >= 75
    assert len({check.id for check in CHECKS}) == len(CHECKS)
