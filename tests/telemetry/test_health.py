"""The verdict: worst first, on what, how much was checked, and why the rest could not be; never a promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sample_material import CELL_DENIED, CELL_LOST, CELL_UNSUPPORTED, MIB, gpu, host, sample, xid

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.model import Scope, Severity
from torchprobes.samples import ProcessSample, Sample
from torchprobes.telemetry.health import Health, Judge, judge
from torchprobes.telemetry.rules import CHECKS, Check, Look, On

LOG_DENIED = Absent(state=CellState.PERMISSION, why="needs CAP_SYSLOG", code=1)


def line(of: Sample) -> str:
    return judge(of).line


def told(health: Health, check: str) -> str:
    (finding,) = (finding for finding in health.findings if finding.id == check)
    return finding.seen


def test_a_healthy_sample_has_no_finding() -> None:
    health = judge(sample(gpu(0), gpu(1)))
    assert health.findings == ()
    assert (health.unread, health.later, health.reasons, health.worst) == (0, 0, (), {})
    assert health.checked > 75


def test_the_worst_comes_first() -> None:
    ill = sample(gpu(0, throttle_reasons=0x4 | 0x8, ecc_uncorrected_volatile=2), host=host(shm_total_bytes=64 * MIB))
    ranks = [finding.severity for finding in judge(ill).findings]
    assert ranks == [Severity.CRITICAL, Severity.WARNING, Severity.WARNING, Severity.INFO]


def test_a_finding_names_its_gpu_and_each_gpu_has_its_worst() -> None:
    health = judge(sample(gpu(0, throttle_reasons=0x4 | 0x8), gpu(1, throttle_reasons=4), host=host(zombies=2000)))
    assert sorted(health.subjects) == ["", "GPU-0", "GPU-0", "GPU-1"]
    assert [f.seen.startswith("GPU ") for f in health.findings] == [bool(uuid) for uuid in health.subjects]
    assert health.worst == {"GPU-0": Severity.WARNING, "GPU-1": Severity.INFO}


# --- the line ------------------------------------------------------------------------------------------------


def test_the_line_says_on_what_and_how_much() -> None:
    health = judge(sample(gpu(0), gpu(1), gpu(2)))
    assert health.line == f"no fault found on GPUs 0–2 · {health.checked} checked"
    assert line(sample(gpu())) == f"no fault found on GPU 0 · {health.checked} checked", "a rule counts once"
    assert line(sample(gpu(0), gpu(1), gpu(4))).startswith("no fault found on GPUs 0–1, 4 · ")
    bare = judge(sample(driver_state="no NVIDIA GPU on this machine"))
    assert bare.line == f"no fault found on the host; no NVIDIA GPU on this machine · {bare.checked} checked"
    assert 20 < bare.checked < health.checked


def test_the_line_counts_what_could_not_be_read_and_names_the_most_frequent_reason() -> None:
    whole, denied = judge(sample(gpu())), judge(sample(gpu(throttle_reasons=CELL_DENIED), kernel_log=LOG_DENIED))
    assert denied.reasons == (("kernel log: needs CAP_SYSLOG", 20), ("throttle_reasons: perm", 6))
    assert denied.checked + denied.unread == whole.checked
    assert denied.line == (
        f"no fault found on GPU 0 · {denied.checked} checked · 26 unreadable (kernel log: needs CAP_SYSLOG)"
    )


def test_what_does_not_apply_is_neither_checked_nor_unread() -> None:
    whole, without = judge(sample(gpu())), judge(sample(gpu(ecc_uncorrected_volatile=CELL_UNSUPPORTED)))
    assert (without.checked, without.unread) == (whole.checked - 2, 0)
    other = judge(sample(gpu(0), gpu(1, ecc_uncorrected_volatile=CELL_UNSUPPORTED)))
    assert other.checked == whole.checked, "it was asked of the other GPU"


def test_what_has_not_been_read_yet_is_told_apart() -> None:
    young = judge(sample(gpu(remap_pending=UNREAD)))
    assert (young.unread, young.later) == (0, 1)
    assert young.line.endswith(f"{young.checked} checked · 1 not read yet")


def test_a_part_of_another_vendor_is_not_asked_for_what_only_nvidia_has() -> None:
    bare = dict.fromkeys(("recovery_action", "ecc_mode", "remap_pending", "fabric_state"), UNREAD)
    health = judge(sample(gpu(vendor="amd", **bare)))
    assert (health.unread, health.later) == (0, 0)


def test_a_gpu_that_does_not_answer_is_the_reason_that_is_told() -> None:
    hung = Absent(state=CellState.HUNG, why="power_w has not answered for 12 s", age_s=12.0)
    cells = dict.fromkeys(("utilization_percent", "power_w", "temperature_c", "recovery_action"), hung)
    health = judge(sample(gpu(0), gpu(1, state="hung", **cells)))
    assert health.line.startswith("GPU 1 00000000:18:00.0: the driver hangs on this GPU: power_w has not answered")
    assert health.reasons[0][0] == "GPU 1 is hung"


def test_the_line_says_the_worst_fault_and_how_many_more() -> None:
    ill = line(sample(gpu(0, state="lost", utilization_percent=CELL_LOST), gpu(1, temperature_c=95)))
    assert ill.startswith("GPU 0 00000000:17:00.0: the GPU is lost: the GPU has fallen off the bus · 1 more · ")
    assert line(sample(gpu(throttle_reasons=4))).startswith("no fault found"), "information alone is no fault"


def test_what_was_told_is_a_finding_though_the_log_cannot_be_read() -> None:
    health = judge(sample(gpu(), kernel_log=LOG_DENIED, events=(xid(79, source="nvml"),)))
    assert "XID 79" in told(health, "TD-XID-001")
    assert dict(health.reasons)["kernel log: needs CAP_SYSLOG"] == 20, "its silence on all else means nothing"


# --- fixes ---------------------------------------------------------------------------------------------------


def process(pid: int, uuid: str = "GPU-0", **cells: Any) -> ProcessSample:
    return ProcessSample(pid=pid, gpu_uuid=uuid, **cells)


def test_a_fix_that_hurts_others_says_who_runs_there_and_comes_after_the_drain() -> None:
    ranks = [process(4710 + rank, user="ann", job="12.0") for rank in range(5)]
    ill = sample(gpu(0, state="reset"), gpu(1), processes=(*ranks, process(9, "GPU-1", user="bob")))
    (finding,) = judge(ill).findings
    assert finding.seen.endswith(
        " · runs there: pid 4710 (ann job 12.0), pid 4711 (ann job 12.0), pid 4712 (ann job 12.0) and 2 more"
    )
    assert "bob" not in finding.seen
    assert finding.fix is not None
    drain, _, fix = finding.fix.command.partition("#")
    assert drain.startswith("scontrol update nodename=")
    assert fix.endswith("nvidia-smi -r -i 00000000:17:00.0"), "by bus id: the driver's numbers change"
    assert " · runs" not in judge(ill).line


def test_a_fix_of_the_whole_node_names_everybody_on_it() -> None:
    ill = sample(gpu(0, state="lost"), gpu(1), processes=(process(9, "GPU-1", user=CELL_DENIED),))
    (finding,) = judge(ill).findings
    assert finding.fix is not None
    assert finding.fix.scope is Scope.NODE
    assert finding.seen.endswith(" · runs on this node: pid 9")


def test_a_command_that_only_reads_names_nobody() -> None:
    ill = sample(gpu(0, throttle_reasons=8), processes=(process(9),))
    assert "runs there" not in judge(ill).findings[0].seen


# --- asked cheaply -------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_not_asked_again() -> None:
    """Rules that go by cells alone are asked once for the same cells; those on counters once one has moved."""
    asked: list[str] = []

    def counted(check: Check) -> Check:
        when = check.gpu
        if when is None:
            return check

        def ask(one: Any, look: Look) -> str | None:
            asked.append(check.id)
            return when(one, look)

        return replace(check, gpu=ask)

    one = Judge(checks=[counted(check) for check in CHECKS])
    past = one.new_past()
    counts = []
    for second in range(700):
        now = sample(*(gpu(i, power_w=70.0 + second) for i in range(8)), m_ns=second * 10**9 + 1)
        asked.clear()
        past.add(now)
        one.judge(now, past)
        counts.append(len(asked))
    always = sum(check.on is On.SAMPLE for check in CHECKS if check.gpu)
    fast = sum("power_w" in (*check.reads, *check.also) and check.on is On.CELLS for check in CHECKS)
    assert counts[0] >= 8 * 45
    assert counts[-1] <= 8 * (always + 8 * fast), "the cells of the slow lanes are the same"
    changed = sample(gpu(0, power_w=1.0, remap_pending=1), m_ns=700 * 10**9)
    past.add(changed)
    assert [finding.id for finding in one.judge(changed, past).findings] == ["TD-MEM-010"]
    healed = sample(gpu(0, power_w=1.0), m_ns=701 * 10**9)
    past.add(healed)
    assert one.judge(healed, past).findings == ()


def test_thresholds_are_the_persons_own() -> None:
    warm = sample(gpu(temperature_margin_c=8))
    assert judge(warm).findings == ()
    for name in ("TD-CLK-011", "TD-CLK-011.least"):
        own = Judge({name: 10})
        past = own.new_past()
        past.add(warm)
        assert "8 °C left (limit 10 °C)" in told(own.judge(warm, past), "TD-CLK-011")


@pytest.mark.parametrize(
    "of",
    [
        sample(gpu()),
        sample(),
        sample(gpu(state="lost", utilization_percent=CELL_LOST)),
        sample(gpu(recovery_action=12), kernel_log=LOG_DENIED),
        sample(driver_state="modprobe nvidia", hardware=8),
    ],
)
def test_no_line_says_that_a_gpu_is_safe(of: Sample) -> None:
    said = line(of).lower()
    assert "checked" in said
    assert not any(word in said for word in ("safe", "healthy", "all good", "all is well"))
