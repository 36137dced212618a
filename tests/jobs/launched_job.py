"""Jobs launched for a test: a cheap agent whose ranks are plain sleepers, or the target's own torchrun."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torchprobes import rundir
from torchprobes.jobs import control, launch
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.node import NodeFolder, node_folder
from torchprobes.model import Target
from torchprobes.rundir import RunDir
from torchprobes.runner import processes
from torchprobes.runner.order import PAYLOADS

AGENT = """
import os, subprocess, sys, time
shim, count, run_id, *program = sys.argv[1:]
for rank in range(int(count)):
    env = dict(os.environ, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=count)
    argv = [sys.executable, "-I", "-S", "-B", shim, run_id, *program]
    subprocess.Popen(argv, env=env, start_new_session=True)
time.sleep(600)
"""
"""Starts ranks as torchrun does: a session each, by the shim; it ends only by a signal."""

RANK = """
import os, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
with open(os.path.join(os.environ["SEEN"], str(os.getpid())), "w"):
    pass
time.sleep(600)
"""
"""A rank that waits, with a child that nothing binds to it (a DataLoader worker that hangs)."""


def until(what: Callable[[], Any], deadline_s: float = 60.0) -> Any:
    """Wait for `what`, by polling; fails at the deadline."""
    end = time.monotonic() + deadline_s
    while not (found := what()):
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.005)
    return found


class Job:
    """One job under its supervisor."""

    def __init__(self, place: Path, options: LaunchOptions, torch: str | None = "2.13.0") -> None:
        self.run: RunDir = rundir.create(place, "job")
        self.plan = launch.plan(Target(python=sys.executable, torch=torch), options, self.run)
        self.supervisor = launch.start(self.run, self.plan)

    @property
    def node(self) -> NodeFolder:
        """This node's folder."""
        return node_folder(self.run)

    def records(self, ev: str) -> list[dict[str, Any]]:
        """The supervisor's records of one kind."""
        return [record for record in control.records(self.node) if record.get("ev") == ev]

    @property
    def agent(self) -> int:
        """The agent's pid."""
        return int(until(lambda: self.records("agent"))[0]["pid"])

    @property
    def ended(self) -> bool:
        """Whether run.json says so."""
        return self.run.info.finished is not None

    def all_living(self) -> set[int]:
        """Whatever of it lives: told by the token in the environment, so nothing can hide."""
        start = until(lambda: self.records("start"))[0]
        mark = f"{processes.TOKEN}={start['token']}".encode()
        return {pid for pid in processes.pids() if mark in _environ(pid)}

    def clear(self) -> None:
        """End it, whatever state a failed test left it in."""
        start = self.records("start")[0]
        for pid in self.all_living() | {start["pid"], start["warden"], *(r["pid"] for r in self.records("watcher"))}:
            entry = processes.read(pid)
            if entry is not None:
                processes.send(entry, signal.SIGKILL)


def _environ(pid: int) -> list[bytes]:
    entry = processes.read(pid)
    if entry is None or entry.dead:
        return []
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@contextlib.contextmanager
def cheap_job(tmp_path: Path, ranks: int = 2, *words: str, **options: Any) -> Iterator[Job]:
    """A job of the cheap agent, once all its ranks and their children run."""
    for name, text in (("agent.py", AGENT), ("rank.py", RANK)):
        (tmp_path / name).write_text(text)
    seen = tmp_path / f"seen-{os.urandom(3).hex()}"
    seen.mkdir()
    program = (sys.executable, "-I", "-S", str(tmp_path / "rank.py"), *words)
    asked = LaunchOptions(
        launcher="command",
        command=(
            sys.executable,
            "-I",
            "-S",
            str(tmp_path / "agent.py"),
            str(PAYLOADS / "rank_shim.py"),
            str(ranks),
            "td-x",
            *program,
        ),
        env={"SEEN": str(seen)},
        cwd=str(tmp_path),
        **options,
    )
    job = Job(tmp_path / "runs", asked)
    try:
        until(lambda: len(list(seen.iterdir())) == ranks)
        until(lambda: len(job.records("process")) >= 1 + 2 * ranks)
        yield job
    finally:
        job.clear()


def lines(path: Path) -> list[dict[str, Any]]:
    """A file of JSON lines, {} events passed over; [] before it is there."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except OSError:
        return []
