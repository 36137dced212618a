"""Logs as a watcher follows them: every line counted, signs found, the time of each byte as exact as is said."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from launched_job import until

from torchprobes.distributed import JobIdentity, RankIdentity
from torchprobes.jobs.watch.agent import Agent
from torchprobes.jobs.watch.following import ATTACHED_BYTES, SLICE, Follower, LogTail
from torchprobes.jobs.watch.logs import Logs
from torchprobes.jobs.watch.marks import Mark, MarkReader, MarkWriter, path_of
from torchprobes.jobs.watch.roster import Roster

TRACEBACK = b"""Traceback (most recent call last):
  File "/home/me/train.py", line 7, in <module>
    main()
  File "/home/me/train.py", line 3, in main
    raise ValueError("bad batch")
ValueError: bad batch
"""


def tail(path: Path, *, whole: bool = True, marks: Path | None = None) -> LogTail:
    return LogTail(str(path), 2, marks, whole=whole)


def drain(log: LogTail) -> None:
    while log.look():
        pass


def test_every_line_is_counted_however_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    log = tail(path)
    with path.open("ab", buffering=0) as file:
        for piece in (b"one\ntw", b"o", b"\n", b"x" * (3 * SLICE) + b"\n", b"\n\nrest"):
            file.write(piece)
            drain(log)
    heard = log.take()
    assert heard.lines == 5
    assert heard.bytes == path.stat().st_size
    assert heard.tail[-1] == ""


def test_a_traceback_that_comes_in_pieces_is_one_sign(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    log = tail(path)
    drain(log)
    with path.open("ab", buffering=0) as file:
        for at in range(0, len(TRACEBACK), 7):
            file.write(TRACEBACK[at : at + 7])
            drain(log)
    (sign,) = log.take().signs
    assert (sign.id, sign.rank, sign.precision) == ("exception", 2, "marked")
    assert "train.py:3" in sign.site


def test_a_truncated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old line\n" * 100)
    log = tail(path)
    drain(log)
    assert log.take().lines == 100
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(b"new\n")
    drain(log)
    assert log.take().lines == 1


def test_a_replaced_log_is_read_to_its_end_and_then_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchprobes.compilelog.logfile.RECHECK_S", 0.0)
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    log = tail(path)
    drain(log)
    with path.open("ab") as file:
        file.write(b"2\n")
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"3\n4\n")
    for _ in range(4):
        drain(log)
    assert log.take().lines == 4


def test_of_a_log_from_before_the_end_is_read_and_has_no_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a line of many\n" * (ATTACHED_BYTES // 5) + TRACEBACK)
    log = tail(path, whole=False)
    drain(log)
    heard = log.take()
    assert heard.bytes == ATTACHED_BYTES
    assert [(sign.id, sign.t_ns, sign.precision) for sign in heard.signs] == [("exception", 0, "")]
    with path.open("ab") as file:
        file.write(TRACEBACK)
    drain(log)
    assert [sign.precision for sign in log.take().signs] == ["marked"]


@pytest.mark.parametrize("kind", ["none", "folder", "fifo", "link"])
def test_what_is_no_log_has_a_cause(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "other").write_bytes(b"secret\n")
        path.symlink_to(tmp_path / "other")
    log = tail(path)
    assert not log.look()
    heard = log.take()
    assert heard.cause
    assert (heard.lines, heard.tail) == (0, ())


# --- marks ---


def test_a_byte_has_the_time_of_the_look_that_saw_it(tmp_path: Path) -> None:
    writer, reader = MarkWriter(tmp_path / "marks" / "m"), MarkReader(tmp_path / "marks" / "m")
    reader.refresh()
    assert reader.at(0) is None
    writer.add(Mark(1_000, 10, 0))
    writer.add(Mark(2_000, 20, 100))
    reader.refresh()
    assert reader.at(5) is None, "it was there before anybody looked"
    assert reader.at(10) == (2_000, 0.1)
    assert reader.at(20) is None, "no mark yet"
    writer.add(Mark(3_000, 30, 200))
    reader.refresh()
    assert reader.at(29) == (3_000, 0.2)
    writer.restart()
    writer.add(Mark(9_000, 4, 100))
    reader.refresh()
    assert reader.at(3) == (9_000, 0.1)


def test_marks_are_bounded_and_older_ones_are_known_less_exactly(tmp_path: Path) -> None:
    path = tmp_path / "m"
    writer, reader = MarkWriter(path, most=16), MarkReader(path)
    for number in range(1, 101):
        writer.add(Mark(number * 100_000_000, number, 100))
        reader.refresh()
    assert path.stat().st_size <= 16 * 20
    newest, oldest = reader.at(99), reader.at(0)
    assert newest == (100 * 100_000_000, 0.1)
    assert oldest is not None
    t_ns, within_s = oldest
    assert within_s > 0.2
    assert t_ns - within_s * 1e9 <= 100_000_000 <= t_ns, "the true time lies in the span that is told"


def test_a_tail_marks_what_it_reads(tmp_path: Path) -> None:
    path, marks = tmp_path / "log", path_of(tmp_path, 0, 2, "err")
    path.write_bytes(b"")
    log = tail(path, marks=marks)
    drain(log)
    for text in (b"one\n", b"two\n"):
        with path.open("ab") as file:
            file.write(text)
        drain(log)
    reader = MarkReader(marks)
    reader.refresh()
    first, second = reader.at(0), reader.at(4)
    assert first is not None
    assert second is not None
    assert first[0] < second[0]
    log.close()


# --- the thread ---


def test_a_sign_wakes_whoever_waits_and_nothing_is_heard_twice(tmp_path: Path) -> None:
    path, woken = tmp_path / "log", threading.Event()
    path.write_bytes(b"fine\n")
    follower = Follower(None, woken.set)
    follower.follow((1, 1, "err"), tail(path))
    with path.open("ab") as file:
        file.write(TRACEBACK)
    assert woken.wait(30)
    assert follower.flush(30)
    heard = follower.take().logs[1, 1, "err"]
    assert (heard.lines, [sign.id for sign in heard.signs]) == (7, ["exception"])
    assert follower.flush(30)
    assert follower.take().logs == {}
    follower.stop()


def test_what_is_heard_before_it_is_taken_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "log"
    follower = Follower(None, lambda: None)
    follower.follow((1, 1, "out"), tail(path))
    for number in range(5):
        with path.open("ab") as file:
            file.write(b"line\n" * 10)
        if number == 0:
            until(lambda: follower.flush(1) and follower._box.logs)
        assert follower.flush(30)
    assert follower.take().logs[1, 1, "out"].lines == 50
    follower.stop()


def test_lines_of_a_log_that_all_share_belong_to_who_is_named_in_them(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(b"")
    ranks = tuple(
        RankIdentity(rank=n, pid=100 + n, start_ticks=1, stdout=str(path), stderr=str(path)) for n in range(2)
    )
    job = JobIdentity(key="k", launcher="torchrun", host="h", ranks=ranks)
    follower, roster, agent = Follower(None, lambda: None), Roster(), Agent(None, None)
    logs = Logs(follower, job, tmp_path, whole=True)
    for rank in ranks:
        roster.add(rank)
        logs.follow(rank)
    text = b"".join(b"[rank1]: " + line + b"\n" for line in TRACEBACK.splitlines())
    path.write_bytes(text + b"Sending process 100 closing signal SIGTERM\n")
    until(lambda: follower.flush(1) and follower._box.logs)
    fresh, events, news = logs.hear(roster, agent)
    assert news
    assert events == []
    assert [[sign.id for sign in w.signs] for w in roster.ranks] == [[], ["exception"]]
    assert agent.asked == {100: "SIGTERM"}
    assert len(fresh) == 2
    assert all(w.tracker.log_ns for w in roster.ranks)
    follower.stop()
