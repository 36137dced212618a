"""What is known in the field as a false alarm raises none, two real H200s have no fault, and disputes are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sample_material import CELL_UNSUPPORTED, IDLE, LOADED, gpu, host, sample

from torchprobes.model import Severity
from torchprobes.samples import Sample
from torchprobes.telemetry.health import judge
from torchprobes.telemetry.owners.processes import STATES
from torchprobes.telemetry.rules import CHECKS, limits, unknown_thresholds
from torchprobes.telemetry.rules.nvlink import COMPLETED
from torchprobes.telemetry.vendors.nvidia.links import FABRIC_STATES
from torchprobes.telemetry.vendors.nvidia.readings import COMPUTE_MODES

A100_PCIE = "NVIDIA A100-PCIE-40GB"
NVLINK_CARD = sample(gpu(0, name=A100_PCIE, nvlinks_active=0), gpu(1, name=A100_PCIE, nvlinks_active=4))


def ids(of: Sample) -> list[str]:
    return [finding.id for finding in judge(of).findings]


def harmless() -> Iterator[tuple[str, Sample]]:
    yield "an idle link trains down", sample(gpu(pcie_generation=1))
    yield "persistence is off right after boot", sample(gpu(persistence_mode=0), host=host(uptime_s=120.0))
    yield "a board in a slot without bridges", sample(*(gpu(i, name=A100_PCIE, nvlinks_active=0) for i in range(2)))
    yield "a board in a slot with one bridge", NVLINK_CARD
    yield "a part without fabric", sample(gpu(fabric_state=CELL_UNSUPPORTED, fabric_status=CELL_UNSUPPORTED))
    yield "idle and nothing else", sample(gpu(throttle_reasons=0x1))
    yield "fewer GPUs than the node has: those of the container are all there", sample(gpu(), hardware=1)
    yield "ECC off where that is the default", sample(gpu(name="NVIDIA GeForce RTX 4090", ecc_mode=0, ecc_pending=0))
    yield "CUDA_VISIBLE_DEVICES by a UUID's beginning", sample(gpu(), host=host(visible_devices="GPU-"))
    yield "single GPU given to a virtual machine, no link", sample(gpu(nvlinks=18, nvlinks_active=0))
    yield "no ports, no peermem", sample(gpu(), host=host(peermem_loaded=0, memlock_limit_bytes=65536))


@pytest.mark.parametrize(("what", "of"), list(harmless()), ids=[what for what, _ in harmless()])
def test_what_is_known_to_be_harmless_raises_no_alarm(what: str, of: Sample) -> None:
    assert ids(of) == []


def test_several_bits_at_once_are_judged_bit_by_bit() -> None:
    """AzNHC compares the whole text, so that idle and power limit together would warn there."""
    assert ids(sample(gpu(throttle_reasons=0x1 | 0x4))) == ["TD-GPU-024"]
    assert sorted(ids(sample(gpu(throttle_reasons=0x8 | 0x40 | 0x4)))) == ["TD-GPU-020", "TD-GPU-021", "TD-GPU-024"]


@pytest.mark.parametrize("cells", [IDLE, LOADED], ids=["idle", "loaded"])
def test_two_real_h200s_have_no_fault(cells: dict[str, Any]) -> None:
    real = sample(gpu(0, **cells), gpu(1, **{**cells, "pcie_replays": 0, "pcie_bad_tlps": 13}), driver="580.159.04",
                  kernel_module="580.159.04")  # fmt: skip
    health = judge(real)
    assert {finding.severity for finding in health.findings} <= {Severity.INFO}
    assert health.line == f"no fault found on GPUs 0–1 · {health.checked} checked"
    assert health.checked > 80


# --- disagreements and settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "names"),
    [
        ("TD-MEM-003", ("AzNHC", "gcm", "DCGM", "gpud")),
        ("TD-MEM-006", ("DCGM", "gpud")),
        ("TD-MEM-010", ("DCGM", "AzNHC", "gpud")),
        ("TD-MEM-019", ("gcm",)),
        ("TD-NVL-003", ("DCGM", "gcm", "imbue")),
        ("TD-CLK-006", ("DCGM", "AzNHC")),
        ("TD-XID-005", ("NVIDIA", "AzNHC", "imbue", "DCGM", "gcm", "gpud")),
    ],
)
def test_where_sources_disagree_the_finding_says_who_says_what(check: str, names: tuple[str, ...]) -> None:
    (row,) = (row for row in CHECKS if row.id == check)
    assert [name for name in names if name not in row.why + row.source] == []


def test_a_threshold_that_names_nothing_is_told() -> None:
    assert unknown_thresholds({"TD-GPU-030": 80, "TD-GPU-031.seconds": 9, "TD-GPU-031": 3, "TD-NOT-001": 1}) == (
        "TD-GPU-031", "TD-NOT-001",
    )  # fmt: skip
    assert limits({"TD-GPU-031.seconds": 9})["TD-GPU-031"]["seconds"] == 9
    assert limits({})["TD-GPU-031"]["seconds"] == 60


def test_the_words_that_rules_look_for_are_those_that_readings_write() -> None:
    assert COMPLETED in FABRIC_STATES.values()
    assert {"prohibited", "exclusive process"} <= set(COMPUTE_MODES.values())
    assert STATES["D"] == "uninterruptible"
