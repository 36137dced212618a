"""Every rule of health is hit by what it is about, and by nothing beside it; the verdict line never promises more."""

from __future__ import annotations

from typing import Any

import pytest
from sample_material import CELL_DENIED, CELL_LOST, CELL_UNSUPPORTED, GIB, MIB, gpu, host, sample

from torchprobes.model import Severity
from torchprobes.samples import Absent, CellState, Sample
from torchprobes.telemetry.checks import CHECKS
from torchprobes.telemetry.health import judge

HUNG = Absent(state=CellState.HUNG, why="power_w has not answered for 2.1 s", age_s=2.1)


def of_gpu(**changes: Any) -> Sample:
    return sample(gpu(0), gpu(1, **changes))


def of_host(**changes: Any) -> Sample:
    return sample(gpu(), host=host(**changes))


def throttled(reasons: int) -> Sample:
    return of_gpu(throttle_reasons=reasons)


TABLE: dict[str, tuple[Sample, Sample, str]] = {
    "TD-GPU-001": (sample(driver_state="modprobe nvidia", hardware=8), sample(driver_state="no GPU"), "modprobe"),
    "TD-GPU-002": (sample(gpu(), hardware=8), sample(gpu(), hardware=1), "1 of 8"),
    "TD-GPU-003": (of_gpu(state="lost", utilization_percent=CELL_LOST), of_gpu(), "GPU 1 00000000:18:00.0"),
    "TD-GPU-004": (of_gpu(state="reset"), of_gpu(state="lost"), "state reset"),
    "TD-GPU-005": (of_gpu(state="hung", utilization_percent=HUNG), of_gpu(state="starting"), "2.1 s"),
    "TD-GPU-006": (of_gpu(recovery_action=2), of_gpu(recovery_action=3), "reboot the node"),
    "TD-GPU-007": (of_gpu(recovery_action=3), of_gpu(recovery_action=1), "drain P2P"),
    "TD-GPU-008": (of_gpu(recovery_action=12), of_gpu(recovery_action=7), "recovery action 12"),
    "TD-GPU-010": (of_gpu(ecc_uncorrected_volatile=1), of_gpu(ecc_uncorrected_volatile=0), "1 uncorrected"),
    "TD-GPU-020": (throttled(0x8), throttled(0x40), "0x8"),
    "TD-GPU-021": (throttled(0x40), throttled(0x20), "0x40"),
    "TD-GPU-022": (throttled(0x80), throttled(0x100), "0x80"),
    "TD-GPU-023": (throttled(0x20 | 0x1), throttled(0x10), "0x21"),
    "TD-GPU-024": (throttled(0x4), throttled(0x2), "0x4"),
    "TD-GPU-030": (of_gpu(temperature_c=91), of_gpu(temperature_c=90), "91 C (limit 90 C)"),
    "TD-GPU-031": (
        of_gpu(utilization_percent=100, power_w=174.9),
        of_gpu(utilization_percent=100, power_w=175.0),
        "100 % busy at 175 of 700 W",
    ),
    "TD-HST-001": (of_host(shm_total_bytes=64 * MIB), of_host(shm_total_bytes=GIB), "64 MiB (limit 1024 MiB)"),
    "TD-HST-002": (of_host(shm_used_bytes=30 * GIB), of_host(shm_used_bytes=28 * GIB), "94% full"),
    "TD-HST-003": (of_host(memory_used_bytes=62 * GIB), of_host(memory_used_bytes=60 * GIB), "62.0 of 64.0 GiB"),
}
"""Check -> a sample that it is about, one just beside it, and words that its finding must hold."""


def ids(of: Sample) -> list[str]:
    return [finding.id for finding in judge(of).findings]


def test_every_check_has_a_row_here_and_every_row_a_check() -> None:
    assert list(TABLE) == [check.id for check in CHECKS]


def test_a_healthy_sample_has_no_finding() -> None:
    assert judge(sample(gpu(0), gpu(1))).findings == ()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_hits_what_it_is_about_and_nothing_beside_it(check: Any) -> None:
    ill, beside, words = TABLE[check.id]
    assert ids(ill) == [check.id]
    assert check.id not in ids(beside)
    (finding,) = judge(ill).findings
    assert words in finding.seen
    assert finding.seen.count(check.title) == 1
    assert (finding.severity, finding.why, finding.fix, finding.source) == (
        check.severity, check.why, check.fix, check.source,
    )  # fmt: skip


@pytest.mark.parametrize("check", [check for check in CHECKS if check.reads], ids=lambda check: check.id)
@pytest.mark.parametrize("cell", [CELL_DENIED, CELL_UNSUPPORTED, "nonsense"])
def test_what_cannot_be_read_is_no_finding_and_is_counted(check: Any, cell: Any) -> None:
    """A word where a number belongs is no finding either."""
    changes: dict[str, Any] = dict.fromkeys(check.reads, cell)
    one = sample(gpu(**changes)) if check.gpu else sample(gpu(), host=host(**changes))
    assert check.id not in ids(one)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_tells_why_whose_rule_it_is_and_what_to_do(check: Any) -> None:
    assert check.why.endswith(".")
    assert check.source
    assert (check.gpu is None) is not (check.node is None)
    assert check.severity is Severity.INFO or check.fix is not None
    if check.severity is Severity.CRITICAL and check.fix.scope.value == "gpu":
        assert "drained" in check.fix.needs, "a fix that hurts others' work comes after the drain command"


def test_the_worst_comes_first() -> None:
    ill = sample(gpu(0, throttle_reasons=0x4 | 0x20, ecc_uncorrected_volatile=2), host=host(shm_total_bytes=64 * MIB))
    ranks = [finding.severity for finding in judge(ill).findings]
    assert ranks == [Severity.CRITICAL, Severity.WARNING, Severity.WARNING, Severity.INFO]


def line(of: Sample) -> str:
    return judge(of).line


def test_the_line_says_on_what_and_how_much() -> None:
    per_gpu = sum(check.gpu is not None for check in CHECKS)
    per_node = len(CHECKS) - per_gpu
    assert line(sample(gpu(0), gpu(1), gpu(2))) == f"no fault found on GPUs 0-2 · {3 * per_gpu + per_node} checked"
    assert line(sample(gpu())) == f"no fault found on GPU 0 · {per_gpu + per_node} checked"
    assert line(sample(driver_state="no NVIDIA GPU on this machine")) == (
        f"no fault found on the host; no NVIDIA GPU on this machine · {per_node} checked"
    )


def test_the_line_counts_what_could_not_be_read_and_why() -> None:
    denied = line(sample(gpu(throttle_reasons=CELL_DENIED)))
    assert denied.endswith(" · 5 unreadable (throttle_reasons: perm)")
    whole = line(sample(gpu()))
    assert int(whole.split(" · ")[1].split()[0]) == int(denied.split(" · ")[1].split()[0]) + 5
    assert "unreadable" not in line(sample(gpu(ecc_uncorrected_volatile=CELL_UNSUPPORTED)))


def test_the_line_says_the_worst_fault_and_how_many_more() -> None:
    ill = line(sample(gpu(0, state="lost", utilization_percent=CELL_LOST), gpu(1, temperature_c=95)))
    assert ill.startswith("GPU 0 00000000:17:00.0: the GPU is lost: the GPU has fallen off the bus · 1 more · ")
    assert line(throttled(0x4)).startswith("no fault found"), "information alone is no fault"


@pytest.mark.parametrize("of", [row[0] for row in TABLE.values()] + [sample(gpu()), sample()])
def test_no_line_says_that_a_gpu_is_safe(of: Sample) -> None:
    said = line(of).lower()
    assert "checked" in said
    assert not any(word in said for word in ("safe", "healthy", "all good", "all is well"))
