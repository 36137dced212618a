"""The list of jobs: what runs, and our runs, each once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torchdoctor.commands.jobs import job_rows
from torchprobes import rundir
from torchprobes.distributed import JobIdentity, JobView, RankIdentity, RankView
from torchprobes.jobs.find import Found
from torchprobes.jobs.listing import list_jobs, listing, state_of
from torchprobes.jobs.node import node_folder
from torchprobes.rundir import Owner, RunDir

RANKS = tuple(RankIdentity(rank=rank, pid=100 + rank, start_ticks=5) for rank in range(2))
FOREIGN = JobIdentity(
    key="torchrun:theirs", launcher="torchrun", host="h", ranks=RANKS, world_size=2, user="ada", launcher_pid=78,
    launcher_start_ticks=7, command="torchrun train.py", notes=("one of it",),
)  # fmt: skip


@pytest.fixture
def owner() -> Iterator[Owner]:
    """A supervisor that lives."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    ticks = rundir.start_ticks(process.pid)
    assert ticks is not None
    try:
        yield Owner(pid=process.pid, start_ticks=ticks, boot_id=rundir.boot_id())
    finally:
        process.kill()
        process.wait()


def run_in(place: Path, *, state: str = "", owner: Owner | None = None, launched: bool = True, **info: Any) -> RunDir:
    """A run of ours; its newest view has `state`, and its supervisor recorded an agent of pid 77."""
    run = rundir.create(place, "job", argv=("torchdoctor", "launch", "x.py"))
    dead = Owner(pid=os.getpid(), start_ticks=1, boot_id=rundir.boot_id())
    run.write_info(msgspec.structs.replace(run.info, owner=owner or dead, **info))
    node = node_folder(run)
    node.path.mkdir(parents=True)
    if launched:
        lines = ("broken", json.dumps({"ev": "agent", "pid": 77, "start": 7}), json.dumps({"ev": "process", "pid": 9}))
        node.supervisor.write_text("\n".join(lines))
    if state:
        ranks = (RankView(rank=0), RankView(rank=1))
        view = JobView(job=f"torchrun:{run.name}", state=state, ranks=ranks, world_size=2, user="me", started_ns=5)
        node.view.write_bytes(msgspec.json.encode(view))
    return run


def test_a_foreign_job_is_told_with_what_could_not_be_seen(tmp_path: Path) -> None:
    found = listing(tmp_path, Found(jobs=(FOREIGN,), notes=("14 closed",)))
    assert found.notes == ("14 closed",)
    row = found.jobs[0]
    assert (row.key, row.launcher, row.ranks, row.world_size, row.state) == (
        "torchrun:theirs",
        "torchrun",
        2,
        2,
        "running",
    )
    assert (row.user, row.run, row.ours, row.notes) == ("ada", "", False, ("one of it", "14 closed"))


def test_no_job_is_never_told_by_nothing(tmp_path: Path) -> None:
    assert "none is a rank" in listing(tmp_path, Found()).notes[0]
    assert listing(tmp_path, Found(notes=("hidden",))).notes == ("hidden",)


@pytest.mark.parametrize("known_by", ["run", "agent"])
def test_a_job_of_ours_that_runs_is_one_row(tmp_path: Path, owner: Owner, known_by: str) -> None:
    run = run_in(tmp_path, state="stuck", owner=owner)
    known = {"run": str(run.path)} if known_by == "run" else {"launcher_pid": 77}
    job = msgspec.structs.replace(FOREIGN, key="torchrun:x", **known)
    rows = list_jobs(tmp_path, Found(jobs=(job,)))
    assert len(rows) == 1
    assert (rows[0].name, rows[0].run, rows[0].ours, rows[0].state) == (run.name, str(run.path), True, "stuck")
    assert (rows[0].launcher, rows[0].command) == ("torchdoctor", "torchdoctor launch x.py")


def test_what_only_watches_is_no_job_of_its_own(tmp_path: Path, owner: Owner) -> None:
    run_in(tmp_path, state="running", owner=owner, launched=False)
    rundir.create(tmp_path, "check")
    (tmp_path / "20250101T000000Z-h-000000").mkdir()  # no run.json
    assert [row.key for row in list_jobs(tmp_path, Found(jobs=(FOREIGN,)))] == [FOREIGN.key]


def test_ended_runs_come_last_the_newest_first(tmp_path: Path, owner: Owner) -> None:
    started = iter(("2025-01-01T00:00:00Z", "2025-01-03T00:00:00Z", "2025-01-02T00:00:00Z"))
    old, new, starting = (
        run_in(tmp_path, state="failed", started=next(started)),
        run_in(tmp_path, state="ended", started=next(started)),
        run_in(tmp_path, owner=owner, started=next(started)),
    )
    for run, ns in ((old, 1), (new, 2)):
        node = node_folder(run)
        view = node.read_view()
        assert view is not None
        node.view.write_bytes(msgspec.json.encode(msgspec.structs.replace(view, started_ns=ns)))
    rows = list_jobs(tmp_path, Found(jobs=(FOREIGN,)))
    assert {row.key for row in rows[:2]} == {"torchrun:theirs", f"torchrun:{starting.name}"}
    assert [(row.name, row.state) for row in rows[2:]] == [(new.name, "ended"), (old.name, "failed")]
    assert next(row for row in rows if row.name == starting.name).state == "starting"


def test_a_run_whose_supervisor_is_gone_without_an_end_is_lost(tmp_path: Path) -> None:
    run_in(tmp_path, state="running")
    row = list_jobs(tmp_path, Found())[0]
    assert row.state == "lost"
    assert "no end was written" in row.notes[0]


def test_a_run_on_another_node_is_what_its_view_says(tmp_path: Path) -> None:
    run_in(tmp_path, state="running", host="other")
    row = list_jobs(tmp_path, Found())[0]
    assert (row.state, row.host) == ("running", "other")


def test_many_runs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.jobs.listing.MOST_RUNS", 2)
    for _ in range(4):
        run_in(tmp_path, state="ended")
    began = time.monotonic()
    assert len(list_jobs(tmp_path, Found())) == 2
    assert time.monotonic() - began < 60


def test_a_run_with_a_title_is_listed_with_it(tmp_path: Path, owner: Owner) -> None:
    rundir.rename(run_in(tmp_path, state="failed"), "the first try")
    rundir.rename(run_in(tmp_path, state="running", owner=owner), "the second")
    found = listing(tmp_path, Found(jobs=(), notes=()))
    assert {row.title for row in found.jobs} == {"the first try", "the second"}
    assert all(
        f"{row.title}: " in line for row, line in zip(found.jobs, list(job_rows(found.jobs, 200))[1:], strict=True)
    )


@pytest.mark.parametrize(("state", "lives", "told"), [
    ("failed", False, "failed"), ("running", True, "running"), ("running", False, "lost"), ("", False, "lost"),
])  # fmt: skip
def test_a_kept_job_has_a_state_of_its_own(tmp_path: Path, owner: Owner, state: str, lives: bool, told: str) -> None:
    assert state_of(run_in(tmp_path, state=state, owner=owner if lives else None)) == told
