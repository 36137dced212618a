"""The flight recorder's folder: it keeps to its age and its size, to one writer, and goes on after a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recording_material import BEGAN_NS, HEADER, at, line, moving, seconds, write

from torchprobes.samples import Sample
from torchprobes.telemetry.recording.file import RecordingError
from torchprobes.telemetry.recording.ring import SEGMENT_S, FileStore, Ring
from torchprobes.telemetry.recording.timeline import files_of, open_timeline, segment_ns

MB = 1_000_000


class Clock:
    """Wall seconds, as the test wants them."""

    def __init__(self, second: float = 0.0) -> None:
        self.second = second

    def __call__(self) -> float:
        return BEGAN_NS / 1e9 + self.second


def made(folder: Path, clock: Clock, keep_s: float = 86400, most: int = 8 * MB, told: list[str] | None = None) -> Ring:
    return Ring(folder, HEADER, (told if told is not None else []).append, keep_s, most, clock)


def feed(ring: Ring, clock: Clock, times: range, gpus: int = 2) -> None:
    for second in times:
        clock.second = second
        assert ring.add(line(moving(second, gpus)))


def on_disk(folder: Path) -> int:
    return sum(entry.stat().st_blocks * 512 for entry in os.scandir(folder))


def all_of(folder: Path) -> list[Sample]:
    return [one for _, one in open_timeline(folder).samples(0)]


def test_files_of_ten_minutes_that_are_read_as_one(tmp_path: Path) -> None:
    clock = Clock()
    ring = made(tmp_path / "ring", clock)
    feed(ring, clock, range(0, 3000, 10))
    ring.close()
    assert len(files_of(tmp_path / "ring")) == 5
    assert all_of(tmp_path / "ring") == [moving(second) for second in range(0, 3000, 10)]


def test_what_is_older_than_asked_is_deleted_but_nothing_younger(tmp_path: Path) -> None:
    clock = Clock()
    ring = made(tmp_path, clock, keep_s=3600)
    feed(ring, clock, range(0, 10_000, 20))
    found = [one.t_ns for one in all_of(tmp_path)]
    assert found[-1] == at(9980)
    assert at(9980 - 3600 - SEGMENT_S - 20) <= found[0] <= at(9980 - 3600)


def test_never_more_than_the_size_is_on_the_disk(tmp_path: Path) -> None:
    clock, most = Clock(), 2 * MB
    ring = made(tmp_path, clock, most=most)
    largest = 0
    for second in range(3000):
        clock.second = second
        noise = os.urandom(2000).hex()
        ring.add(line(moving(second)).replace(b'"driver":"570.86.15"', f'"driver":"{noise}"'.encode()))
        largest = max(largest, on_disk(tmp_path))
    assert most // 2 < largest <= most
    assert ring.size <= most
    found = open_timeline(tmp_path)
    assert found.ended_ns == at(2999)
    assert found.began_ns > at(500)  # the oldest went
    assert [one.t_ns for _, one in found.samples(0)] == [at(s) for s in range(3000 - found.count, 3000)]


def test_a_sample_larger_than_the_ring_is_left_out_and_the_size_kept(tmp_path: Path) -> None:
    clock = Clock()
    ring = made(tmp_path, clock, most=1 << 20)
    clock.second = 1
    ring.add(line(moving(1)).replace(b'"driver":"570', b'"driver":"' + os.urandom(600_000).hex().encode()))
    feed(ring, clock, range(2, 5))
    assert on_disk(tmp_path) <= 1 << 20
    assert all_of(tmp_path) == [moving(second) for second in range(2, 5)]


def test_a_second_writer_is_refused_in_one_line_and_the_first_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    ring = made(tmp_path, clock)
    with pytest.raises(RecordingError, match=f"is written by pid {os.getpid()} already: one recorder a folder"):
        made(tmp_path, clock)
    feed(ring, clock, range(1, 4))
    ring.close()
    made(tmp_path, clock).close()
    assert len(all_of(tmp_path)) == 3


def test_a_writer_that_was_killed_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    program = (
        f"import sys, time; sys.path[:0] = {sys.path!r}; from test_ring import *\n"
        f"ring = made(Path({str(tmp_path)!r}), Clock()); feed(ring, Clock(), range(1, 4)); print('ok', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ok\n"
    with pytest.raises(RecordingError, match=f"pid {process.pid} "):
        made(tmp_path, Clock())
    process.kill()
    process.wait()
    clock = Clock(2000)
    ring = made(tmp_path, clock)
    feed(ring, clock, range(2000, 2003))
    assert all_of(tmp_path) == [moving(second) for second in (*range(1, 4), *range(2000, 2003))]


def test_files_of_an_earlier_writer_count_and_are_pruned(tmp_path: Path) -> None:
    write(tmp_path / "20200101T000000Z.jsonl.gz", seconds(5))
    (tmp_path / "notes.txt").write_text("mine")
    clock = Clock()
    ring = made(tmp_path, clock)
    feed(ring, clock, range(1, 3))
    assert [segment_ns(path.name) for path in files_of(tmp_path)] == [BEGAN_NS // 10**9 * 10**9]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_clock_that_is_set_back_overwrites_nothing(tmp_path: Path) -> None:
    clock = Clock()
    ring = made(tmp_path, clock)
    feed(ring, clock, range(0, 1300, 10))
    clock.second = -5
    ring.add(line(moving(7)))
    clock.second = 1
    ring.add(line(moving(8)))
    assert len({path.name for path in files_of(tmp_path)}) == 4
    assert len(all_of(tmp_path)) == 132


# --- a full disk -----------------------------------------------------------------------------------------------


class FullDisk:
    """os.write; while the disk is full it takes `part` bytes and no more."""

    def __init__(self) -> None:
        self.full, self.part = False, 0
        self._write = os.write

    def __call__(self, handle: int, data: bytes) -> int:
        if not self.full:
            return self._write(handle, data)
        if self.part:
            taken, self.part = self.part, 0
            return self._write(handle, data[:taken])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("part", [0, 1, 40])
@pytest.mark.parametrize("kind", ["file", "ring"])
def test_a_full_disk_is_told_once_and_recording_goes_on(
    kind: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, told, clock = FullDisk(), list[str](), Clock()
    monkeypatch.setattr(os, "write", disk)
    store = FileStore(tmp_path / "r", HEADER, told.append) if kind == "file" else made(tmp_path, clock, told=told)
    for second in range(30):
        clock.second = second
        disk.full, disk.part = 10 <= second < 20, part if second == 10 else 0
        assert store.add(line(moving(second)))
    store.close()
    assert len(told) == 2
    assert "No space left on device; it goes on when there is room" in told[0]
    assert told[1].startswith("recording again; 9 samples were not kept")
    timeline = open_timeline(tmp_path / "r" if kind == "file" else tmp_path)
    assert [one for _, one in timeline.samples(0)] == [moving(s) for s in (*range(11), *range(20, 30))]
    assert [note.text for note in timeline.notes] == [told[1].removeprefix("recording again; ")]
