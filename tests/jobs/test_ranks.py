"""Rank rows from event files: as they grow, and from files that nobody should believe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from torchprobes.jobs.ranks import MOST_FIGURES, STATES, RankRow, Ranks

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Append one event of a rank to its file."""

    def _write(ev: str, rank: int = 0, attempt: int = 0, pid: int = 100, t_ns: int = 1, **fields: object) -> None:
        event = {"v": 1, "t_ns": t_ns, "m_ns": t_ns, "pid": pid + rank, "rank": rank, "attempt": attempt, "ev": ev}
        with (tmp_path / f"{pid + rank}.r{rank}.a{attempt}.jsonl").open("a") as file:
            file.write(json.dumps(event | fields) + "\n")

    return _write


def only(ranks: Ranks) -> RankRow:
    (row,) = ranks.poll().rows
    return row


def test_a_rank_goes_through_its_states(tmp_path: Path, write: Write) -> None:
    ranks = Ranks(tmp_path, host="node1")
    assert ranks.poll().rows == ()
    steps: list[tuple[str, dict[str, object], str]] = [
        ("hb", {"name": "importing"}, "importing"),
        ("start", {"import_s": 1.5}, "initialising"),
        ("init", {"name": "device", "value": "cuda:0"}, "initialising"),
        ("coll", {"name": "all_reduce 1 KiB", "value": 18.2, "unit": "us"}, "reducing"),
        ("hb", {"name": "train"}, "reducing"),
        ("step", {"name": "train", "value": 0.5, "n": 6}, "stepping"),
        ("mem", {"name": "rss", "value": 4096}, "stepping"),
        ("figure", {"name": "init_s", "value": 0.1, "unit": "s"}, "stepping"),
        ("end", {"ok": True}, "ended"),
    ]
    seen = []
    for moment, (ev, fields, state) in enumerate(steps, start=1):
        write(ev, t_ns=moment * 10**9, **fields)
        row = only(ranks)
        assert row.state == state, ev
        assert row.state in STATES
        seen.append(row)
    last = seen[-1]
    assert (last.host, last.device, last.phase, last.steps) == ("node1", "cuda:0", "train", 6)
    assert (last.collective, last.collective_us, last.memory_bytes) == ("all_reduce 1 KiB", 18.2, 4096)
    assert [(f.name, f.value) for f in last.figures] == [("init_s", 0.1)]
    assert last.over


def test_the_age_counts_from_the_last_event(tmp_path: Path, write: Write) -> None:
    write("hb", t_ns=5 * 10**9)
    (row,) = Ranks(tmp_path).poll(now_ns=8 * 10**9).rows
    assert row.last_event_age_s == 3.0
    (row,) = Ranks(tmp_path).poll(now_ns=1).rows  # another host's clock is ahead
    assert row.last_event_age_s == 0.0


def test_what_failed_or_hung_is_said(tmp_path: Path, write: Write) -> None:
    write("fact", rank=0, name="ddp.failed.r0", value="train")
    write("fact", rank=0, name="ddp.raised.r0", value="builtins.RuntimeError")
    write("fact", rank=0, name="ddp.raised.r0.message", value="Connection closed by peer")
    write("end", rank=0, ok=True)
    write("fact", rank=1, name="ddp.hung.r1", value="reduce")
    write("end", rank=1, ok=True)
    write("end", rank=2, ok=False, error="ValueError: bad batch")
    rows = Ranks(tmp_path).poll().rows
    assert [(r.state, r.why) for r in rows] == [
        ("failed", "train failed: Connection closed by peer"),
        ("failed", "reduce hung"),
        ("failed", "ValueError: bad batch"),
    ]


def test_a_restarted_rank_shows_its_newest_attempt(tmp_path: Path, write: Write) -> None:
    write("end", attempt=0, pid=100, ok=False, error="first")
    write("hb", attempt=1, pid=200, name="importing")
    row = only(Ranks(tmp_path))
    assert (row.attempt, row.pid, row.state) == (1, 200, "importing")


def test_a_rank_whose_process_is_gone_has_failed_only_where_pids_are_ours(tmp_path: Path, write: Write) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write("hb", pid=child.pid)
    write("hb", rank=1, pid=os.getpid() - 1)
    dead, alive = Ranks(tmp_path, local=True).poll().rows
    assert (dead.state, alive.state) == ("failed", "importing")
    assert [r.state for r in Ranks(tmp_path).poll().rows] == ["importing", "importing"]


def test_the_revision_grows_with_what_is_new_and_only_then(tmp_path: Path, write: Write) -> None:
    ranks = Ranks(tmp_path)
    assert ranks.poll().revision == ranks.poll().revision == 0
    write("hb")
    assert [ranks.poll().revision, ranks.poll().revision] == [1, 1]
    write("hb")
    assert ranks.poll().revision == 2


def test_a_line_in_two_parts_is_read_once_whole(tmp_path: Path) -> None:
    path, line = tmp_path / "7.r0.a0.jsonl", b'{"ev":"step","rank":0,"pid":7,"n":4}\n'
    ranks = Ranks(tmp_path)
    path.write_bytes(line[:12])
    assert ranks.poll().rows == ()
    path.write_bytes(line)
    assert only(ranks).steps == 4
    assert ranks.poll().broken_lines == 0


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\xff\xfe",
        b"[" * 100_000,
        b'{"ev": 3}',
        b'{"ev": "coll", "rank": "two"}',
        b"null",
        b"{",
    ],
    ids=["bytes", "nesting", "ev", "rank", "null", "half"],
)
def test_what_is_no_event_is_counted_and_passed_over(tmp_path: Path, write: Write, line: bytes) -> None:
    (tmp_path / "9.r0.a0.jsonl").write_bytes(line + b"\n")
    write("hb", rank=1)
    table = Ranks(tmp_path).poll()
    assert [r.rank for r in table.rows] == [1]
    assert table.broken_lines == 1


@pytest.mark.parametrize("value", ["nan", None, True, 10**400, "x" * 3000], ids=["nan", "null", "true", "huge", "text"])
def test_what_is_no_number_does_not_pass_for_one(tmp_path: Path, write: Write, value: object) -> None:
    write("hb")
    write("coll", name="all_reduce", value=value)
    write("figure", name="speed", value=value)
    write("mem", value=value)
    row = only(Ranks(tmp_path))
    assert (row.collective_us, row.memory_bytes, row.figures) == (None, None, ())


def test_figures_do_not_grow_without_end(tmp_path: Path, write: Write) -> None:
    for number in range(MOST_FIGURES + 50):
        write("figure", name="f", value=number, labels={"n": str(number)})
    write("figure", name="f", value=7, labels={"n": str(MOST_FIGURES)})
    row = only(Ranks(tmp_path))
    assert len(row.figures) == MOST_FIGURES
    assert row.figures[-1].value == 7
    assert len({f.labels["n"] for f in row.figures}) == MOST_FIGURES


@pytest.mark.parametrize("rank", [-1, 10**6, 10**30])
def test_a_rank_that_cannot_be_is_no_row(tmp_path: Path, write: Write, rank: int) -> None:
    (tmp_path / "9.r0.a0.jsonl").write_text(json.dumps({"ev": "hb", "rank": rank, "pid": 9}) + "\n")
    write("hb", rank=1)
    assert [r.rank for r in Ranks(tmp_path).poll().rows] == [1]


def test_events_that_no_rank_wrote_and_files_that_are_none_make_no_row(tmp_path: Path) -> None:
    (tmp_path / "5.jsonl").write_text('{"ev":"start","pid":5}\n')
    (tmp_path / "6.r0.a0.jsonl").symlink_to(tmp_path / "5.jsonl")
    os.mkfifo(tmp_path / "7.r0.a0.jsonl")
    (tmp_path / "8.r0.a0.jsonl").mkdir()
    assert Ranks(tmp_path).poll().rows == ()
