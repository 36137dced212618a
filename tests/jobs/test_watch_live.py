"""A watcher beside real processes: ranks without torch that raise, exit, are killed, stop, go on and start anew."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_job
import pytest
from fake_job import Job
from launched_job import until

from torchprobes import rundir
from torchprobes.distributed import JobIdentity, JobView
from torchprobes.jobs.find import find_job
from torchprobes.jobs.node import NodeFolder, node_folder
from torchprobes.jobs.watch import Attached, Order, attach, start, triggers
from torchprobes.jobs.watch.engine import Watcher


@pytest.fixture(autouse=True)
def _looks_near_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is judged by what two looks of one collection say: they need not lie a second apart."""
    monkeypatch.setattr("torchprobes.jobs.collect.collecting.GAP_S", 0.1)


class Watched:
    """A fake job that we launched, and its watcher in a thread of the test."""

    def __init__(self, place: Path, job: Job, node: NodeFolder, run: str) -> None:
        self.place, self.job, self.node = place, job, node
        identity = JobIdentity(
            key="torchrun:fake", launcher="torchdoctor", host=node.host, launcher_pid=job.pid,
            launcher_start_ticks=rundir.start_ticks(job.pid), started_ns=time.time_ns(), run=run,
        )  # fmt: skip
        self.order = Order(run=run, node=str(node.path), mode="launched", job=identity, gpu=False)
        self._thread: threading.Thread | None = None
        self._lifeline = -1

    def watch(self) -> None:
        """Begin."""
        reading, self._lifeline = os.pipe()
        os.set_blocking(reading, False)
        watcher = Watcher(self.order, reading)
        self._thread = threading.Thread(target=watcher.run, daemon=True)
        self._thread.start()

    def drop(self) -> None:
        """Close the lifeline."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def join(self) -> JobView:
        """Wait for the watcher's own end; the last view."""
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.view()

    def view(self) -> JobView:
        found = self.node.read_view()
        assert found is not None
        return found

    def until(self, holds: Callable[[JobView], object]) -> JobView:
        """The first view of which something holds."""

        def look() -> JobView | None:
            view = self.node.read_view()
            return view if view is not None and holds(view) else None

        found: JobView = until(look)
        return found

    def records(self, ev: str) -> list[dict[str, Any]]:
        lines = self.node.watch.read_text().splitlines() if self.node.watch.exists() else []
        return [record for record in map(json.loads, lines) if record["ev"] == ev]


@contextlib.contextmanager
def launched(place: Path, ranks: int, restarts: int = 0) -> Iterator[Watched]:
    run = rundir.create(place / "runs", "job")
    node = node_folder(run)
    node.path.mkdir(parents=True)
    with fake_job.job(node.path, ranks, restarts) as job:
        watched = Watched(place, job, node, str(run.path))
        try:
            yield watched
        finally:
            watched.drop()


def everybody(count: int) -> Callable[[JobView], bool]:
    return lambda view: len(view.ranks) == count


def test_a_job_from_its_first_rank_to_its_verdict(tmp_path: Path) -> None:
    with launched(tmp_path, 4) as job:
        job.watch()
        job.until(everybody(4))
        job.job.tell("all", "pace 0.02")
        view = job.until(lambda view: all((row.steps or 0) > 3 and row.step_rate_hz for row in view.ranks))
        assert [(row.rank, row.local_rank, row.state) for row in view.ranks] == [(n, n, "stepping") for n in range(4)]
        assert sorted(row.pid for row in view.ranks) == sorted(job.job.ranks())
        assert view.state == "running"
        assert view.world_size == 4
        assert view.verdict.cause == "none"
        job.job.tell(2, "signal 9")
        view = job.until(lambda view: view.verdict.cause == "killed")
        last = job.join()
    assert view.verdict.ranks == last.verdict.ranks == (2,)
    assert last.state == "failed"
    assert last.ranks[2].exit == "SIGKILL"
    assert {row.exit for row in last.ranks if row.rank != 2} == {"SIGTERM from its launcher"}
    exits = {record["rank"]: record["exit"] for record in job.records("exit")}
    assert exits[2]["seen"] in ("zombie", "pidfd")
    assert len(exits) == 4
    edge = next(record for record in job.records("exit") if record["rank"] == 2)
    told = next(record for record in job.records("verdict") if record["cause"] == "killed")
    print(f"from the edge to the verdict: {(told['m_ns'] - edge['m_ns']) / 1e6:.1f} ms")
    assert job.records("end")[-1]["why"] == "the job ended"
    assert [row.sources[0].source for row in last.ranks] == ["exit"] * 4


def test_a_standstill_is_looked_at_and_may_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key press is answered at once; without one a job that stands still is looked at, and a job that goes on is not
    called stuck any more."""
    monkeypatch.setattr(triggers, "QUIET_S", 0.6)
    with launched(tmp_path, 2) as job:
        job.watch()
        job.until(everybody(2))
        job.job.tell("all", "pace 0.02")
        job.until(lambda view: all(row.state == "stepping" for row in view.ranks))
        (job.node.path / "diagnose").touch()
        until(lambda: any(record["why"] == "asked for" for record in job.records("evidence")))
        job.job.tell("all", "pace 0")
        until(lambda: any(record["why"].startswith("no progress") for record in job.records("evidence")))
        view = job.view()
        assert view.verdict.cause == "none" or not view.verdict.sure, "one look is not enough"
        assert all(row.stderr for row in view.ranks)
        job.job.tell("all", "pace 0.02")
        until(lambda: job.records("goes-on"))
        view = job.until(lambda view: view.state == "running" and view.verdict.cause == "none")
        until(lambda: len(list(job.node.evidence.iterdir())) >= 2)
        job.job.tell("all", "return")
        last = job.join()
    assert (last.state, last.verdict.cause) == ("ended", "none")
    assert [row.exit for row in last.ranks] == ["exit code 0"] * 2


def test_an_attempt_that_failed_is_a_note_of_the_next(tmp_path: Path) -> None:
    with launched(tmp_path, 2, restarts=1) as job:
        job.watch()
        job.until(everybody(2))
        job.job.tell(1, "raise")
        view = job.until(lambda view: {row.attempt for row in view.ranks} == {1} and len(view.ranks) == 2)
        assert any(note.startswith("attempt 0: rank 1") and "bad batch" in note for note in view.notes), view.notes
        job.until(lambda view: view.state in ("starting", "running") and not view.verdict.ranks)
        job.job.tell("all", "return")
        assert job.join().state == "ended"


def test_a_supervisor_that_was_killed_is_told(tmp_path: Path) -> None:
    with launched(tmp_path, 2) as job:
        job.watch()
        job.until(everybody(2))
        job.drop()
        last = job.join()
        assert any("its supervisor was killed" in note for note in last.notes)
        assert len(job.job.ranks()) == 2, "no record says that they are the supervisor's: they are left alone"


def test_a_watcher_goes_on_where_a_killed_one_was(tmp_path: Path) -> None:
    with launched(tmp_path, 3) as job:
        first = start(job.order)
        pids = {row.rank: row.pid for row in job.until(everybody(3)).ranks}
        job.job.tell("all", f"ignore {int(signal.SIGTERM)}")
        job.job.tell(1, "exit 5")
        job.until(lambda view: view.ranks[1].exit == "exit code 5")
        first.kill()
        first.wait()
        second = start(job.order)
        view = job.until(lambda view: any("watched anew" in note for note in view.notes) and len(view.ranks) == 3)
        assert (view.verdict.ranks, view.ranks[1].exit) == ((1,), "exit code 5")
        assert {row.rank: row.pid for row in view.ranks} == pids
        for process in (first, second):
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        second.wait(30)
        assert (job.node.path / "watcher.err").read_text() == ""


# --- jobs of others ---


def steps_of(folder: Path) -> dict[int, int]:
    """The newest step of each rank."""
    told = [event for event in fake_job.events_of(folder) if event["ev"] == "step"]
    return {int(str(event["rank"])): int(str(event["n"])) for event in told}


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def seen_by(attached: Attached, holds: Callable[[JobView], object]) -> JobView:
    def look() -> JobView | None:
        assert attached.alive() or attached.node.read_view()
        view = attached.node.read_view()
        return view if view is not None and holds(view) else None

    found: JobView = until(look)
    return found


def test_a_foreign_job_is_watched_by_two_and_notices_nothing(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "runs"
    with fake_job.job(theirs, 3) as job:
        until(lambda: len(job.ranks()) == 3 and len(list((theirs / "events").iterdir())) == 3)
        job.tell("all", "pace 0.02")
        found = find_job(str(job.ranks()[0]))
        before = files_of(theirs)
        one, two = attach(ours, found), attach(ours, found)
        try:
            for attached in (one, two):
                view = seen_by(attached, everybody(3))
                assert not view.ours
                assert (view.job, view.world_size) == (found.key, 3)
                assert [row.stderr.endswith(f"/{row.rank}/stderr.log") for row in view.ranks] == [True] * 3
                assert attached.run.alive()
            one.close()
            assert one.process.returncode == 0
            assert one.run.info.finished
            assert any("no longer watched" in note for note in seen_by(one, everybody(3)).notes)
            steps = steps_of(theirs)
            until(lambda: all(now > steps[rank] for rank, now in steps_of(theirs).items()))
            assert files_of(theirs) == before
            job.tell(1, "signal 11")
            view = seen_by(two, lambda view: view.state == "failed")
            assert (view.verdict.ranks, view.verdict.cause) == ((1,), "segfault")
            assert two.process.wait(30) == 0
            assert two.run.info.finished
        finally:
            one.close()
            two.close()


# --- by hand ---

FAULTS = [
    ("raise", "raised", "exit code 1"), ("exit 3", "exited", "exit code 3"), ("signal 9", "killed", "SIGKILL"),
    ("signal 11", "segfault", "SIGSEGV"), ("signal 6", "aborted", "SIGABRT"), ("signal 15", "killed", "SIGTERM"),
]  # fmt: skip


@pytest.mark.trials
@pytest.mark.parametrize("trial", range(5))
@pytest.mark.parametrize(("fault", "cause", "words"), FAULTS)
def test_every_end_is_seen_with_its_cause(tmp_path: Path, fault: str, cause: str, words: str, trial: int) -> None:
    """Also when the peers ignore SIGTERM, for which torchrun waits 30 s; the verdict does not."""
    with launched(tmp_path, 4) as job:
        job.watch()
        job.until(everybody(4))
        job.job.tell("all", "pace 0.02")
        job.until(lambda view: all(row.state == "stepping" for row in view.ranks))
        begin = time.monotonic()
        job.job.tell(trial % 4, fault)
        view = job.until(lambda view: view.verdict.cause == cause)
        print(f"{fault}: {time.monotonic() - begin:.3f} s to {view.verdict.line}")
        assert view.verdict.ranks == (trial % 4,)
        assert job.until(lambda view: view.ranks[trial % 4].exit).ranks[trial % 4].exit.startswith(words)


@pytest.mark.trials
def test_hundreds_of_ranks_in_one_folder_are_watched(tmp_path: Path) -> None:
    """256 ranks that come and end together: all are seen, each end has a code, and the view keeps up."""
    with launched(tmp_path, 256) as job:
        job.watch()
        job.until(everybody(256))
        job.job.tell("all", "exit 0")
        last = job.join()
    assert {row.exit for row in last.ranks} == {"exit code 0"}
    assert last.state == "ended"
