"""The list of jobs: what runs on this node, ours or not, and the runs of ours that have ended, newest first.

A run in which torchdoctor only watches somebody else's job is no job of its own: it has no supervisor.
"""

from __future__ import annotations

import calendar
import contextlib
import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..distributed import JobIdentity, JobSummary, JobView
from ..model import Frozen
from ..rundir import RunDir, RunError, RunInfo, list_runs, title_of
from .find import Found, find_jobs
from .node import nodes, views
from .view import command_of

DEADLINE_S: Final = 4.0
"""A node whose processes are stuck has a long run queue: starting a child there takes a second."""

MOST_RUNS: Final = 64
"""So many runs of ours are looked at, the newest."""

HEAD_BYTES: Final = 64 << 10
URGENT: Final = ("stuck", "failing", "failed", "lost", "stopped", "running", "starting", "ended")
"""Of the states that the nodes of one job are in, the first of these is the job's."""

NO_END: Final = "its supervisor is gone, and no end was written: the node or the supervisor was killed"
OVER: Final = frozenset({"ended", "failed", "stopped", "lost"})


class Listing(Frozen, frozen=True, kw_only=True):
    """The list, and in `notes` what could not be seen of this node: never nothing where there is no job."""

    jobs: tuple[JobSummary, ...] = ()
    notes: tuple[str, ...] = ()


def list_jobs(place: Path, found: Found | None = None, deadline_s: float = DEADLINE_S) -> tuple[JobSummary, ...]:
    """All jobs: running ones by key, then runs of ours that have ended, newest first."""
    return listing(place, found, deadline_s).jobs


def listing(place: Path, found: Found | None = None, deadline_s: float = DEADLINE_S) -> Listing:
    """The same with what could not be seen. `found` is what a look at the processes brought; else one is taken."""
    found = find_jobs(deadline_s=deadline_s) if found is None else found
    nothing = () if found.jobs else ("every process of this node was read, and none is a rank",)
    return Listing(jobs=_rows(place, found), notes=found.notes or nothing)


def _rows(place: Path, found: Found) -> tuple[JobSummary, ...]:
    runs = _job_runs(place)
    agents = {agent: run for run, _ in runs for agent in _agents(run)}
    rows: dict[str, JobSummary] = {}
    for job in found.jobs:
        run = next((run for run, _ in runs if run.path.name == Path(job.run or "/").name), None) or agents.get(
            (job.launcher_pid, job.launcher_start_ticks)
        )
        key = str(run.path) if run else job.key
        rows[key] = _running(job, run, found.notes)
    for run, info in runs:
        if str(run.path) not in rows:
            rows[str(run.path)] = _kept(run, info)
    return tuple(sorted(rows.values(), key=_order))


def _order(row: JobSummary) -> tuple[bool, int, str]:
    over = row.state in OVER
    return over, -row.started_ns if over else 0, row.key


def _running(job: JobIdentity, run: RunDir | None, notes: Sequence[str]) -> JobSummary:
    seen = views(run) if run else []
    state = _state(seen) if seen else "running"
    return JobSummary(
        key=job.key,
        name=run.name if run else job.key,
        title=title_of(run) if run else "",
        launcher="torchdoctor" if run else job.launcher,
        ranks=len(job.ranks),
        world_size=job.world_size,
        user=job.user,
        command=_command(run) or command_of(job),
        state="running" if state in OVER else state,
        run=str(run.path) if run else "",
        started_ns=job.started_ns,
        host=job.host,
        notes=tuple(dict.fromkeys((*job.notes, *notes))),
        ours=run is not None,
    )


def _kept(run: RunDir, info: RunInfo) -> JobSummary:
    """A run without processes that were found here: it has ended, begins just now, or runs on another node."""
    seen = views(run)
    first = seen[0] if seen else None
    state = _kept_state(run, info, seen)
    notes = (NO_END,) if state == "lost" and (not seen or _state(seen) != "lost") else ()
    return JobSummary(
        key=first.job if first else f"torchrun:{run.name}",
        name=run.name,
        title=info.title,
        launcher="torchdoctor",
        ranks=sum(len(view.ranks) for view in seen),
        world_size=first.world_size if first else None,
        user=first.user if first else "",
        command=" ".join(info.argv) or (first.command if first else ""),
        state=state,
        run=str(run.path),
        started_ns=first.started_ns if first and first.started_ns else _started_ns(info),
        host=info.host,
        notes=notes,
        ours=True,
    )


def state_of(run: RunDir) -> str:
    """The state of a job's run as its files and its owner tell it, one of URGENT.

    Raises:
        RunError: if the run cannot be read.
    """
    return _kept_state(run, run.info, views(run))


def _kept_state(run: RunDir, info: RunInfo, seen: Sequence[JobView]) -> str:
    state = _state(seen) if seen else "starting"
    return "lost" if state not in OVER and info.host == socket.gethostname() and not _alive(run) else state


def _state(seen: Sequence[JobView]) -> str:
    states = {view.state for view in seen}
    return next((state for state in URGENT if state in states), "running")


def _alive(run: RunDir) -> bool:
    with contextlib.suppress(RunError):
        return run.alive()
    return False


def _command(run: RunDir | None) -> str:
    with contextlib.suppress(RunError):
        return " ".join(run.info.argv) if run else ""
    return ""


def _started_ns(info: RunInfo) -> int:
    try:
        return calendar.timegm(time.strptime(info.started, "%Y-%m-%dT%H:%M:%SZ")) * 1_000_000_000
    except ValueError:
        return 0


def _job_runs(place: Path) -> list[tuple[RunDir, RunInfo]]:
    """Our jobs' runs, newest first; one that cannot be read, or that only watches, is passed over."""
    found = []
    for run in list_runs(place)[:MOST_RUNS]:
        with contextlib.suppress(RunError):
            info = run.info
            if info.kind == "job" and _launched(run, info):
                found.append((run, info))
    return found


def _launched(run: RunDir, info: RunInfo) -> bool:
    """Whether torchdoctor started it: then a plan or a supervisor's record lies in it."""
    kept = any((node.path / name).exists() for node in nodes(run) for name in ("plan.json", node.supervisor.name))
    return kept or info.target is not None


def _agents(run: RunDir) -> list[tuple[int | None, int | None]]:
    """(pid, start ticks) of the agents that the supervisors of a run recorded."""
    found: list[tuple[int | None, int | None]] = []
    for node in nodes(run):
        with contextlib.suppress(OSError), node.supervisor.open("rb") as file:
            for line in file.read(HEAD_BYTES).splitlines():
                record = _record(line)
                if record.get("ev") == "agent":
                    found.append((record.get("pid"), record.get("start")))
    return found


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
