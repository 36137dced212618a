"""Counters, conditions and events over a row of samples."""

from __future__ import annotations

from typing import Any

from sample_material import gpu, host, sample

from torchprobes.samples import KernelEvent, ProcessSample, Sample
from torchprobes.telemetry.bus import short_bus_id
from torchprobes.telemetry.past import HOST, Past

S = 1_000_000_000


def at(seconds: float, **changes: Any) -> Sample:
    return sample(gpu(0, **changes), m_ns=int(seconds * S) + S, t_ns=int(seconds * S))


def xid(seconds: float, source: str, code: int = 79, **changes: Any) -> KernelEvent:
    bus = "00000000:17:00.0" if source == "nvml" else "0000:17:00"
    return KernelEvent(t_ns=int(seconds * S), kind="xid", source=source, code=code, bus_id=bus, **changes)


def test_since_boot_since_start_and_the_last_minute_are_three_figures() -> None:
    past = Past()
    for second, value in ((0, 500), (10, 503), (100, 503), (130, 504)):
        past.add(at(second, pcie_replays=value))
    assert past.since_start("GPU-0", "pcie_replays") == 4
    assert past.last_minute("GPU-0", "pcie_replays") == 1
    assert past.since_start("GPU-0", "nvlink_receive_errors") is None, "what was never read is not 0"


def test_there_is_no_figure_of_a_minute_before_half_of_one_was_seen() -> None:
    past = Past()
    past.add(at(0, pcie_replays=1))
    past.add(at(20, pcie_replays=5))
    assert past.last_minute("GPU-0", "pcie_replays") is None
    past.add(at(31, pcie_replays=5))
    assert past.last_minute("GPU-0", "pcie_replays") == 4


def test_a_counter_that_runs_backwards_was_reset() -> None:
    past = Past()
    for second, value in ((0, 90), (1, 100), (2, 3)):
        past.add(at(second, ecc_corrected_volatile=value))
    assert past.since_start("GPU-0", "ecc_corrected_volatile") == 13


def test_oom_kills_of_the_host_are_counted_too() -> None:
    past = Past()
    for second, kills in ((0, 2), (1, 3)):
        past.add(sample(gpu(), host=host(oom_kills=kills), m_ns=second * S + S))
    assert past.since_start(HOST, "oom_kills") == 1


def test_a_condition_is_timed_from_its_onset_and_ends_with_a_break() -> None:
    past = Past({"hot": lambda g, _: g.temperature_c == 90})
    for second, degrees in ((0, 90), (10, 90), (20, 30), (30, 90), (45, 90)):
        past.add(at(second, temperature_c=degrees))
    assert past.held_s("GPU-0", "hot") == 15
    assert past.onsets_per_minute("GPU-0", "hot") == 2
    past.add(at(46, temperature_c=20))
    assert past.held_s("GPU-0", "hot") == 0


def test_one_xid_of_two_sources_is_one_event() -> None:
    past = Past()
    told = (xid(5, "nvml", gpu_uuid="GPU-0"), xid(6, "kmsg", pid=433, process="python3"), xid(60, "kmsg"))
    past.add(sample(gpu(), m_ns=S, events=told))
    first, second = past.events
    assert (first.source, first.pid, first.gpu_uuid) == ("nvml+kmsg", 433, "GPU-0")
    assert second.source == "kmsg"
    assert past.events_of(gpu()) == [first, second]


def test_two_xids_of_one_source_are_two() -> None:
    past = Past()
    past.add(sample(gpu(), m_ns=S, events=(xid(5, "kmsg"), xid(5, "kmsg"))))
    assert len(past.events) == 2


def test_bus_ids_are_one_however_they_are_written() -> None:
    assert {short_bus_id(text) for text in ("00000000:17:00.0", "PCI:0000:17:00", "0000:17:00.0", "17:00")} == {
        "0000:17:00"
    }
    assert short_bus_id("nonsense") == short_bus_id("") == ""


# --- what conditions see, and what was told --------------------------------------------------------------------


def test_a_condition_sees_who_is_on_its_gpu_and_the_node_has_conditions_too() -> None:
    past = Past({"used": lambda _, on: len(on) > 1}, {"waits": lambda s: s.host.uninterruptible == 2})
    two = tuple(ProcessSample(pid=pid, gpu_uuid="GPU-0") for pid in (7, 8))
    for second in (0, 5):
        past.add(at_both(second, two))
    assert (past.held_s("GPU-0", "used"), past.held_s("GPU-1", "used")) == (5, 0)
    assert past.holds("GPU-0", "used")
    assert past.held_s(HOST, "waits") == 5
    assert past.has_timed


def at_both(seconds: int, processes: tuple[ProcessSample, ...]) -> Sample:
    return sample(gpu(0), gpu(1), host=host(uninterruptible=2), m_ns=seconds * S + S, processes=processes)


def test_counters_that_stand_still_are_told_apart() -> None:
    past = Past()
    past.add(at(0, pcie_replays=5, power_w=1.0))
    past.add(at(1, pcie_replays=5, power_w=2.0))
    assert not past.has_moved("GPU-0")
    past.add(at(2, pcie_replays=6))
    assert past.has_moved("GPU-0")
    assert not past.has_moved("GPU-9")


def test_the_groups_of_events_count_faults_and_know_the_last_owner() -> None:
    past = Past()
    lines = (xid(0, "kmsg", 31), xid(1, "kmsg", 31), xid(100, "kmsg", 31), xid(102, "nvml", 31, job="8"))
    past.add(sample(gpu(0), gpu(1), m_ns=S, events=lines))
    (group,) = past.told.of_gpu(gpu(0)).values()
    assert (group.count, group.occurrences, group.last.job, group.last.source) == (3, 2, "8", "kmsg+nvml")
    assert group.since(50 * S) == 1
    assert past.told.of_gpu(gpu(1)) == {}
    kind = past.told.of_kind("xid")
    assert kind is not None
    assert kind.last is group.last
    assert past.told.of_kind("oom") is None


def test_a_line_is_known_by_the_kernels_stamp_however_it_is_read() -> None:
    """A restarted sampler reads the log anew, perhaps from the journal, and its wall clock may have moved."""
    past = Past()
    past.add(sample(gpu(), m_ns=S, events=(xid(5, "kmsg", boot_us=77), xid(6, "kmsg", boot_us=78))))
    past.add(sample(gpu(), m_ns=2 * S, events=(xid(5.2, "journal", boot_us=77), xid(9, "kmsg", boot_us=90))))
    assert [event.boot_us for event in past.events] == [77, 78, 90]


def test_a_storm_of_lines_is_bounded_and_asked_at_no_cost() -> None:
    past = Past()
    for second in range(21):
        storm = tuple(xid(second + i / 1000, "kmsg", 31) for i in range(1000))
        past.add(sample(gpu(), m_ns=second * S + S, events=storm))
    assert (len(past.events), past.events_dropped) == (20_000, 1_000)
    (group,) = past.told.of_gpu(gpu()).values()
    assert (group.count, group.occurrences) == (21_000, 1)
