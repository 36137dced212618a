"""Rules on durations, counters and what was told: hit by their sequence of samples, and by nothing beside it."""

from __future__ import annotations

from typing import Any

import pytest
from rules_material import AROUND, NOW_S, WITH, S, ago, at, collective, judged, lasting, line, rank, slow_driver, told
from sample_material import CELL_DENIED, gpu

from torchprobes.cells import Absent, CellState
from torchprobes.model import Severity
from torchprobes.samples import KernelEvent
from torchprobes.telemetry.health import Health, Judge, judge
from torchprobes.telemetry.rules import CHECKS, Check, On
from torchprobes.telemetry.rules.xids import XIDS, Action

LOG_DENIED = Absent(state=CellState.PERMISSION, why="needs CAP_SYSLOG", code=1)


def ids(health: Health) -> set[str]:
    return {finding.id for finding in health.findings}


def seen(health: Health, check: str) -> list[str]:
    return [finding.seen for finding in health.findings if finding.id == check]


@pytest.mark.parametrize("check", [check for check in CHECKS if check.id in AROUND], ids=lambda check: check.id)
def test_a_check_hits_what_it_is_about_and_nothing_beside_it(check: Check) -> None:
    ill, beside, words = AROUND[check.id]
    health = judged(ill)
    assert ids(health) == {check.id} | WITH.get(check.id, set())
    assert any(words in text for text in seen(health, check.id)), seen(health, check.id)
    assert check.id not in ids(judged(beside))


@pytest.mark.parametrize("check", [check for check in CHECKS if check.needs_s], ids=lambda check: check.id)
def test_a_single_sample_is_not_asked_for_what_needs_a_past(check: Check) -> None:
    """Neither checked nor unreadable: `gpus --json` takes one look."""
    assert check.id not in ids(judge(AROUND[check.id][0][-1]))
    alone = Judge(checks=[check])
    past = alone.new_past()
    denied: dict[str, Any] = dict.fromkeys(check.reads, CELL_DENIED)
    young = at(0, gpu(0, **denied) if check.gpu else gpu(0))
    past.add(young)
    health = alone.judge(young, past)
    assert (health.checked, health.unread, health.later) == (0, 0, 0)


@pytest.mark.parametrize("check", [check for check in CHECKS if check.on is On.TOLD], ids=lambda check: check.id)
def test_without_the_kernels_log_silence_means_nothing(check: Check) -> None:
    whole = judged([at(0, gpu(0))])
    mute = judged([at(0, gpu(0), kernel_log=LOG_DENIED)])
    assert mute.checked == whole.checked - 20
    assert dict(mute.reasons) == {"kernel log: needs CAP_SYSLOG": 20}
    assert sum(row.on is On.TOLD for row in CHECKS) == 20
    ill = AROUND[check.id][0]
    assert check.id in ids(judged(ill)), "what was told counts however it came"


# --- a slow driver -------------------------------------------------------------------------------------------


def test_a_driver_that_is_asked_less_often_is_slow_at_once() -> None:
    assert ids(judged(slow_driver(0, 140.0, backed_off=True))) == {"TD-DRV-008"}


def test_the_first_reading_of_everything_is_no_slow_driver() -> None:
    """It took 119 ms on a real H100, and `gpus` takes no second one."""
    once = slow_driver(0, 119.0)
    assert ids(judge(once[0])) == set() == ids(judged(once))
    assert ids(judged([*once, *slow_driver(60, 2.0)[1:]])) == set()


def test_a_slow_tick_now_and_then_is_no_slow_driver() -> None:
    assert ids(judged([at(i, gpu(0), cost_ms=30.0 if i % 3 else 2.0) for i in range(60)])) == set()


# --- a collective that waits ---------------------------------------------------------------------------------


def test_the_odd_gpu_of_a_waiting_job_is_named_on_both_sides() -> None:
    health = judged(collective(64, (0, 2, 3), (1,), job="12.0"))
    assert ids(health) == {"TD-GPU-031", "TD-GPU-032"}
    (odd,) = seen(health, "TD-GPU-032")
    assert odd.startswith("GPU 1 00000000:18:00.0: the odd GPU of its job: 0 % busy at 70 W, while GPU 0, 2, 3")
    waits = seen(health, "TD-GPU-031")
    assert len(waits) == 3
    assert all("of the same job GPU 1 does not wait: the odd one" in text for text in waits)
    assert health.line.startswith("GPU 1 "), "where to look first"


def test_two_ranks_of_which_one_sleeps() -> None:
    health = judged(collective(60, (0,), (1,)))
    assert "GPU 1 does not wait: the odd one" in seen(health, "TD-GPU-031")[0]
    assert seen(health, "TD-GPU-032")[0].startswith("GPU 1 ")


def test_another_job_is_not_the_odd_one() -> None:
    samples = collective(60, (0, 1), (2,))
    mine, other = samples[-1].processes[:2], rank(9, 2, user="bob", command="python other.py")
    changed = [at(i, *each.gpus, processes=(*mine, other)) for i, each in enumerate(samples)]
    assert ids(judged(changed)) == {"TD-GPU-031"}


def test_a_break_begins_the_minute_anew() -> None:
    samples = collective(70, (0, 1), ())
    samples[30] = at(30, gpu(0, utilization_percent=40), gpu(1, utilization_percent=40), processes=samples[0].processes)
    assert ids(judged(samples)) == set()
    assert ids(judged([*samples, *collective(95, (0, 1), ())[71:]])) == {"TD-GPU-031"}


def test_waiting_and_without_work_are_told_apart_by_who_is_there() -> None:
    cells = {"utilization_percent": 100, "power_w": 90.0}
    assert ids(judged(lasting(61, **cells))) == {"TD-GPU-033"}
    hidden = {**cells, "memory_used_bytes": 8 << 30}
    assert ids(judged(lasting(61, **hidden))) == {"TD-GPU-031"}, "its process may live in another container"


def test_a_killed_program_leaves_no_fault() -> None:
    """Its memory is gone with it, the driver writes XID 45 at most, and its end is an event."""
    before = collective(5, (0,), ())
    end = KernelEvent(t_ns=int(NOW_S * S), kind="exit", source="sampler", pid=100, gpu_uuid="GPU-0", job="12.0")
    after = [at(6 + i, gpu(0), events=(end, ago(0, 45)) if not i else ()) for i in range(70)]
    assert {f.severity for f in judged([*before, *after]).findings} <= {Severity.INFO}


# --- XIDs ----------------------------------------------------------------------------------------------------


HARDWARE = [code for code, known in XIDS.items() if known.action in (Action.REBOOT, Action.RESET)]


@pytest.mark.parametrize("code", HARDWARE)
def test_a_fault_of_the_hardware_is_critical_and_settles(code: int) -> None:
    new, old = judged(told(ago(60, code))), judged(told(ago(8000, code)))
    assert [f.severity for f in new.findings] == [Severity.CRITICAL]
    assert [(f.id, f.severity) for f in old.findings] == [("TD-XID-010", Severity.INFO)]
    for cell in (2, CELL_DENIED):
        worst = judged(told(ago(8000, code), recovery_action=cell)).worst
        assert worst["GPU-1"] is Severity.CRITICAL, "only the driver itself can say that it is over"


def test_it_settles_while_the_console_stays_open() -> None:
    samples = told(ago(7100, 119), after_s=50)
    assert ids(judged(samples)) == {"TD-XID-002"}
    assert ids(judged(told(ago(7100, 119), after_s=150))) == {"TD-XID-010"}


@pytest.mark.parametrize("code", sorted(XIDS))
def test_every_xid_of_the_catalogue_has_one_row(code: int) -> None:
    assert len(ids(judged(told(ago(60, code))))) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (31, "application · DCGM's memory watch: warning · k8s-device-plugin: ignored"),
        (63, "information · DCGM's always-on health watch: warning · AzNHC: fail: take the node out · imbue"),
        (68, "AzNHC: fail: take the node out · imbue cluster-health: hardware fault · k8s-device-plugin: ignored"),
        (92, "imbue cluster-health: hardware fault · gcm: not critical"),
        (94, "imbue cluster-health: hardware fault · gpud: up to 1000 before any action"),
    ],
)
def test_a_disputed_xid_says_whose_rule_it_is_and_what_the_others_say(code: int, words: str) -> None:
    (finding,) = judged(told(ago(60, code))).findings
    assert words in finding.seen
    assert finding.severity is (Severity.INFO if code == 31 else Severity.WARNING)


def test_one_fault_of_many_lines_is_one_and_the_last_owner_is_named() -> None:
    lines = [ago(600 - i, 31, pid=i, job="7") for i in range(50)]
    (finding,) = judged(told(*lines, ago(5, 31, pid=99, process="python", job="8"))).findings
    assert "XID 31 GPU memory page fault (an illegal address), 2 times, last, 5 s ago, pid 99 python of job 8" in (
        finding.seen
    )


def test_a_gpu_has_its_own_xids_only() -> None:
    assert judged(told(ago(5, 79))).worst == {"GPU-1": Severity.CRITICAL}


def test_a_log_that_is_read_again_tells_nothing_twice() -> None:
    """A sampler that was started anew reads the boot's log from its beginning."""
    fault = ago(400, 79, boot_us=123_456)
    twice = [at(0, gpu(0), gpu(1), events=(fault,)), at(9, gpu(0), gpu(1), events=(fault,))]
    assert ids(judged(twice)) == {"TD-XID-001"}


def test_texts_of_the_log_are_cut() -> None:
    (finding,) = judged(told(line("oom", text="x" * 5000))).findings
    assert len(finding.seen) < 400
