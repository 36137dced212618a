"""Rules on the memory of a GPU: ECC, row remapping, retired pages (reference: telemetry 2b)."""

from __future__ import annotations

import re
from typing import Final

from ...cells import number
from ...model import Severity
from ...samples import GpuSample
from .base import OWN, Check, GpuRule, Look, On, a_minute, at_least, came_since_start, over, raised, text
from .fixes import ECC, FIELD_DIAGNOSTIC, INDEX, RESET, drained

DATA_CENTRE: Final = re.compile(
    r"\b(P100|P40|P4|V100S?|T4|A2|A10G?|A16|A30X?|A40|A100X?|A800|L2|L4|L20|L40S?|G?H\d{2,3}|G?B\d{3})\b"
)
"""NVIDIA's parts for data centres by name; on others ECC is off by default, and nothing is wrong with that."""

COUNTS: Final = (
    "sources disagree: AzNHC fails at 20,000,000 in DRAM and 10,000 in SRAM, gcm minds 50,000,000, DCGM a rate of 10, "
    "gpud never goes by counts"
)


def _largest(*cells: str) -> GpuRule:
    """The largest of the cells is above its limit; each is told with its name."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        most = look.limits["most"]
        found = {cell: number(getattr(gpu, cell)) for cell in cells}
        told = [f"{value:,.0f} {cell.rsplit('_', 1)[1]}" for cell, value in found.items() if value and value > most]
        return f"{', '.join(told)} (limit {most:,.0f})" if told else None

    return when


def _ecc_off(gpu: GpuSample, _: Look) -> str | None:
    off = number(gpu.ecc_mode) == 0 and DATA_CENTRE.search(text(gpu.name))
    return f"ECC is off on {gpu.name}" if off else None


def _ecc_waits(gpu: GpuSample, _: Look) -> str | None:
    now, then = number(gpu.ecc_mode), number(gpu.ecc_pending)
    if now is None or then is None or now == then:
        return None
    return f"ECC is {'on' if now else 'off'} and will be {'on' if then else 'off'} after the next reset or boot"


def _once_in_life(gpu: GpuSample, _: Look) -> str | None:
    ever, now = number(gpu.ecc_uncorrected_aggregate), number(gpu.ecc_uncorrected_volatile)
    return f"{ever:,.0f} in the life of the part, none since the driver was loaded" if ever and not now else None


def _retired(gpu: GpuSample) -> tuple[float, float] | None:
    single, double = number(gpu.retired_single_bit_pages), number(gpu.retired_double_bit_pages)
    return None if single is None or double is None else (single, double)


def _many_retired(gpu: GpuSample, look: Look) -> str | None:
    pages, least = _retired(gpu), look.limits["least"]
    if pages is None or sum(pages) < least:
        return None
    return f"{sum(pages):.0f} retired pages, {pages[1]:.0f} of them for double-bit errors (limit {least:g} of 64)"


def _some_retired(gpu: GpuSample, look: Look) -> str | None:
    pages, limits = _retired(gpu), look.limits
    if pages is None or not limits["most"] < sum(pages) < limits["full"]:
        return None
    return (
        f"{sum(pages):.0f} retired pages, {pages[1]:.0f} of them for double-bit errors "
        f"(gcm's limit {limits['most']:g}; DCGM minds 15 with a double-bit error, AzNHC 62 with one pending)"
    )


CHECKS: Final = (
    Check(
        id="TD-GPU-010",
        title="uncorrected memory errors since the driver was loaded",
        severity=Severity.CRITICAL,
        reads=("ecc_uncorrected_volatile",),
        why="Data was lost in this GPU's memory; the program that touched it was ended or computed on.",
        fix=RESET,
        source="DCGM MonitorMemVolatileDbes; gcm; imbue",
        gpu=over("ecc_uncorrected_volatile", "{value:,.0f} uncorrected errors (limit {most:.0f})"),
        limits={"most": 0},
    ),
    Check(
        id="TD-MEM-001",
        title="ECC is off on a data-centre part",
        severity=Severity.WARNING,
        reads=("ecc_mode", "name"),
        why="Memory errors go unseen into results.",
        fix=drained(f"nvidia-smi -e 1 -i {INDEX}, then reset the GPU"),
        source="imbue health_checks.py",
        gpu=_ecc_off,
    ),
    Check(
        id="TD-MEM-002",
        title="a change of the ECC mode waits for a reset",
        severity=Severity.WARNING,
        reads=("ecc_mode", "ecc_pending"),
        why="Somebody switched ECC and the GPU still runs as before: it will differ after the next boot.",
        fix=RESET,
        source="imbue health_checks.py",
        gpu=_ecc_waits,
    ),
    Check(
        id="TD-MEM-003",
        title="very many memory errors in DRAM were corrected",
        severity=Severity.WARNING,
        reads=("dram_corrected_volatile", "dram_corrected_aggregate"),
        why=f"The memory wears out; {COUNTS}.",
        fix=ECC,
        source="AzNHC azure_gpu_ecc.nhc",
        gpu=_largest("dram_corrected_volatile", "dram_corrected_aggregate"),
        limits={"most": 20_000_000},
    ),
    Check(
        id="TD-MEM-004",
        title="many memory errors in SRAM were corrected",
        severity=Severity.WARNING,
        reads=("sram_corrected_volatile", "sram_corrected_aggregate"),
        why=f"Caches and registers err more than they should; {COUNTS}.",
        fix=ECC,
        source="AzNHC azure_gpu_ecc.nhc",
        gpu=_largest("sram_corrected_volatile", "sram_corrected_aggregate"),
        limits={"most": 10_000},
    ),
    Check(
        id="TD-MEM-005",
        title="corrected memory errors beyond gcm's limit",
        severity=Severity.WARNING,
        reads=("ecc_corrected_volatile",),
        why=f"The count since the driver was loaded is very high; {COUNTS}.",
        fix=ECC,
        source="gcm check_nvidia_smi",
        gpu=over("ecc_corrected_volatile", "{value:,.0f} corrected errors (gcm's limit {most:,.0f})"),
        limits={"most": 50_000_000},
    ),
    Check(
        id="TD-MEM-006",
        title="corrected memory errors are coming now",
        severity=Severity.INFO,
        reads=("ecc_corrected_volatile",),
        why=f"A row wears out and will be remapped; {COUNTS}.",
        fix=ECC,
        source="DCGM's limit on single-bit errors; gpud does not go by counts",
        gpu=a_minute(("ecc_corrected_volatile",), "DCGM's limit"),
        limits={"per_minute": 10},
        needs_s=30.0,
        on=On.COUNTERS,
    ),
    Check(
        id="TD-MEM-007",
        title="uncorrected errors in SRAM",
        severity=Severity.CRITICAL,
        reads=("sram_uncorrected_volatile", "sram_uncorrected_aggregate"),
        why="Caches and registers cannot be remapped: this stays with the part, and counts towards its return.",
        fix=FIELD_DIAGNOSTIC,
        source="AzNHC azure_gpu_ecc.nhc (NHC2019), over the part's life too; others go by the driver's threshold flag",
        gpu=_largest("sram_uncorrected_volatile", "sram_uncorrected_aggregate"),
        limits={"most": 0},
    ),
    Check(
        id="TD-MEM-008",
        title="uncorrected memory errors in the past of this part",
        severity=Severity.INFO,
        reads=("ecc_uncorrected_aggregate", "ecc_uncorrected_volatile"),
        why="They were dealt with by a reset or a reboot; a part that has them often is to be watched.",
        fix=ECC,
        source=OWN,
        gpu=_once_in_life,
    ),
    Check(
        id="TD-MEM-009",
        title="SRAM errors passed the driver's threshold",
        severity=Severity.WARNING,
        reads=("sram_threshold_exceeded",),
        why="NVIDIA sets this flag at more than 4 uncorrected errors in parity of one bank, or 2 in SECDED.",
        fix=FIELD_DIAGNOSTIC,
        source="DCGM; NVIDIA a100-gpu-mem-error-mgmt",
        gpu=raised("sram_threshold_exceeded", "the flag bThresholdExceeded is set"),
    ),
    Check(
        id="TD-MEM-010",
        title="a row remap waits for a reset",
        severity=Severity.CRITICAL,
        reads=("remap_pending",),
        why="A bad row is still in use until the GPU is reset. Running programs may go on until then; DCGM's "
        "diagnostic and AzNHC fail, gpud suggests a reboot.",
        fix=RESET,
        source="DCGM diag; AzNHC; gpud remapped-rows; gcm",
        gpu=raised("remap_pending", "pending"),
    ),
    Check(
        id="TD-MEM-011",
        title="a row could not be remapped",
        severity=Severity.CRITICAL,
        reads=("remap_failure",),
        why="No spare row is left for a bad one: with a failed field diagnostic this is NVIDIA's criterion for return.",
        fix=FIELD_DIAGNOSTIC,
        source="NVIDIA rma-policy; DCGM; gpud; AzNHC; gcm",
        gpu=raised("remap_failure", "the failure flag is set"),
    ),
    Check(
        id="TD-MEM-012",
        title="very many rows were remapped for uncorrectable errors",
        severity=Severity.WARNING,
        reads=("remapped_uncorrectable_rows",),
        why="The spare rows run out: at 512 in all, or 8 in one bank, the driver raises its failure flag.",
        fix=FIELD_DIAGNOSTIC,
        source="DCGM DcgmGPUHardwareLimits.h, a warning; its diagnostic fails. AzNHC's own test of it never fires "
        "(it reads a fourth column of three)",
        gpu=at_least("remapped_uncorrectable_rows", "{value:.0f} rows (limit {least:g})"),
        limits={"least": 512},
    ),
    Check(
        id="TD-MEM-013",
        title="rows were remapped since torchdoctor began to look",
        severity=Severity.INFO,
        reads=("remapped_uncorrectable_rows", "remapped_correctable_rows"),
        why="The part mends itself; the remap takes effect at the next reset.",
        fix=ECC,
        source=OWN,
        gpu=came_since_start(("remapped_uncorrectable_rows", "remapped_correctable_rows"), "since start"),
        on=On.COUNTERS,
    ),
    Check(
        id="TD-MEM-014",
        title="a bank has no spare row left",
        severity=Severity.WARNING,
        reads=("remap_banks_none",),
        why="The next bad row in it cannot be remapped: plan the part's return.",
        fix=ECC,
        source=f"nvmlDeviceGetRowRemapperHistogram; {OWN}",
        gpu=raised("remap_banks_none", "{value:.0f} banks without a spare row"),
    ),
    Check(
        id="TD-MEM-015",
        title="a bank has few spare rows left",
        severity=Severity.INFO,
        reads=("remap_banks_low",),
        why="The part mends itself still; plan ahead.",
        fix=ECC,
        source=f"nvmlDeviceGetRowRemapperHistogram; {OWN}",
        gpu=raised("remap_banks_low", "{value:.0f} banks with few spare rows"),
    ),
    Check(
        id="TD-MEM-016",
        title="memory that cannot be repaired",
        severity=Severity.CRITICAL,
        reads=("unrepairable_memory",),
        why="The part has tried every repair that it has, that of a whole channel too.",
        fix=drained("RMA"),
        source="DCGM MonitorMemUnrepairableFlag",
        gpu=raised("unrepairable_memory", "the flag is set"),
    ),
    Check(
        id="TD-MEM-017",
        title="a repair of a channel or a TPC waits for a reset",
        severity=Severity.WARNING,
        reads=("repair_pending",),
        why="The part can mend itself and does so when it is reset.",
        fix=RESET,
        source=f"nvmlDeviceGetRepairStatus; {OWN}",
        gpu=raised("repair_pending", "pending"),
    ),
    Check(
        id="TD-MEM-018",
        title="the table of retired pages is full",
        severity=Severity.CRITICAL,
        reads=("retired_single_bit_pages", "retired_double_bit_pages"),
        why="No further bad page can be retired. NVIDIA's table holds 64; AzNHC fails at 62 with one pending.",
        fix=FIELD_DIAGNOSTIC,
        source="DCGM DcgmGPUHardwareLimits.h; AzNHC check_SDBE_ecc",
        gpu=_many_retired,
        limits={"least": 63},
    ),
    Check(
        id="TD-MEM-019",
        title="many pages are retired",
        severity=Severity.WARNING,
        reads=("retired_single_bit_pages", "retired_double_bit_pages"),
        why="A part that retires pages often is to be watched; sources draw the line between 10 and 64.",
        fix=ECC,
        source="gcm",
        gpu=_some_retired,
        limits={"most": 10, "full": 63},
    ),
    Check(
        id="TD-MEM-020",
        title="a page waits for its retirement",
        severity=Severity.CRITICAL,
        reads=("retired_pending",),
        why="A bad page is in use until the GPU is reset; DCGM: 'this GPU can still perform workload'.",
        fix=RESET,
        source="DCGM diag",
        gpu=raised("retired_pending", "pending"),
    ),
)
