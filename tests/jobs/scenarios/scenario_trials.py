"""One trial of a scenario through the public command: started, its view followed as a console does, judged.

Each is `torchdoctor launch --headless -- scenario.py NAME` with four gloo ranks; its view is read twenty times a
second. A job that hangs is stopped once its verdict is enough.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scenario_table import Healthy, Trial

from torchprobes.distributed import JobView
from torchprobes.jobs import control
from torchprobes.jobs.node import nodes
from torchprobes.rundir import RunDir, RunError

HERE = Path(__file__).resolve().parent
ROOTS = [str(HERE.parents[2] / name) for name in ("tui", "probes")]
RANKS = 4
POLL_S = 0.05
START_S, HANG_S, END_S = 90.0, 30.0, 60.0
"""Within which the fault comes, a hang is named, and a crashed job ends (30 s of it are torchrun's patience)."""

HEALTHY_S = 120.0
PRESS_S = 2.0
SETTLE_S = 6.0
"""So long a hang is watched after it was named: whether the verdict stays, and becomes sure."""

FAULTS: dict[str, tuple[str, ...]] = {
    "raised": ("raised",), "exit3": ("exited",), "os-exit3": ("exited",), "returned-early": ("returned-early",),
    "sigkill": ("killed",), "segfault": ("segfault",), "abort": ("aborted",), "oom": ("oom",),
    "hang": ("hung-in-collective",), "hang-before-init": ("hung-before-init",), "wrong-order": ("wrong-order",),
    "wrong-shape": ("wrong-shape",),
}  # fmt: skip
"""Scenario -> the causes that are right."""

HELD_OUT: dict[str, tuple[str, ...]] = {
    "sigstop": ("stopped",), "fifo": ("hung-in-collective", "blocked-io"), "gil-held": ("hung-in-collective",),
    "loader-stuck": ("dataloader-stuck",),
}  # fmt: skip

HANGS = frozenset({"hang", "hang-before-init", "wrong-order", *HELD_OUT})
"""Those that last until the timeout of the process group. A wrong shape may too: it is looked at while it runs."""

ROOT_CAUSE = re.compile(r"Root Cause \(first observed failure\):.*?rank\s*:\s*(\d+)", re.DOTALL)


@dataclass(slots=True)
class Seen:
    """The views of one job as they came: the newest, and when each verdict was first there (wall clock, ns)."""

    view: JobView | None = None
    firsts: dict[tuple[tuple[int, ...], str, bool], int] = field(default_factory=dict)
    lines: dict[tuple[tuple[int, ...], str, bool], str] = field(default_factory=dict)

    def take(self, view: JobView) -> None:
        """One reading."""
        self.view, said = view, view.verdict
        key = (said.ranks, said.cause, said.sure)
        if key not in self.firsts:
            self.firsts[key], self.lines[key] = time.time_ns(), said.line

    def first_s(self, fault_ns: int, rank: int, causes: tuple[str, ...], sure: bool | None = None) -> float | None:
        """Seconds from the fault to the first verdict with this rank and one of the causes."""
        times = [
            at
            for (ranks, cause, was), at in self.firsts.items()
            if ranks == (rank,) and cause in causes and (sure is None or was is sure)
        ]
        return (min(times) - fault_ns) / 1e9 if times else None

    def told_s(self, fault_ns: int) -> float | None:
        """Seconds to the first verdict of any fault."""
        times = [at for (_, cause, _), at in self.firsts.items() if cause not in ("none", "compiling")]
        return (min(times) - fault_ns) / 1e9 if times else None

    def sure_of_others(self, rank: int, causes: tuple[str, ...]) -> tuple[str, ...]:
        """Verdicts that were sure of something else."""
        return tuple(
            f"{cause} of {list(ranks)}: {self.lines[(ranks, cause, sure)]}"
            for ranks, cause, sure in self.firsts
            if sure and cause != "none" and not (ranks == (rank,) and cause in causes)
        )


class Started:
    """One launch, followed from outside."""

    def __init__(self, place: Path, script: str, name: str, environ: Mapping[str, str], ranks: int = RANKS) -> None:
        self.place, self.document = place, place / "document.json"
        argv = [
            sys.executable, "-m", "torchdoctor", "launch", "--nproc-per-node", str(ranks), "--headless", "--force",
            "--python", sys.executable, "--out", str(place / "state"), "--json", str(self.document), "--",
            str(HERE / script), name,
        ]  # fmt: skip
        path = os.pathsep.join([*ROOTS, *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environ}
        with (place / "launch.log").open("wb") as log:
            self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.seen = Seen()

    @property
    def run(self) -> RunDir | None:
        """The run directory, once it is there."""
        found = sorted((self.place / "state").rglob("run.json"))
        return RunDir(found[0].parent) if found else None

    def poll(self) -> JobView | None:
        """Read the view once."""
        run = self.run
        for node in nodes(run) if run else []:
            try:
                view = node.read_view()
            except (RunError, ValueError):
                continue
            if view is not None:
                self.seen.take(view)
        return self.seen.view

    def follow(self, limit_s: float) -> Iterator[None]:
        """Readings, POLL_S apart, until the command has ended or the time is over; one more after its end."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            self.poll()
            if self.process.poll() is not None:
                self.poll()
                return
            yield
            time.sleep(POLL_S)

    def close(self) -> None:
        """End the job, and the command."""
        run = self.run
        if run is not None and control.is_alive(run):
            control.stop(run, 40.0)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.poll()

    def agent_log(self) -> str:
        """What torchrun printed."""
        run = self.run
        logs = [node.agent_log for node in nodes(run)] if run else []
        return "\n".join(log.read_text(errors="replace") for log in logs if log.exists())

    def exit_ns(self, rank: int) -> int | None:
        """When the watcher saw a rank end, wall clock; None if it did not."""
        run = self.run
        for node in nodes(run) if run else []:
            for line in node.watch.read_text(errors="replace").splitlines() if node.watch.exists() else []:
                told = json.loads(line) if line.startswith('{"ev": "exit"') else {}
                if told.get("rank") == rank:
                    return int(told["exit"]["t_ns"])
        return None

    def words(self) -> str:
        """The last words of the command, for what went wrong."""
        return (self.place / "launch.log").read_text(errors="replace").strip()[-300:]


def read_mark(path: Path) -> dict[str, int] | None:
    """The fault as the faulty rank told it, None before it came."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def trial(
    name: str, seed: int, *, deaf: bool = False, press: bool = False, keep: Path | None = None, ranks: int = RANKS
) -> Trial:
    """One trial of a fault scenario; where and when the fault comes is drawn from the seed.

    With `press` a close look at a hang is asked for after PRESS_S, as a key of the console does.
    """
    draw = random.Random(f"{name}-{seed}")
    rank, step = draw.randrange(ranks), draw.randrange(20, 60)
    causes = FAULTS.get(name) or HELD_OUT[name]
    if name == "oom" and (why := no_group()):
        return Trial(name, rank, causes, skip=why)
    place = Path(tempfile.mkdtemp(prefix=f"td-{name}-", dir=keep))
    mark, group = place / "mark", f"td-scenario-{os.getpid()}-{seed}"
    environ = {
        "SCENARIO_RANK": str(rank), "SCENARIO_STEP": str(step), "SCENARIO_MARK": str(mark), "SCENARIO_GROUP": group,
        "SCENARIO_DEAF": str(int(deaf)),
    }  # fmt: skip
    begin = time.monotonic()
    started = Started(place, "held_out.py" if name in HELD_OUT else "scenario.py", name, environ, ranks)
    fault_ns = pressed_ns = 0
    error = ""
    try:
        fault_ns = _until_fault(started, mark)
        pressed_ns = _press(started) if press and name in HANGS else 0
        settle_s = 0.0 if press else SETTLE_S
        _until_verdict(started, name, settle_s, lambda sure: started.seen.first_s(fault_ns, rank, causes, sure))
    except ScenarioError as problem:
        error = str(problem)
    finally:
        before_stop = started.seen.view
        started.close()
        remove_group(group)
    view = before_stop if name in HANGS and before_stop is not None else started.seen.view
    pressed_s = started.seen.first_s(pressed_ns, rank, causes) if pressed_ns else None
    told = Trial(name, rank, causes, error=error, run=str(place), pressed_s=pressed_s)
    result = _result(started, view, fault_ns, told)
    if keep is None and result.right:
        shutil.rmtree(place, ignore_errors=True)
    return dataclasses.replace(result, seconds=time.monotonic() - begin)


class ScenarioError(Exception):
    """The trial did not take place; one line."""


def _until_fault(started: Started, mark: Path) -> int:
    for _ in started.follow(START_S):
        told = read_mark(mark)
        if told is not None:
            return told["t_ns"]
    told = read_mark(mark)
    if told is None:
        raise ScenarioError(f"the fault never came: {started.words()!r}")
    return told["t_ns"]


def _press(started: Started) -> int:
    """Ask for a close look once the hang has lasted a little; when that was, in ns."""
    for _ in started.follow(PRESS_S):
        pass
    for node in nodes(started.run) if started.run else []:
        (node.path / "diagnose").touch()
    return time.time_ns()


def _until_verdict(started: Started, name: str, settle_s: float, first: Callable[[bool | None], float | None]) -> None:
    """Until the job has ended; one that hangs until the right verdict is sure, or has stood for `settle_s`, or HANG_S.

    `first(sure)` is when the right verdict came: seconds after the fault, None for not yet.
    """
    named: float | None = None
    for _ in started.follow(HANG_S if name in HANGS else END_S):
        if name not in HANGS or first(None) is None:
            continue
        named = time.monotonic() if named is None else named
        if first(True) is not None or time.monotonic() - named >= settle_s:
            return


def _result(started: Started, view: JobView | None, fault_ns: int, trial: Trial) -> Trial:
    """The trial with what was seen."""
    root = ROOT_CAUSE.search(started.agent_log())
    seen, rank, causes = started.seen, trial.rank, trial.causes
    if view is None or not fault_ns:
        return dataclasses.replace(trial, error=trial.error or f"no view: {started.words()!r}")
    ended_ns = None if trial.name in HANGS else started.exit_ns(rank)
    return dataclasses.replace(
        trial,
        after_exit_s=seen.first_s(ended_ns, rank, causes) if ended_ns else None,
        ranks=view.verdict.ranks,
        cause=view.verdict.cause,
        sure=view.verdict.sure,
        line=view.verdict.line,
        named_s=seen.first_s(fault_ns, rank, causes),
        sure_s=seen.first_s(fault_ns, rank, causes, sure=True),
        told_s=seen.told_s(fault_ns),
        wrong_sure=tuple(t for t in seen.sure_of_others(rank, causes) if not t.startswith("cancelled")),
        baseline=int(root[1]) if root else None,
    )


def no_group() -> str:
    """Why no process can be put into a control group with a memory limit here, "" if one can."""
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root = one if one.is_dir() else two
    probe = root / f"td-scenario-probe-{os.getpid()}"
    try:
        probe.mkdir()
        limit = probe / ("memory.limit_in_bytes" if root == one else "memory.max")
        why = "" if limit.exists() else "the memory controller is not there"
        probe.rmdir()
    except OSError as error:
        return f"no control group can be made below {root}: {error.strerror}"
    return why


def remove_group(name: str) -> None:
    """Take a scenario's control group away, if there is one."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        try:
            (root / name).rmdir()
        except OSError:
            continue


def healthy(name: str, pause_s: float, keep: Path | None = None) -> Healthy:
    """One sound job, watched to its end."""
    place = Path(tempfile.mkdtemp(prefix=f"td-{name}-", dir=keep))
    begin = time.monotonic()
    environ = {"SCENARIO_PAUSE_S": str(pause_s), "SCENARIO_MARK": str(place / "mark")}
    started = Started(place, "healthy.py", name, environ)
    try:
        for _ in started.follow(HEALTHY_S + 2 * pause_s):
            pass
        late = started.process.poll() is None
    finally:
        started.close()
    view = started.seen.view
    said = [(cause, sure, ranks) for ranks, cause, sure in started.seen.firsts if cause not in ("none", "compiling")]
    error = "it did not end" if late else "" if view is not None else f"no view: {started.words()!r}"
    result = Healthy(
        name=name,
        alarms=tuple(f"{cause} of {list(ranks)}" for cause, sure, ranks in said if sure),
        hints=tuple(f"{cause} of {list(ranks)}" for cause, sure, ranks in said if not sure),
        cause=view.verdict.cause if view else "",
        state=view.state if view else "",
        seconds=time.monotonic() - begin,
        error=error,
        run=str(place),
    )
    if keep is None and result.right:
        shutil.rmtree(place, ignore_errors=True)
    return result


def healthy_names() -> list[str]:
    """The sound jobs, in the order of their file, which needs a rank's environment to be imported."""
    text = (HERE / "healthy.py").read_text().partition("HOOKS:")[2]
    return re.findall(r'^    "([\w-]+)":', text, re.MULTILINE)
