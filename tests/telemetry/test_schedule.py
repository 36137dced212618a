"""When readings are asked, over minutes that nobody sleeps: times are given."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

import pytest

from torchprobes.telemetry.readings import ONCE
from torchprobes.telemetry.sampling.schedule import MOST_TIMES, RETRY_S, TICK_MS, BackOff, Schedule
from torchprobes.telemetry.vendors.nvidia.vendor import Nvidia

TICK_S = 0.5


@dataclass(frozen=True)
class Row:
    name: str
    every_s: float
    after_s: float = 0.0
    again_s: float = 0.0


class Played:
    """GPUs whose rows cost what a table says, ticked through without waiting."""

    def __init__(self, rows: list[Row], costs_ms: dict[str, float], seats: int = 1) -> None:
        self.costs_ms = costs_ms
        self.schedules = [Schedule(rows, seat, seats) for seat in range(seats)]
        self.asked: list[Counter[str]] = [Counter() for _ in self.schedules]
        self.times: dict[tuple[int, str], list[float]] = {}
        self.slow_ms: list[float] = []
        """What the slow rows of each tick cost, all GPUs together."""
        self.now = 1000.0

    def run(self, seconds: float, failing: frozenset[str] = frozenset()) -> None:
        until = self.now + seconds
        while self.now < until:
            spent = 0.0
            for seat, schedule in enumerate(self.schedules):
                for row in schedule.tick(self.now):
                    cost = self.costs_ms.get(row.name, 0.01)
                    self.asked[seat][row.name] += 1
                    self.times.setdefault((seat, row.name), []).append(self.now)
                    schedule.done(row, self.now, cost, failed=row.name in failing)
                    spent += cost * (row.every_s > 0)
            self.slow_ms.append(spent)
            self.now += TICK_S


def test_fast_rows_come_on_every_tick_slow_ones_in_their_time_and_static_ones_once() -> None:
    played = Played([Row("fast", 0), Row("five", 5), Row("minute", 60), Row("name", ONCE)], {})
    played.run(600)
    (asked,) = played.asked
    assert asked["fast"] == 1200
    assert 119 <= asked["five"] <= 122
    assert 10 <= asked["minute"] <= 12
    assert asked["name"] == 1


def test_all_is_read_at_the_start_and_a_slow_row_keeps_its_pace_without_drift() -> None:
    played = Played([Row(f"row {n}", 7.3) for n in range(20)], {})
    played.run(0.1)
    assert sum(played.asked[0].values()) == 20
    played.run(730)
    gaps = [b - a for times in played.times.values() for a, b in pairwise(times[1:])]
    assert mean(gaps) == pytest.approx(7.3, rel=0.01)


def test_slow_rows_of_a_node_are_spread_over_ticks_and_gpus() -> None:
    rows = [Row(f"row {n}", 30) for n in range(30)]
    played = Played(rows, {row.name: 1.0 for row in rows}, seats=8)
    played.run(120)
    later = played.slow_ms[60:]
    assert sum(later) > 0
    assert max(later) <= TICK_MS
    assert max(later) < 5 * mean(later), "240 rows in 60 ticks are four a tick; no tick has a heap of them"


def test_no_tick_costs_more_than_it_may_when_some_rows_are_expensive() -> None:
    """Energy takes 3 to 17 ms on an H200: two GPUs never read it in the same tick."""
    rows = [Row("energy", 30), Row("throttle", 5), *(Row(f"row {n}", 10) for n in range(20))]
    played = Played(rows, {"energy": 17.0, "throttle": 1.2}, seats=8)
    played.run(120)
    learnt = played.slow_ms[1:]
    assert max(learnt) <= TICK_MS + 17.0, "one that is over its share, beside the shares of the others"
    assert sum(ms > TICK_MS for ms in learnt) <= 8, "only when a GPU meets its first expensive row"
    assert all(asked["energy"] >= 3 for asked in played.asked), "its turn comes all the same"


def test_rows_that_cost_all_of_a_tick_have_their_turn_one_a_tick() -> None:
    played = Played([Row(f"row {n}", 5) for n in range(6)], {f"row {n}": 30.0 for n in range(6)})
    played.run(60)
    assert max(played.slow_ms) == 30.0
    assert all(played.asked[0][f"row {n}"] >= 10 for n in range(6))


def test_a_static_row_that_failed_for_now_is_asked_again_and_a_dropped_one_is_not() -> None:
    played = Played([Row("name", ONCE), Row("never", 5), Row("fast", 0)], {})
    (schedule,) = played.schedules
    played.run(RETRY_S + 1, failing=frozenset({"name"}))
    assert played.asked[0]["name"] == 2
    schedule.drop(Row("never", 5))
    schedule.drop(Row("fast", 0))
    before = Counter(played.asked[0])
    played.run(RETRY_S + 1)
    assert {n: c - before[n] for n, c in played.asked[0].items()} == {"name": 1, "never": 0, "fast": 0}


def test_when_a_gpu_is_back_its_slow_rows_are_due_but_neither_static_nor_dropped_ones() -> None:
    played = Played([Row("slow", 300), Row("name", ONCE), Row("gone", 300)], {})
    played.run(1)
    (schedule,) = played.schedules
    schedule.drop(Row("gone", 300))
    schedule.all_due()
    played.run(1)
    assert played.asked[0] == {"slow": 2, "name": 1, "gone": 1}


def test_gpus_begin_with_different_rows_after_the_static_ones() -> None:
    rows = [Row("name", ONCE), *(Row(f"row {n}", 30) for n in range(8))]
    order = [[row.name for row in Schedule(rows, seat, 4).tick(0.0)] for seat in range(4)]
    assert {names[0] for names in order} == {"name"}
    assert len({names[1] for names in order}) == 4


def test_a_late_row_is_not_asked_at_the_start_and_no_two_gpus_ask_it_together() -> None:
    """InfoROM's checksum takes 70 ms on an H100: it would be most of a single look."""
    played = Played([Row("fast", 0), Row("checksum", ONCE, after_s=20)], {"checksum": 70.0}, seats=8)
    played.run(19.9)
    assert not any(asked["checksum"] for asked in played.asked)
    played.run(60)
    assert [asked["checksum"] for asked in played.asked] == [1] * 8
    assert max(played.slow_ms) == 70.0


def test_what_needs_two_readings_has_the_second_soon_and_then_keeps_its_pace() -> None:
    played = Played([*(Row(f"row {n}", 30) for n in range(9)), Row("throttle", 15, again_s=5)], {}, seats=8)
    played.run(300)
    for seat in range(8):
        first, second, *rest = played.times[seat, "throttle"]
        assert first == 1000.0
        assert 5 <= second - first <= 10
        assert {b - a for a, b in pairwise([second, *rest])} <= {14.5, 15.0, 15.5}
    seconds = [played.times[seat, "throttle"][1] for seat in range(8)]
    assert len(set(seconds)) >= 6, "they do not come together"


# --- a slow driver ----------------------------------------------------------------------------------------------


def times_after(*costs: float) -> int:
    back_off = BackOff()
    for cost in costs:
        back_off.add(cost)
    return back_off.times


@pytest.mark.parametrize(
    ("costs", "times"),
    [
        ((), 1),
        ((1.0, 2.0, 1.0), 1),
        ((500.0,), 1),  # the first tick opens the library's symbols
        ((1.0, 300.0, 1.0), 1),  # a hiccup
        ((14.0, 14.0, 14.0), 1),  # 2 ms a call
        ((140.0, 140.0), 7),  # 20 ms a call: an hour of ticks costs as much as one of 20 ms would
        ((140.0, 140.0, 140.0), 7),
        ((9000.0, 9000.0, 9000.0), MOST_TIMES),
        ((140.0, 140.0, 140.0, 2.0, 2.0), 1),  # quick again
        ((math.inf, math.inf), MOST_TIMES),
    ],
)
def test_a_slow_driver_is_asked_less_often_until_it_is_quick_again(costs: tuple[float, ...], times: int) -> None:
    assert times_after(*costs) == times


# --- the tables -------------------------------------------------------------------------------------------------

BUDGET = 130
"""Calls a second, eight GPUs at 2 Hz, as a mean over a minute (issue 3; nvitop makes 252)."""

MOST_CALLS = {"SRAM errors": 2, "DRAM errors": 4, "ecc": 4}
"""Rows of several calls are counted for real in `test_sampler_calls`; here each row is one."""


def test_the_tables_stay_below_the_budget_in_every_minute() -> None:
    vendor = Nvidia()
    rows = [Row(row.name, row.every_s, row.after_s, row.again_s) for row in (*vendor.readings, *vendor.processes)]
    assert len({row.name for row in rows}) == len(rows), "a schedule knows its rows by name"
    played = Played(rows, {}, seats=8)
    for _ in range(5):
        before = sum(sum(asked.values()) for asked in played.asked)
        played.run(60)
        calls = sum(sum(asked.values()) for asked in played.asked) - before
        assert calls / 60 <= BUDGET
