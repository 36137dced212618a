"""The run directory: made private, read safely, never deleted under somebody's feet."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import msgspec
import pytest

from torchprobes import rundir
from torchprobes.model import SCHEMA
from torchprobes.rundir import Owner, RunDir, RunError


def make(place: Path, name: str | None = None, *, dead: bool = False) -> RunDir:
    run = rundir.create(place, "check", name=name)
    if dead:
        gone = Owner(pid=2**22, start_ticks=1, boot_id=rundir.boot_id())
        run.write_info(msgspec.structs.replace(run.info, owner=gone))
    return run


def test_a_run_is_private_named_by_time_and_host_and_owned_by_this_process(tmp_path: Path) -> None:
    run = make(tmp_path / "runs")
    assert rundir.RUN_NAME.fullmatch(run.name)
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert run.info.owner.pid == os.getpid()
    assert run.info.schema == SCHEMA
    assert run.alive()
    assert not make(tmp_path / "runs", dead=True).alive()


def test_a_reused_pid_does_not_own_the_run(tmp_path: Path) -> None:
    run = make(tmp_path)
    other = Owner(pid=os.getpid(), start_ticks=1, boot_id=rundir.boot_id())
    run.write_info(msgspec.structs.replace(run.info, owner=other))
    assert not run.alive()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"schema": 99, "anything": true}', "upgrade torchdoctor"),
        (b'{"schema": 1}', "missing required field"),
    ],
)
def test_a_broken_or_later_run_is_one_clear_line(tmp_path: Path, content: bytes, words: str) -> None:
    run = make(tmp_path)
    (run.path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=words) as caught:
        _ = run.info
    assert "\n" not in str(caught.value)


def test_runs_are_found_by_path_name_and_beginning(tmp_path: Path) -> None:
    run = make(tmp_path)
    assert rundir.open_run(None, str(run.path)) == run
    assert rundir.open_run(tmp_path, run.name) == run
    assert rundir.open_run(tmp_path, run.name[:-3]) == run
    make(tmp_path)
    with pytest.raises(RunError, match="2 runs"):
        rundir.open_run(tmp_path, run.name[:4])
    with pytest.raises(RunError, match="no run"):
        rundir.open_run(tmp_path, "../etc")


def test_a_running_run_is_not_deleted_and_a_broken_one_can_be(tmp_path: Path) -> None:
    run = make(tmp_path)
    with pytest.raises(RunError, match="still running"):
        rundir.delete(run)
    (run.path / "run.json").write_bytes(b"broken")
    rundir.delete(run)
    assert not run.path.exists()


def test_pruning_takes_the_oldest_first_and_keeps_the_newest_and_the_running(tmp_path: Path) -> None:
    names = [f"2026010{n}T000000Z-host-{n:06x}" for n in (1, 2, 3, 4)]
    runs = [make(tmp_path, name, dead=name != names[0]) for name in names]
    for run in runs:
        (run.path / "big").write_bytes(b"x" * 10_000)
    assert rundir.prune(tmp_path, quota_bytes=30_000) == names[1:3]
    assert [run.name for run in rundir.list_runs(tmp_path)] == [names[3], names[0]]


def test_a_name_that_is_not_a_run_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "20260101T000000Z-h-00000a").symlink_to(tmp_path)
    assert rundir.list_runs(tmp_path) == []
    assert rundir.list_runs(tmp_path / "absent") == []


def test_places_are_tried_in_the_order_of_the_design() -> None:
    environ = {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7", "TORCHDOCTOR_STATE": "/s", "TMPDIR": "/t"}
    assert rundir.candidate_places(environ, 7) == [
        ("TORCHDOCTOR_STATE", "/s"),
        ("XDG state", "/h/.local/state/torchdoctor"),
        ("XDG_RUNTIME_DIR", "/run/user/7/torchdoctor"),
        ("TMPDIR", "/t/torchdoctor-7"),
    ]
    assert [origin for origin, _ in rundir.candidate_places({"HOME": "relative"}, 7)] == ["TMPDIR"]


def test_an_atomic_write_leaves_the_old_file_when_it_cannot_finish(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    rundir.write_atomically(target, b"old")
    with pytest.raises(TypeError):
        rundir.write_atomically(target, "not bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.json"]


# --- titles ---------------------------------------------------------------------------------------------------


def test_a_run_is_renamed_found_by_its_title_and_keeps_its_name(tmp_path: Path) -> None:
    run = make(tmp_path, dead=True)
    rundir.rename(run, "  node 7,\tbefore the new driver ")
    assert run.info.title == "node 7, before the new driver"
    assert rundir.open_run(tmp_path, "node 7, before the new driver").name == run.name
    rundir.rename(make(tmp_path, dead=True), "node 7, before the new driver")
    with pytest.raises(RunError, match="2 runs are"):
        rundir.open_run(tmp_path, "node 7, before the new driver")
    rundir.rename(run, "")
    assert run.info.title == ""


@pytest.mark.parametrize("title", ["x" * (rundir.TITLE_LENGTH + 1), "a\x1b[2J", "right‮left", "\udc80"])
def test_a_title_that_is_no_plain_line_is_refused_and_changes_nothing(tmp_path: Path, title: str) -> None:
    run = make(tmp_path)
    with pytest.raises(RunError, match="a title"):
        rundir.rename(run, title)
    assert run.info.title == ""


def test_a_rename_and_the_end_of_a_run_lose_nothing_of_each_other(tmp_path: Path) -> None:
    run = make(tmp_path)

    def rename() -> None:
        for number in range(50):
            rundir.rename(run, f"title {number}")

    def finish() -> None:
        for number in range(50):
            run.change(seconds=float(number))

    threads = [threading.Thread(target=rename), threading.Thread(target=finish)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (run.info.title, run.info.seconds) == ("title 49", 49.0)


# --- pruned by age --------------------------------------------------------------------------------------------


def test_pruning_by_age_counts_from_the_end_and_spares_the_newest_and_the_running(tmp_path: Path) -> None:
    now = time.time()
    days = {40: "a", 35: "b", 31: "c", 2: "d"}
    names = [f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now - 86400 * day))}-n-00000{x}" for day, x in days.items()]
    runs = [make(tmp_path, name, dead=place != 1) for place, name in enumerate(names)]
    runs[2].change(finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 3600)))
    (runs[0].path / "run.json").write_text("{")
    month = 30 * 86400.0
    would = rundir.prune(tmp_path, None, 1, month, rundir.spared)
    assert would == names[:1]
    assert {run.name for run in rundir.list_runs(tmp_path)} == set(names)
    assert rundir.prune(tmp_path, None, 1, month) == names[:1]
    assert rundir.prune(tmp_path, None, 0, 60.0) == names[2:]
    assert [run.name for run in rundir.list_runs(tmp_path)] == [names[1]]


def test_pruning_by_age_and_size_stops_where_the_rest_fits(tmp_path: Path) -> None:
    now = time.time()
    names = [f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now - 86400 * day))}-n-00000{day}" for day in (9, 5, 3, 1)]
    for name in names:
        (make(tmp_path, name, dead=True).path / "x").write_bytes(b"x" * 100_000)
    assert rundir.prune(tmp_path, 250_000, 1, 86400.0 * 7) == names[:2]


def test_what_is_held_and_free_is_told_in_bytes(tmp_path: Path) -> None:
    run = make(tmp_path)
    (run.path / "x").write_bytes(b"x" * 1000)
    assert rundir.held_bytes(tmp_path) == {run.name: 1000 + (run.path / "run.json").stat().st_size}
    assert (rundir.free_bytes(tmp_path) or 0) > 0
    assert rundir.free_bytes(tmp_path / "nowhere") is None
