"""The beat: who takes which tick, in which order, and that nobody waits for what is late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fake_driver import DEADLINE_S, until

from torchprobes.telemetry.sampling import beat as beats
from torchprobes.telemetry.sampling.beat import Beat, Member


class Band:
    """Members that do what their part says, and everything is noted."""

    def __init__(self, *parts: Callable[[Member], None]) -> None:
        self.beat = Beat()
        self.notes: list[tuple[int, int]] = []
        self.at_once, self.most_at_once = 0, 0
        self.threads: set[int] = set()
        self._lock = threading.Lock()
        self.members: list[Member] = []
        for number, part in enumerate(parts):
            self.add(number, part)

    def add(self, number: int, part: Callable[[Member], None]) -> None:
        self.members.append(self.beat.join(lambda member: self._play(number, member, part)))

    def _play(self, number: int, member: Member, part: Callable[[Member], None]) -> None:
        with self._lock:
            self.threads.add(threading.get_ident())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        part(member)
        with self._lock:
            self.at_once -= 1
            self.notes.append((self.beat.number, number))

    def tick(self, seconds: float = DEADLINE_S) -> bool:
        self.beat.give()
        return self.beat.gather(seconds)


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What a hung member waits for, to the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def quick(_member: Member) -> None:
    """A GPU that answers at once."""


def test_each_takes_each_tick_once_one_after_another() -> None:
    band = Band(quick, quick, quick)
    assert all(band.tick() for _ in range(50))
    assert band.notes == [(tick, number) for tick in range(1, 51) for number in range(3)]
    assert band.most_at_once == 1
    assert len(band.threads) == 1, "as long as nobody is slow"


def test_a_slow_one_is_waited_for_but_does_not_hold_up_the_next_for_long() -> None:
    band = Band(lambda _: time.sleep(4 * beats.TURN_S), quick, quick)
    assert band.tick()
    assert [number for _, number in band.notes] == [1, 2, 0]


def test_one_that_hangs_costs_one_tick_some_time_and_the_next_ones_nothing(stuck: threading.Event) -> None:
    band = Band(quick, lambda _: stuck.wait(), quick)  # type: ignore[arg-type,return-value]
    assert not band.tick(2 * beats.TURN_S)
    assert {number for _, number in band.notes} == {0, 2}
    assert all(band.tick() for _ in range(20)), "it is no longer counted on"
    assert sum(number == 2 for _, number in band.notes) == 21
    assert len(band.threads) == 2, "the one that is stuck, and one for all others"


def test_one_that_comes_back_takes_ticks_again(stuck: threading.Event) -> None:
    band = Band(lambda _: stuck.wait(), quick)  # type: ignore[arg-type,return-value]
    assert not band.tick(2 * beats.TURN_S)
    stuck.set()
    until(lambda: any(number == 0 for _, number in band.notes))
    assert band.tick()
    assert band.notes[-2:] == [(2, 0), (2, 1)]


def test_all_that_are_left_go_at_once_when_there_is_no_time_left(stuck: threading.Event) -> None:
    band = Band(*[lambda _: stuck.wait()] * 4, quick)  # type: ignore[list-item]
    assert not band.tick(0.01)
    until(lambda: any(number == 4 for _, number in band.notes))
    assert band.at_once == 4


def test_there_are_never_more_threads_than_members_however_often_they_are_slow() -> None:
    band = Band(*[lambda _: time.sleep(0.02)] * 4)
    for _ in range(5):
        band.tick(0.01)
        until(lambda: band.at_once == 0)
    assert len(band.threads) <= 4
    assert band.tick()


def test_without_a_thread_to_be_had_a_turn_is_given_later(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of threads of this user or of its control group may be reached by others."""
    band = Band(lambda _: stuck.wait(), quick)  # type: ignore[arg-type,return-value]

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert not band.tick(0.01)
        assert not band.tick(0.01)
    assert band.notes == []
    assert not band.tick(3 * beats.TURN_S)
    assert [number for _, number in band.notes] == [1]


def test_in_a_pause_the_next_one_has_its_turn() -> None:
    paused, other = threading.Event(), threading.Event()

    def waits(member: Member) -> None:
        paused.set()
        member.pause(0.001)
        assert other.wait(DEADLINE_S)

    def goes(_member: Member) -> None:
        assert paused.is_set()
        other.set()

    band = Band(waits, goes)
    assert band.tick()
    assert [number for _, number in band.notes] == [1, 0]


def test_one_that_backs_off_takes_every_so_manyth_tick() -> None:
    band = Band(quick, quick)
    band.members[0].times = 4
    for _ in range(8):
        assert band.tick()
    assert [tick for tick, number in band.notes if number == 0] == [4, 8]


def test_one_that_comes_later_takes_the_present_tick() -> None:
    band = Band()
    assert band.tick()
    band.add(0, quick)
    until(lambda: band.notes == [(1, 0)])
    assert band.tick()
    assert band.notes == [(1, 0), (2, 0)]


def test_a_first_tick_that_hangs_is_gone_round_by_a_nudge(stuck: threading.Event) -> None:
    band = Band()
    band.beat.give()
    band.add(0, lambda _: stuck.wait())  # type: ignore[arg-type,return-value]
    band.add(1, quick)

    def nudged() -> bool:
        band.beat.nudge()
        return bool(band.notes)

    until(nudged)
    assert band.notes == [(1, 1)]
