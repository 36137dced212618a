"""When a job is looked at closely: rules over pulses, at times that the test sets."""

from __future__ import annotations

from torchprobes.jobs.watch.triggers import SECOND, Pulse, Stillness


def at(seconds: float) -> int:
    return int(seconds * SECOND)


def looks(pulse: Pulse, until_s: int, *others: Pulse) -> list[int]:
    """The seconds at which a job is looked at whose ranks do nothing after second 1."""
    stillness = Stillness(at(1))
    return [s for s in range(1, until_s) if stillness.due([pulse, *others], at(s))]


WAITS = Pulse(moved_ns=at(1), log_ns=at(1), told=True, pending=True)


def test_a_standstill_is_looked_at_after_ten_seconds_and_then_again_and_again() -> None:
    assert looks(WAITS, 200) == [11, 16, 31, 61, 121, 181]


def test_nobody_waits_nobody_looks() -> None:
    assert looks(Pulse(moved_ns=at(1), told=True, cpu_share=1.0), 100) == []


def test_a_rank_that_computes_nothing_waits() -> None:
    busy = Pulse(moved_ns=at(1), cpu_share=1.0)
    assert looks(Pulse(moved_ns=at(1), cpu_share=0.0), 15, busy) == [11]
    assert looks(Pulse(moved_ns=at(1), cpu_share=0.2), 15, busy) == []


def test_a_gpu_that_is_busy_and_cold_waits_in_a_collective() -> None:
    cold = Pulse(moved_ns=at(1), cpu_share=1.0, gpu_percent=100.0, gpu_power_share=130 / 700)
    hot = cold._replace(gpu_power_share=0.8)
    assert looks(cold, 15) == [11]
    assert looks(hot, 15) == []


def test_what_was_never_told_anything_counts_from_the_beginning_of_the_watch() -> None:
    assert looks(Pulse(cpu_share=0.0), 15) == [11]


def test_one_rank_that_goes_on_or_writes_a_log_is_no_standstill() -> None:
    stillness = Stillness(at(1))
    for second in range(1, 60):
        other = Pulse(moved_ns=at(1), log_ns=at(second - 1), cpu_share=1.0)
        assert not stillness.due([WAITS, other], at(second))
        assert not stillness.still


def test_a_standstill_that_ends_is_none_and_the_next_one_is_looked_at_anew() -> None:
    stillness = Stillness(at(1))
    assert stillness.due([WAITS], at(11))
    assert stillness.since_ns == at(1)
    assert not stillness.due([WAITS._replace(moved_ns=at(11.5))], at(12))
    assert not stillness.still
    assert stillness.due([WAITS._replace(moved_ns=at(11.5))], at(22))


def test_long_steps_are_given_three_of_the_longest_but_not_for_ever() -> None:
    assert looks(WAITS._replace(longest_step_s=20.0), 70) == [61, 66]
    assert looks(WAITS._replace(longest_step_s=1000.0), 130) == [121, 126]


def test_a_collective_is_looked_at_before_it_times_out_once() -> None:
    """Of a group with a timeout of 60 s after 40 s, even though another rank still writes its log."""
    stillness = Stillness(at(1))
    waits = WAITS._replace(pending_ns=at(1), timeout_s=60.0)
    told = {s: why for s in range(1, 100) if (why := stillness.due([waits._replace(log_ns=at(s))], at(s)))}
    assert list(told) == [41]
    assert "times out after 60 s" in told[41]


def test_a_short_timeout_is_looked_at_when_half_of_it_is_over() -> None:
    assert looks(WAITS._replace(pending_ns=at(1), timeout_s=6.0), 8) == [4]


def test_a_job_without_living_ranks_is_not_looked_at() -> None:
    assert not Stillness(at(1)).due([], at(100))
