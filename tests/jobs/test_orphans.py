"""Nothing outlives a job whose processes are killed, whichever of them it is: console, supervisor, agent, watcher.

Every rank has a child that nothing binds to it. What lives is told by a token in the environment, not by our records.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from launched_job import RANK, Job, cheap_job, lines, until

from torchprobes.jobs import control
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.runner import processes

LIMIT_S = 1.0
WHO = ("console", "supervisor", "agent", "watcher", "warden")
PAIRS = (*((one,) for one in WHO), *itertools.combinations(WHO, 2))
"""The console starts the job and is no more of it; the warden is the supervisor's parent."""

FATAL = {"supervisor", "agent"}
"""Whose death is the job's end; without console, watcher or warden it goes on."""


def kill(job: Job, who: tuple[str, ...], console: int) -> None:
    """SIGKILL to all of them as nearly at once as may be: all stand still before the first dies."""
    start = job.records("start")[0]
    pids = {
        "console": console,
        "supervisor": start["pid"],
        "warden": start["warden"],
        "agent": job.agent,
        "watcher": until(lambda: job.records("watcher"))[-1]["pid"],
    }
    if {"supervisor", "warden"} <= set(who):  # then only the watcher is left to clear up: it must have begun
        until(lambda: any(record["ev"] == "start" for record in lines(job.node.watch)))
    chosen = [pids[name] for name in who]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in chosen:
            os.kill(pid, number)


def console_of() -> int:
    """A stand-in for the console that launched: it is gone from the job's tree by the time the job runs."""
    return os.posix_spawn("/bin/sleep", ["sleep", "600"], os.environ)


def left_after(job: Job) -> tuple[set[int], float]:
    """What is left after LIMIT_S, and how long it took until nothing was."""
    begin = time.monotonic()
    while (left := job.all_living()) and time.monotonic() < begin + LIMIT_S:
        time.sleep(0.005)
    return left, time.monotonic() - begin


def one_death(tmp_path: Path, who: tuple[str, ...]) -> float:
    """Kill `who` of a cheap job; the seconds until nothing of it was left (0 where it goes on)."""
    with cheap_job(tmp_path, 2) as job:
        before = job.all_living()
        assert len(before) == 5
        console = console_of()
        kill(job, who, console)
        if "console" in who:
            os.waitpid(console, 0)
        else:
            os.kill(console, signal.SIGKILL)
            os.waitpid(console, 0)
        if not FATAL & set(who):
            time.sleep(0.3)  # long enough for a wrong end to be seen
            assert job.all_living() == before
            assert control.is_alive(job.run)
            return 0.0
        left, seconds = left_after(job)
        assert left == set(), f"{who}: {len(left)} orphans after {LIMIT_S} s"
        return seconds


@pytest.mark.parametrize("who", [("supervisor", "agent"), ("supervisor", "warden")], ids="+".join)
def test_nothing_outlives_a_killed_job(tmp_path: Path, who: tuple[str, ...]) -> None:
    print(f"{'+'.join(who)}: nothing left after {one_death(tmp_path, who):.3f} s")


def test_a_job_whose_supervisor_was_killed_is_told_as_lost(tmp_path: Path) -> None:
    with cheap_job(tmp_path, 1) as job:
        os.kill(job.supervisor, signal.SIGKILL)
        end = until(lambda: control.ending(job.node))
        assert (end["ev"], end["signal"], end["not_ended"]) == ("lost", "SIGKILL", [])
        until(lambda: job.ended)
        assert not control.is_alive(job.run)
        assert control.stop(job.run, 1.0) == "it has ended already"


def test_without_warden_and_supervisor_the_records_find_what_is_left(tmp_path: Path) -> None:
    with cheap_job(tmp_path, 2) as job:
        watchers = [record["pid"] for record in until(lambda: job.records("watcher"))]
        warden = job.records("start")[0]["warden"]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (*watchers, warden, job.supervisor):
                os.kill(pid, number)
        until(lambda: (entry := processes.read(job.supervisor)) is None or entry.dead)
        children = until(lambda: len(job.all_living()) == 2 and job.all_living())  # bound to nobody
        assert control.end_leftovers(job.node) == len(children)
        assert job.all_living() == set()


@pytest.mark.trials
def test_no_orphans_in_a_hundred_killings(tmp_path: Path) -> None:
    """100 killings, of one and of any two: 0 processes left 1 s later."""
    worst: dict[str, float] = {}
    for trial, who in zip(range(100), itertools.cycle(PAIRS)):
        folder = tmp_path / str(trial)
        folder.mkdir()
        name = "+".join(who)
        worst[name] = max(worst.get(name, 0.0), one_death(folder, who))
    for name, seconds in sorted(worst.items()):
        print(f"{name:24} longest until nothing was left: {seconds:.3f} s")


@pytest.mark.trials
@pytest.mark.parametrize("who", [one for one in PAIRS if FATAL & set(one)], ids="+".join)
def test_no_orphans_of_the_real_torchrun(tmp_path: Path, who: tuple[str, ...]) -> None:
    """The same with torchrun's ranks, which are plain Pythons."""
    (tmp_path / "rank.py").write_text(RANK)
    seen = tmp_path / "seen"
    for trial in range(4):
        seen.mkdir()
        options = LaunchOptions(
            torchrun=("--nproc-per-node", "2", "--no-python"),
            command=(sys.executable, "-I", "-S", str(tmp_path / "rank.py")),
            env={"SEEN": str(seen)},
        )
        job = Job(tmp_path / "runs", options)
        try:
            until(lambda: len(list(seen.iterdir())) == 2)
            until(lambda job=job: len(job.all_living()) >= 5)
            console = console_of()
            kill(job, who, console)
            if "console" not in who:
                os.kill(console, signal.SIGKILL)
            os.waitpid(console, 0)
            left, seconds = left_after(job)
            assert left == set(), f"{who}, trial {trial}: {len(left)} orphans"
            print(f"{'+'.join(who)}: {seconds:.3f} s")
        finally:
            job.clear()
        for file in seen.iterdir():
            file.unlink()
        seen.rmdir()
