"""Real processes with a place in a job: found with the right ranks, whoever looks, and whatever stands in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_proc import FakeProc, torchrun_environ
from foreign_jobs import AGENT, ENTRY, JOINED, LOADING, NOBODY, RANK, TITLED, agent, apart, script, started

from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import Finder, Found, JobError, find_job, find_jobs
from torchprobes.jobs.sources import SourceState, sources

DEADLINE_S = 30.0
PATIENT_S = 3.0
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it becomes another user, or mounts a /proc")


def job_of(found: Found, launcher_pid: int) -> JobIdentity:
    jobs = [job for job in found.jobs if job.launcher_pid == launcher_pid]
    assert len(jobs) == 1, found
    return jobs[0]


def pids(job: JobIdentity) -> dict[int, int]:
    return {rank.rank: rank.pid for rank in job.ranks}


def test_ranks_and_their_logs_are_found_and_their_workers_are_not(tmp_path: Path) -> None:
    log = tmp_path / "out.log"
    with log.open("wb") as out:
        command = agent(tmp_path, 2, LOADING)
        with started(tmp_path / "told", command, 2, stdout=out, stderr=subprocess.PIPE) as foreign:
            told = foreign.told
            job = job_of(find_jobs(deadline_s=DEADLINE_S), foreign.process.pid)
            assert (job.key.partition("@")[0], job.launcher, job.world_size) == ("torchrun:of-tests", "torchrun", 2)
            assert pids(job) == told
            rank = job.ranks[0]
            assert (rank.stdout, rank.stderr, rank.how) == (str(log), "", ("environ",))
            assert "its stderr goes to a pipe" in rank.log_why
            assert "start it through torchdoctor" in rank.log_why
            assert abs(job.started_ns / 1e9 - time.time()) < 120
            assert find_job(str(told[1]), deadline_s=DEADLINE_S).ranks == job.ranks
            with pytest.raises(JobError, match=r"there are .*torchrun:of-tests"):
                find_job("no such job", deadline_s=DEADLINE_S)


def test_titles_and_function_entry_points_are_numbered_by_birth(tmp_path: Path) -> None:
    with (
        started(tmp_path / "a", agent(tmp_path, 3, TITLED), 3) as titled,
        started(tmp_path / "b", _entry(tmp_path), 2) as entry,
    ):
        told = titled.told, entry.told
        found = find_jobs(deadline_s=DEADLINE_S)
    jobs = job_of(found, titled.process.pid), job_of(found, entry.process.pid)
    assert (pids(jobs[0]), pids(jobs[1])) == told
    assert {rank.how for job in jobs for rank in job.ranks} == {("order",)}
    assert jobs[1].key.partition("@")[0] == "torchrun:entry"


def _entry(folder: Path) -> list[str]:
    (folder / "entry").mkdir()
    return [sys.executable, script(folder / "entry", "torchrun", ENTRY), "--rdzv-id=entry", "--run-path", "x.py"]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_that_are_connected_are_ranks_of_their_parent(tmp_path: Path, method: str) -> None:
    with started(tmp_path / "told", [sys.executable, script(tmp_path, "train.py", JOINED), method], 2) as foreign:
        told = foreign.told
        end = time.monotonic() + DEADLINE_S
        key = f"spawn:{foreign.process.pid}"
        while not (jobs := [job for job in Finder().find(DEADLINE_S).jobs if job.key == key]):
            assert time.monotonic() < end  # rank 0 tells before its connection stands
        assert jobs[0].launcher == "spawn"
        assert pids(jobs[0]) == told


def test_a_shell_that_runs_the_rank_is_not_the_rank(tmp_path: Path) -> None:
    program = script(tmp_path, "train.py", RANK)
    shell = ["/bin/bash", "-c", f"true; {sys.executable} {program}; true"]
    with started(tmp_path / "told", shell, 1, {"RANK": "0", "WORLD_SIZE": "1"}) as foreign:
        told = foreign.told
        assert told[0] != foreign.process.pid
        jobs = [job for job in find_jobs(deadline_s=DEADLINE_S).jobs if pids(job) == told]
    assert [job.world_size for job in jobs] == [1]


# --- whoever looks -------------------------------------------------------------------------------------------------


def seen_by(work: Any, **how: Any) -> Found:
    return msgspec.convert(apart(lambda: msgspec.to_builtins(work()), **how), Found)


@ROOT
def test_another_user_finds_ranks_by_their_order_and_is_told_what_is_closed(tmp_path: Path) -> None:
    with started(tmp_path / "told", agent(tmp_path, 2, RANK), 2) as foreign:
        told = foreign.told
        found = seen_by(lambda: Finder().find(DEADLINE_S), uid=NOBODY)
        rows = _rows_of(job_of(found, foreign.process.pid))
    job = job_of(found, foreign.process.pid)
    assert pids(job) == told
    assert {rank.how for rank in job.ranks} == {("order",)}
    assert job.user == "root"
    assert "sudo torchdoctor jobs" in job.ranks[0].log_why
    note = next(note for note in found.notes if "environment of" in note)
    assert "run as root: sudo torchdoctor jobs" in note
    assert rows["process"].available
    assert rows["exit"].available, "pidfd_open asks for no right"
    assert "not its exit code" in rows["exit"].why
    assert not rows["py-spy"].available
    assert "belongs to root" in rows["py-spy"].why
    assert "sudo -u root torchdoctor diagnose" in rows["py-spy"].command
    assert "sudo -u root" in rows["events"].command


def _rows_of(job: JobIdentity) -> dict[str, SourceState]:
    """The table of a rank as another user has it: in this process, forked, since the child's own file may be closed."""
    from torchprobes.jobs.find import facts
    from torchprobes.jobs.sources import Facts, Reader, Seen, rows

    rank = job.ranks[0]
    asked = [{"pid": rank.pid, "start_ticks": rank.start_ticks, "rank": 0, "logs": []}]
    answer = apart(lambda: facts.answer(time.monotonic() + DEADLINE_S, "/proc", asked), uid=NOBODY)
    reader = msgspec.structs.replace(msgspec.convert(answer["reader"], Reader), pyspy="/usr/bin/py-spy")
    table = rows(Facts(rank=rank, reader=reader, seen=msgspec.convert(answer["ranks"][0], Seen)))
    return {row.source: row for row in table}


@ROOT
@pytest.mark.parametrize("hidepid", [1, 2])
def test_a_proc_that_hides_is_told_and_ones_own_ranks_are_found(tmp_path: Path, hidepid: int) -> None:
    folder = tmp_path / "told"
    folder.mkdir()
    with started(folder, agent(tmp_path, 2, RANK), 2) as foreign:
        assert len(foreign.told) == 2
        found = seen_by(lambda: Finder().find(DEADLINE_S), uid=NOBODY, hidepid=hidepid)
        mine = foreign.process.pid
    assert mine not in {job.launcher_pid for job in found.jobs}
    note = next(note for note in found.notes if "hidepid=" in note)
    assert "sudo torchdoctor jobs" in note
    assert "threads of this machine can be seen" in note


@ROOT
def test_ranks_in_another_pid_namespace_are_seen_from_outside_and_from_inside(tmp_path: Path) -> None:
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *agent(tmp_path, 2, RANK)]
    with started(tmp_path / "told", inside, 2) as foreign:
        told = foreign.told
        outer = next(job for job in find_jobs(deadline_s=DEADLINE_S).jobs if _inner(job) == told)
        assert all(rank.inner_pid != rank.pid for rank in outer.ranks)
        assert find_job(str(outer.ranks[0].pid), deadline_s=DEADLINE_S).key == outer.key
        target = str(outer.launcher_pid)
        code = "from torchprobes.jobs.find import Finder; import msgspec, sys; "
        code += f"sys.stdout.buffer.write(msgspec.json.encode(Finder().find({DEADLINE_S})))"
        enter = ["nsenter", "--target", target, "--pid", "--mount", sys.executable, "-c", code]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        answer = subprocess.run(enter, capture_output=True, check=True, env={**os.environ, "PYTHONPATH": path})
    inner = msgspec.json.decode(answer.stdout, type=Found)
    assert [pids(job) for job in inner.jobs] == [told], "inside, nothing else can be seen"
    assert any("pid namespace" in note for note in inner.notes)


def _inner(job: JobIdentity) -> dict[int, int | None]:
    return {rank.rank: rank.inner_pid for rank in job.ranks}


# --- whatever stands in the way -------------------------------------------------------------------------------------


def test_a_process_that_holds_up_its_reader_holds_up_nobody_else(tmp_path: Path) -> None:
    proc = FakeProc(tmp_path / "proc")
    torchrun = proc.add("/usr/bin/python3 /usr/bin/torchrun train.py")
    held = [proc.add("/usr/bin/python3 train.py", torchrun_environ(rank, 4), parent=torchrun) for rank in range(4)]
    for rank in (1, 2):  # an open of a FIFO that nobody writes to waits as a memory lock does
        (proc.path / str(held[rank]) / "environ").unlink()
        os.mkfifo(proc.path / str(held[rank]) / "environ")
    began = time.monotonic()
    found = find_jobs(proc.path, deadline_s=PATIENT_S)
    assert time.monotonic() - began < PATIENT_S + 1.0
    assert [rank.how for rank in found.jobs[0].ranks] == [("environ",), ("order",), ("order",), ("environ",)]
    assert pids(found.jobs[0]) == dict(enumerate(held))
    note = next(note for note in found.notes if "does not let its memory be read" in note)
    assert str(held[1]) in note
    assert str(held[2]) in note
    rows = sources(found.jobs[0].ranks[1], deadline_s=1.0, proc=proc.path)
    assert {row.source for row in rows if not row.available} >= {"events", "flight"}


def test_a_finder_that_looks_again_reads_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchprobes.jobs.find import reading, scan

    monkeypatch.setattr(scan, "YOUNG_S", -1e9)
    proc = FakeProc(tmp_path / "proc")
    for rank in range(2):
        proc.add("/usr/bin/python3 train.py", torchrun_environ(rank, 3))
    read: list[int] = []
    memory = reading.memory
    monkeypatch.setattr(reading, "memory", lambda path, seen: (read.append(seen.pid), memory(path, seen))[0])
    finder = Finder(proc.path)
    assert len(finder.find(DEADLINE_S).jobs[0].ranks) == 2
    first = len(read)
    new = proc.add("/usr/bin/python3 train.py", torchrun_environ(2, 3))
    assert len(finder.find(DEADLINE_S).jobs[0].ranks) == 3
    assert read[first:] == [new]


def test_a_child_that_gives_no_answer_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_jobs(deadline_s=0.0)
    assert found.jobs == ()
    assert "could not be read within 0 s" in found.notes[0]
    monkeypatch.setattr("torchprobes.jobs.find.PROGRAM", Path(AGENT.split()[0]))
    assert "could not be read" in find_jobs(deadline_s=DEADLINE_S).notes[0]
