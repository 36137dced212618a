"""A recording played: the same samples, history and past as when it happened, at any place and pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_driver import until
from recording_material import at, encoded, moving, seconds, write, xid

from torchprobes.samples import Sample
from torchprobes.telemetry.health import Health, Judge
from torchprobes.telemetry.past import Past
from torchprobes.telemetry.recording.replay import PACES, Replay

TOLD = {0: (xid(-500, 43),), 100: (xid(100),), 101: (xid(101, 13),), 900: (xid(899, 31),)}


@contextmanager
def playing(path: Path, *, paused: bool = True) -> Iterator[Replay]:
    """A replay; its thread is gone at the end."""
    replay = Replay(path)
    replay.paused = paused
    replay.start()
    try:
        yield replay
    finally:
        replay.stop()
        until(lambda: not any(thread.name == "torchdoctor-replay" for thread in threading.enumerate()))


def shown(replay: Replay, second: float) -> Sample:
    """The sample of a second of the recording, as soon as it is shown and what came before was read."""

    def look() -> Sample | None:
        sample = replay.latest()[1]
        ready = sample is not None and sample.t_ns == at(second) and replay.past.now_ns == sample.m_ns
        return sample if ready and not replay.busy else None

    return until(look)


@pytest.fixture(scope="module")
def said() -> list[Sample]:
    return seconds(1000, TOLD)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, said: list[Sample]) -> Path:
    return write(tmp_path_factory.mktemp("replay") / "r.jsonl.gz", said, chunk=130)


def linear(said: list[Sample], number: int) -> tuple[Past, Health]:
    """What reading on from the beginning comes to."""
    judge = Judge()
    past = judge.new_past()
    for sample in said[: number + 1]:
        past.add(sample)
    return past, judge.judge(said[number], past)


def test_it_begins_with_the_first_sample_and_knows_its_length(recording: Path) -> None:
    with playing(recording) as replay:
        assert shown(replay, 0) == moving(0, events=TOLD[0])
        assert (replay.began_ns, replay.length_s, replay.position_s, replay.state) == (at(0), 999.0, 0.0, "")


def test_a_place_that_was_sought_is_that_of_playing_on(recording: Path, said: list[Sample]) -> None:
    with playing(recording) as replay:
        shown(replay, 0)
        for second in (500, 100, 999, 501, 510, 0, 129, 130):
            replay.seek(second + 0.4)
            sample = shown(replay, second)
            past, health = linear(said, second)
            assert sample.gpus == said[second].gpus
            assert [event.code for event in replay.past.events] == [event.code for event in past.events]
            assert replay.past.last_minute("GPU-0", "pcie_replays") == past.last_minute("GPU-0", "pcie_replays")
            assert replay.judged()[2] == health
            assert replay.position_s == second


def test_the_plot_of_a_place_that_was_sought_is_filled(recording: Path, said: list[Sample]) -> None:
    with playing(recording) as replay:
        shown(replay, 0)
        replay.seek(800)
        shown(replay, 800)
        window = replay.history.window("GPU-0", "utilization_percent", 300, 300)
        assert window is not None
        assert list(window.mean) == [one.gpus[0].utilization_percent for one in said[501:801]]


def test_outside_are_its_beginning_and_its_end(recording: Path) -> None:
    with playing(recording) as replay:
        shown(replay, 0)
        replay.seek(1e9)
        shown(replay, 999)
        replay.seek(-1e9)
        shown(replay, 0)


def test_events_are_stepped_to_and_fro(recording: Path) -> None:
    with playing(recording) as replay:
        shown(replay, 0)
        assert not replay.previous_event()
        for second in (100, 101, 900):
            assert replay.next_event()
            shown(replay, second)
        assert not replay.next_event()
        assert replay.previous_event()
        shown(replay, 101)


def test_it_plays_by_itself_at_its_pace_and_rests_at_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "r", seconds(17))
    with playing(path) as replay:
        shown(replay, 0)
        replay.pace = 1000
        assert replay.pace == PACES[-1] == 16.0
        seen: list[int] = []
        began = time.monotonic()
        replay.paused = False

        def at_the_end() -> bool:
            number, sample = replay.latest()
            if sample is not None and (not seen or seen[-1] != sample.t_ns):
                seen.append(sample.t_ns)
            assert number > 0
            return replay.paused

        until(at_the_end)
        assert time.monotonic() - began >= 0.9
        assert seen[-1] == at(16)
        assert len(seen) >= 10
        replay.paused = False  # once more
        until(lambda: replay.position_s < 10)


def test_a_pause_holds_and_a_slow_pace_is_slow(tmp_path: Path) -> None:
    with playing(write(tmp_path / "r", seconds(5)), paused=False) as replay:
        until(lambda: replay.latest()[1])
        replay.paused = True
        number = replay.latest()[0]
        time.sleep(0.3)
        assert replay.latest()[0] == number
        replay.pace = 0.0
        assert replay.pace == PACES[0]


def test_a_gap_of_hours_is_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path / "r", [moving(0), moving(20_000), moving(20_001)])
    with playing(path, paused=False) as replay:
        began = time.monotonic()
        shown(replay, 20_000)
        assert time.monotonic() - began < 10


def test_many_seeks_at_once_end_where_the_last_went(recording: Path) -> None:
    with playing(recording) as replay:
        shown(replay, 0)
        for second in range(950, 50, -1):
            replay.seek(second)
        shown(replay, 51)


def test_every_method_returns_at_once_while_it_reads(recording: Path) -> None:
    with playing(recording) as replay:
        shown(replay, 0)
        replay.seek(990)
        longest = 0.0
        while replay.busy:
            began = time.thread_time()
            replay.seek(990)
            _ = replay.judged(), replay.position_s, replay.state, replay.history, replay.past
            longest = max(longest, time.thread_time() - began)
            time.sleep(0.001)
            if replay.position_s > 900:
                break
        assert longest < 0.05


@pytest.mark.parametrize("content", [b"", b"nonsense", encoded(seconds(3))[:40]])
def test_what_cannot_be_read_is_said_in_its_state(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(content)
    with playing(tmp_path / "r") as replay:
        until(lambda: replay.state not in ("", "reading the recording"))
        assert str(tmp_path / "r") in replay.state
        assert replay.latest() == (0, None)
        replay.seek(3)
        assert not replay.next_event()
        assert (replay.length_s, replay.position_s, replay.began_ns) == (0.0, 0.0, 0)


def test_a_recording_that_vanishes_while_it_plays_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "r", seconds(1000), chunk=100)
    with playing(path) as replay:
        shown(replay, 0)
        path.unlink()
        replay.seek(900)
        until(lambda: "cannot be read" in replay.state)
        replay.seek(0)
