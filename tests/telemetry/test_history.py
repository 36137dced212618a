"""Rings: the newest stay, a gap is None and never 0, and after ten minutes the steps tell low, mean and high."""

from __future__ import annotations

import math
import tracemalloc

from sample_material import CELL_LOST, gpu, sample

from torchprobes.telemetry.history import COARSE_S, FULL_S, METRICS, STEP_S, History, Ring, Series, Window


def test_a_ring_keeps_the_newest_in_order() -> None:
    ring = Ring(3)
    assert ring.last(5) == ()
    for value in range(5):
        ring.push(value)
    assert ring.last(5) == (2, 3, 4)
    assert ring.last(2) == (3, 4)
    assert ring.count == 3


def test_a_gap_is_none_and_never_zero() -> None:
    ring = Ring(4)
    for value in (0.0, math.nan, 2.0):
        ring.push(value)
    assert ring.last(4) == (0.0, None, 2.0)


def test_a_step_tells_low_mean_and_high_of_what_was_read() -> None:
    series = Series(rate_hz=2)
    for value in [1, 2, math.nan, 3, 4, 5, 6, 7, 8, 9]:
        series.push(value)
    assert (series.low.last(1), series.mean.last(1), series.high.last(1)) == ((1,), (5,), (9,))
    for _ in range(round(STEP_S * 2)):
        series.push(math.nan)
    assert series.mean.last(2) == (5, None), "a step without a reading is a gap"


def test_both_grains_reach_as_far_as_they_say() -> None:
    series = Series(rate_hz=1)
    for second in range(round(COARSE_S) + 100):
        series.push(second)
    assert len(series.full.last(10_000)) == FULL_S
    assert len(series.mean.last(10_000)) == COARSE_S / STEP_S
    assert series.full.last(1) == (COARSE_S + 99,)


def test_gpus_are_kept_by_uuid_and_a_lost_one_gets_gaps() -> None:
    history = History(rate_hz=2)
    history.append(sample(gpu(index=0, uuid="a", power_w=100.0), gpu(index=1, uuid="b", power_w=200.0)))
    history.append(sample(gpu(index=0, uuid="b", power_w=201.0)))
    history.append(sample(gpu(index=0, uuid="b", power_w=CELL_LOST)))
    first, second = history.series("a", "power_w"), history.series("b", "power_w")
    assert first is not None
    assert second is not None
    assert first.full.last(9) == (100.0, None, None)
    assert second.full.last(9) == (200.0, 201.0, None)
    assert history.series("c", "power_w") is None
    assert history.series("a", "name") is None


def test_every_metric_of_a_gpu_is_kept() -> None:
    history = History(rate_hz=2)
    history.append(sample(gpu(**dict.fromkeys(METRICS, 1.0))))
    for metric in METRICS:
        series = history.series("GPU-0", metric)
        assert series is not None
        assert series.full.last(1) != (None,)


def test_a_console_that_stays_open_does_not_grow() -> None:
    history, one = History(rate_hz=2), sample(gpu())
    for _ in range(100):
        history.append(one)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            history.append(one)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4096


def _filled(count: int, rate_hz: float = 2) -> Series:
    series = Series(rate_hz)
    for number in range(count):
        series.push(float(number))
    return series


def test_a_window_shows_every_sample_where_there_is_a_column_for_each() -> None:
    assert _filled(50).window(10, 40, 2) == Window(*[tuple(map(float, range(30, 50)))] * 3)
    assert _filled(3).window(60, 200, 2).mean == (0.0, 1.0, 2.0)
    assert Series(2).window(60, 10, 2) == Window()


def test_columns_of_several_samples_tell_low_mean_and_high() -> None:
    window = _filled(40).window(20, 10, 2)
    assert window.low == tuple(float(4 * i) for i in range(10))
    assert window.high == tuple(float(4 * i + 3) for i in range(10))
    assert window.mean == tuple(4 * i + 1.5 for i in range(10))


def test_columns_begin_at_the_same_samples_as_time_goes_on() -> None:
    for count in range(41, 60):
        window = _filled(count).window(20, 10, 2)
        assert len(window.mean) <= 10
        assert [low % 4 for low in window.low[1:] if low is not None] == [0] * (len(window.low) - 1)
        assert window.high[-1] == count - 1


def test_a_gap_in_a_column_is_left_out_and_a_column_of_gaps_is_none() -> None:
    series = Series(2)
    for value in (1.0, math.nan, 3.0, 4.0, math.nan, math.nan, 7.0, 8.0):
        series.push(value)
    assert series.window(4, 4, 2) == Window((1, 3, None, 7), (1, 3.5, None, 7.5), (1, 4, None, 8))


def test_an_hour_is_told_by_the_steps() -> None:
    window = _filled(4000).window(3600, 100, 2)
    assert window.low[-1] == 3920
    assert window.high[-1] == 3999
    assert len(window.mean) == 50


def test_the_host_has_a_past_of_its_own() -> None:
    history = History(rate_hz=2)
    history.append(sample(gpu()))
    history.append(sample())
    found = history.window("host", "cpu_percent", 60, 200)
    assert found is not None
    assert found.mean == (1.0, 1.0)
    assert history.window("GPU-0", "power_w", 60, 200) == Window(*[(70.0, None)] * 3)
    assert history.window("GPU-9", "power_w", 60, 10) is None
