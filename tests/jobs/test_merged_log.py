"""The logs of all ranks as one, by time, and how exactly each line's time is known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched_job import until

from torchprobes import rundir
from torchprobes.jobs.merged_log import BEHIND_BYTES, PRINTED, UNKNOWN, LogPlace, MergedLog, of_run, places
from torchprobes.jobs.node import node_folder
from torchprobes.jobs.watch.marks import Mark, MarkWriter, path_of

NOW = time.time_ns()


class Logs:
    """Some logs of ranks, with marks that a test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places: list[LogPlace] = []
        self._sizes: dict[int, int] = {}

    def add(self, rank: int, stream: str = "out") -> LogPlace:
        path = self.folder / f"r{rank}.{stream}"
        path.touch()
        marks = path_of(self.folder, 0, rank, stream)
        place = LogPlace(rank, 0, stream, str(path), str(marks))
        self.places.append(place)
        return place

    def write(self, place: LogPlace, text: str, t_ns: int = 0) -> None:
        """Append; with a time, as a watcher that saw it come then marks it."""
        with open(place.path, "ab") as file:
            file.write(text.encode())
            size = file.tell()
        if t_ns:
            writer = MarkWriter(Path(place.marks))
            writer.add(Mark(t_ns, size, 100))
            writer.close()


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


@pytest.fixture
def opened(logs: Logs) -> Iterator[list[MergedLog]]:
    """Merged logs that are closed after the test."""
    found: list[MergedLog] = []
    yield found
    for merged in found:
        merged.close()


def merge(logs: Logs, opened: list[MergedLog], kept: int = 1000) -> MergedLog:
    merged = MergedLog(lambda: logs.places, kept)
    opened.append(merged)
    assert merged.settled.wait(30)
    return merged


def texts(merged: MergedLog, ranks: frozenset[int] | None = None) -> list[str]:
    return [line.text for line in merged.page(0, 10_000, ranks).lines]


def test_lines_stand_by_their_time_and_say_how_it_is_known(logs: Logs, opened: list[MergedLog]) -> None:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(NOW / 1e9))
    a, b, c = (logs.add(rank) for rank in range(3))
    logs.write(a, "second\n", NOW - 2 * 10**9)
    logs.write(a, "fourth\n", NOW + 2 * 10**9)
    logs.write(b, "first\n", NOW - 3 * 10**9)
    logs.write(b, f"{stamp},500 third\n", NOW + 10**9)
    logs.write(c, "nobody knows\n")
    merged = merge(logs, opened)
    lines = merged.page(0, 100).lines
    assert [line.text.split(" ")[-1] for line in lines] == ["knows", "first", "second", "third", "fourth"]
    assert [line.precision for line in lines] == [UNKNOWN, "±0.1 s", "±0.1 s", PRINTED, "±0.1 s"]
    assert [line.rank for line in lines] == [2, 1, 0, 1, 0]
    assert lines[0].t_ns == 0


def test_lines_of_one_log_keep_their_order_and_a_traceback_stays_together(logs: Logs, opened: list[MergedLog]) -> None:
    a, b = logs.add(0, "err"), logs.add(1, "err")
    logs.write(a, "Traceback\n  File a\n    call\nValueError: x\n", NOW)
    logs.write(b, "Traceback\n  File b\n    call\nValueError: y\n", NOW)
    assert [line.rank for line in merge(logs, opened).page(0, 100).lines] == [0] * 4 + [1] * 4


def test_what_comes_later_is_added_and_only_one_ranks_lines_can_be_had(logs: Logs, opened: list[MergedLog]) -> None:
    a, b = logs.add(0), logs.add(1)
    logs.write(a, "a1\n", NOW)
    merged = merge(logs, opened)
    assert texts(merged) == ["a1"]
    revision = merged.revision
    logs.write(b, "b1\nb2", NOW + 10)
    until(lambda: merged.count() == 2)
    assert merged.revision > revision
    logs.write(b, "...\n", NOW + 20)
    until(lambda: merged.count() == 3)
    assert texts(merged, frozenset({1})) == ["b1", "b2..."]
    assert texts(merged, frozenset({7})) == []
    page = merged.page(-1, 5, frozenset({1}))
    assert (page.first, page.total, [line.text for line in page.lines]) == (1, 2, ["b2..."])
    assert merged.page(99, 5).lines == ()


def test_a_line_that_was_held_back_goes_where_its_time_says(logs: Logs, opened: list[MergedLog]) -> None:
    a, b = logs.add(0), logs.add(1)
    logs.write(a, "late\n", NOW + 10**9)
    merged = merge(logs, opened)
    logs.write(b, "early\n", NOW)
    until(lambda: merged.count() == 2)
    assert texts(merged) == ["early", "late"]


def test_the_newest_lines_are_kept_and_that_there_are_more_is_said(logs: Logs, opened: list[MergedLog]) -> None:
    a = logs.add(0)
    logs.write(a, "".join(f"{number}\n" for number in range(50)), NOW)
    merged = merge(logs, opened, kept=10)
    assert texts(merged) == [str(number) for number in range(40, 50)]
    assert merged.skipped


def test_of_a_huge_log_only_the_end_is_read(logs: Logs, opened: list[MergedLog]) -> None:
    a = logs.add(0)
    logs.write(a, "filling line\n" * (BEHIND_BYTES // 10) + "last\n", NOW)
    merged = merge(logs, opened)
    assert texts(merged)[-2:] == ["filling line", "last"]
    assert set(texts(merged)) == {"filling line", "last"}, "no line is cut at its beginning"
    assert merged.skipped


def test_hostile_lines_are_bounded_and_hide_nothing(logs: Logs, opened: list[MergedLog]) -> None:
    a = logs.add(0)
    with open(a.path, "wb") as file:
        file.write(
            b"\xff\x00\x1b[31m\n" + b"x" * 100_000 + b"\n\n   \n 10%\r 20%\r 100%\n1999-01-01 00:00:00 user\nend\n"
        )
    lines = merge(logs, opened).page(0, 100).lines
    assert [len(line.text) for line in lines][1] == 2000
    assert [line.text for line in lines][2:] == [" 100%", "1999-01-01 00:00:00 user", "end"]
    assert {line.precision for line in lines} == {UNKNOWN}, "a date of the user's is no stamp of a line of now"


def test_a_log_that_is_truncated_or_vanishes_breaks_nothing(logs: Logs, opened: list[MergedLog]) -> None:
    a, b = logs.add(0), logs.add(1)
    logs.write(a, "one\ntwo\n", NOW)
    logs.places.append(LogPlace(2, 0, "out", "/nowhere/log", "/nowhere/marks"))
    merged = merge(logs, opened)
    assert merged.count() == 2
    with open(a.path, "wb") as file:
        file.write(b"new\n")
    Path(b.path).unlink()
    until(lambda: "new" in texts(merged))
    assert sorted(texts(merged)) == ["new", "one", "two"]


def test_a_run_says_where_its_logs_are(tmp_path: Path, opened: list[MergedLog]) -> None:
    run = rundir.create(tmp_path / "runs", "job")
    node = node_folder(run)
    node.path.mkdir(parents=True)
    log = tmp_path / "stderr.log"
    log.write_text("hello\n")
    records = [
        {"ev": "start"},
        {"ev": "rank", "rank": 3, "attempt": 1, "stdout": str(log), "stderr": str(log)},
        {"ev": "rank", "rank": "x", "attempt": 1},
        {"ev": "rank", "rank": 4, "attempt": 0, "stdout": "", "stderr": "relative"},
    ]
    node.watch.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"ev": "ra')
    (place,) = places(run)
    assert place == LogPlace(3, 1, "out", str(log), str(node.marks / "a1.r3.out.marks"))
    merged = of_run(run)
    opened.append(merged)
    until(lambda: texts(merged) == ["hello"])


def test_a_job_of_hundreds_of_ranks_is_merged(logs: Logs, opened: list[MergedLog]) -> None:
    for rank in range(300):
        logs.write(logs.add(rank), f"rank {rank}\n", NOW + rank)
    merged = merge(logs, opened)
    assert texts(merged) == [f"rank {rank}" for rank in range(300)]
