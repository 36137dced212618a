"""History: by the time of the samples, low, mean and high of a column; a gap is None and never 0; small for ever."""

from __future__ import annotations

import math
import threading
import time
import tracemalloc
from typing import Any

import pytest
from sample_material import CELL_LOST, gpu, host, sample

from torchprobes.samples import GpuSample, NetworkSample, PortSample, Sample
from torchprobes.telemetry import history as history_module
from torchprobes.telemetry.history import HOST_METRICS, METRICS, History, Window
from torchprobes.telemetry.past import HOST

S = 1_000_000_000


def at(second: float, *gpus: GpuSample, **changes: Any) -> Sample:
    return sample(*gpus, m_ns=round(second * S), t_ns=round(second * S), **changes)


def filled(*seconds_and_values: tuple[float, float], rate_hz: float = 1) -> History:
    """A history of the power of one GPU; NaN stands for a cell without a number."""
    history = History(rate_hz)
    for second, value in seconds_and_values:
        history.append(at(second, gpu(power_w=CELL_LOST if math.isnan(value) else value)))
    return history


def counting(count: int, step_s: float = 1.0, rate_hz: float = 1) -> History:
    return filled(*((100 + i * step_s, float(i)) for i in range(count)), rate_hz=rate_hz)


def power(history: History, seconds: float, columns: int, subject: str = "GPU-0") -> Window:
    window = history.window(subject, "power_w", seconds, columns)
    assert window is not None
    assert len(window.low) == len(window.mean) == len(window.high) == columns
    return window


def test_each_column_of_one_sample_has_it_three_times() -> None:
    window = power(counting(50), 10, 10)
    assert window == Window(*[tuple(map(float, range(40, 50)))] * 3)


def test_before_the_first_sample_there_is_nothing() -> None:
    assert power(counting(3), 6, 6).mean == (None, None, None, 0.0, 1.0, 2.0)


def test_columns_of_several_samples_tell_low_mean_and_high() -> None:
    window = power(counting(40), 20, 5)
    assert window.low == (20, 24, 28, 32, 36)
    assert window.high == (23, 27, 31, 35, 39)
    assert window.mean == (21.5, 25.5, 29.5, 33.5, 37.5)


def test_columns_begin_at_the_same_times_as_time_goes_on() -> None:
    for count in range(41, 60):
        window = power(counting(count), 20, 5)
        assert [low % 4 for low in window.low[1:] if low is not None] == [0] * 4
        assert window.high[-1] == count - 1


def test_columns_narrower_than_the_samples_lie_apart_hold_the_last_one() -> None:
    assert power(counting(10), 3, 6).mean == (6, 7, 7, 8, 8, 9)


@pytest.mark.parametrize("columns", [30, 100])
def test_a_sampler_that_backs_off_is_no_gap(columns: int) -> None:
    """It was asked for 2 Hz and gives a sample every 3 s: a minute is still a minute."""
    window = power(counting(30, step_s=3.0, rate_hz=2), 60, columns)
    assert None not in window.mean
    assert window.low[0] == pytest.approx(9, abs=1)


def test_a_time_without_samples_is_a_gap() -> None:
    history = filled(*((i, 1.0) for i in range(100, 120)), *((i, 2.0) for i in range(140, 150)))
    window = power(history, 50, 50)
    assert window.mean.count(None) == 19, "a reading stands for two and a half periods"
    assert window.mean[:20] == (1.0,) * 20
    assert window.mean[-10:] == (2.0,) * 10


def test_a_cell_without_a_number_is_a_gap_and_never_zero() -> None:
    history = filled((1, 0.0), (2, math.nan), (3, 2.0), (4, math.nan), (5, math.nan))
    assert power(history, 5, 5).mean == (0.0, None, 2.0, None, None)
    assert power(filled((0, 1), (1, math.nan), (2, 3), (3, 4)), 4, 2) == Window((1, 3), (1, 3.5), (1, 4))


def test_gpus_are_kept_by_uuid_and_a_lost_one_gets_gaps() -> None:
    history = History(rate_hz=1)
    history.append(at(1, gpu(0, uuid="a", power_w=100.0), gpu(1, uuid="b", power_w=200.0)))
    history.append(at(2, gpu(0, uuid="b", power_w=201.0)))
    history.append(at(3, gpu(0, uuid="b", power_w=CELL_LOST), gpu(1, uuid="late", power_w=7.0)))
    assert power(history, 3, 3, "a").mean == (100.0, None, None)
    assert power(history, 3, 3, "b").mean == (200.0, 201.0, None)
    assert power(history, 3, 3, "late").mean == (None, None, 7.0)
    assert history.window("c", "power_w", 3, 3) is None
    assert history.window("a", "name", 3, 3) is None
    assert History(rate_hz=1).window("a", "power_w", 3, 3) is None


# --- an hour -------------------------------------------------------------------------------------------------


def test_an_hour_is_told_by_the_steps_and_reaches_to_now() -> None:
    window = power(counting(4003, step_s=1.0), 3600, 60)
    assert (window.low[-1], window.high[-1]) == (3980, 4002), "the step that is not over is in it"
    assert (window.low[30], window.high[30]) == (2240, 2299)
    assert window.mean[30] == pytest.approx(2269.5)


def test_full_rate_reaches_back_ten_minutes_and_steps_an_hour() -> None:
    history = counting(5000)
    assert power(history, 600, 600).mean == tuple(map(float, range(4400, 5000)))
    assert None not in power(history, 3600, 240).mean
    assert power(history, 3600, 240).low[0] == pytest.approx(1400, abs=15)


def test_a_gap_of_minutes_is_one_in_the_hour_too() -> None:
    history = filled(*((i, 1.0) for i in range(1000)), *((i, 2.0) for i in range(1600, 2000)))
    window = power(history, 3600, 60)
    assert window.mean.count(None) in range(34, 38), "26 columns before the start, and ten minutes"
    assert {value for value in window.mean if value is not None} == {1.0, 2.0}


def test_a_step_of_gaps_is_a_gap() -> None:
    history = filled(*((i, 1.0 if i < 600 else math.nan) for i in range(1200)))
    window = power(history, 1200, 20)
    assert window.mean == (1.0,) * 10 + (None,) * 10


def test_a_recording_goes_on_after_a_reboot() -> None:
    """The monotonic clock begins anew; the wall clock says how long it took."""
    history = History(rate_hz=1)
    for second in range(1000, 1010):
        history.append(sample(gpu(power_w=1.0), m_ns=second * S, t_ns=second * S))
    for second in range(10):
        history.append(sample(gpu(power_w=2.0), m_ns=second * S, t_ns=(1039 + second) * S))
    window = power(history, 50, 5)
    assert window.mean == (1.0, None, None, 2.0, 2.0)


# --- the host, size, threads ---------------------------------------------------------------------------------


def test_the_host_has_a_past_of_its_own() -> None:
    network = tuple(NetworkSample(name=f"eth{i}", rx_bytes_per_s=3.0, tx_bytes_per_s=CELL_LOST) for i in range(2))
    port = PortSample(device="mlx5_0", port=1, rx_bytes_per_s=5.0, tx_bytes_per_s=6.0)
    history = History(rate_hz=1)
    history.append(at(1, gpu(), host=host(cpu_percent=12.0, network=network, ports=(port,))))
    got = {name: history.window(HOST, name, 1, 1) for name in HOST_METRICS}
    means = {name: window.mean[0] for name, window in got.items() if window is not None}
    assert means["cpu_percent"] == 12.0
    assert (means["network_rx_bytes_per_s"], means["network_tx_bytes_per_s"]) == (6.0, None)
    assert (means["fabric_rx_bytes_per_s"], means["fabric_tx_bytes_per_s"]) == (5.0, 6.0)
    assert set(means) == set(HOST_METRICS)


def test_every_metric_of_a_gpu_is_kept() -> None:
    history = History(rate_hz=2)
    history.append(at(1, gpu(**dict.fromkeys(METRICS, 1.0))))
    assert [history.window("GPU-0", metric, 60, 1) for metric in METRICS] == [Window((1.0,), (1.0,), (1.0,))] * 14


def _held_by_history() -> int:
    """Bytes that its own lines asked for; what threads of other tests do beside it is not counted."""
    own = tracemalloc.Filter(True, history_module.__file__)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([own]).traces)


def test_a_console_that_stays_open_does_not_grow() -> None:
    ticks = iter(range(1, 1_000_000))
    tracemalloc.start()
    try:
        history = History(rate_hz=2)
        for _ in range(100):
            history.append(at(next(ticks) / 2, gpu()))
        before = _held_by_history()
        for _ in range(2000):
            history.append(at(next(ticks) / 2, gpu()))
        grown = _held_by_history() - before
    finally:
        tracemalloc.stop()
    assert before > 10_000, "its rings are seen"
    assert grown < 4096


def test_eight_gpus_fit_into_two_mebibytes() -> None:
    one = at(1, *(gpu(i) for i in range(8)))
    tracemalloc.start()
    try:
        history = History(rate_hz=2)
        history.append(one)
        assert tracemalloc.get_traced_memory()[0] < 2 << 20
    finally:
        tracemalloc.stop()


def test_a_window_can_be_asked_while_samples_come_in() -> None:
    """Every column holds what was appended at its time: low and high of one value, and never one of another time."""
    history, done = History(rate_hz=1), threading.Event()
    faults: list[str] = []
    looks = 0

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            looks += 1
            window = history.window("GPU-0", "power_w", 600, 100)
            read = [] if window is None else [value for value in window.mean if value is not None]
            if read != sorted(read):
                faults.append(str(read))

    thread = threading.Thread(target=look)
    thread.start()
    for second in range(4000):
        while second > 20 * looks and thread.is_alive():
            time.sleep(0)
        history.append(at(second, gpu(power_w=float(second))))
    done.set()
    thread.join()
    assert faults == []
    assert looks >= 4000 / 20
