"""The warden of a supervisor: its parent, which waits for it and ends what a SIGKILL of it left.

It is a subreaper, so what the supervisor's death orphans becomes its own, recorded or not. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

from torchprobes.runner import processes
from torchprobes.runner.launchers import Child, Exit
from torchprobes.runner.processes import Entry
from torchprobes.runner.records import Records

LOOK_S = 0.2
KILL_S = 10.0
MOST_NAMED = 20


class Requests:
    """What was asked of this process by signals: how often it was told to end. A pipe wakes whoever selects."""

    def __init__(self, *, interrupt: bool = False) -> None:
        """Listen; with `interrupt` a person's Ctrl-C asks for the end too."""
        self.ends = 0
        self.wake, writing = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)
        if interrupt:
            signal.signal(signal.SIGINT, self._on_signal)

    def drain(self) -> None:
        """Empty the pipe."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake, 4096):
                pass

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.ends += 1


def named(entry: Entry) -> dict[str, Any]:
    """A process as a record names it; its state tells uninterruptible sleep (D)."""
    return {
        "pid": entry.pid, "start": entry.start, "state": entry.state, "command": processes.command_line(entry.pid)
    }  # fmt: skip


def stamp() -> str:
    """This moment as run.json has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def change_info(run: str, **fields: Any) -> None:
    """Replace some fields of run.json; a run that cannot be written goes on, and says so on stderr."""
    path = os.path.join(run, "run.json")
    try:
        with open(path, "rb") as file:
            info = json.loads(file.read())
        new = f"{path}.{os.getpid()}"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(info | fields, out)
        os.replace(new, path)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"run.json cannot be changed: {error}\n")


def guard(supervisor: int, done: int, requests: Requests, order: dict[str, Any]) -> int:
    """The warden: wait for the supervisor, hand a request to end on, then end what it left; its exit code.

    A supervisor that ended as it should has written to `done`.
    """
    child = Child()
    child.born(supervisor)
    asked = 0
    while (ended := child.wait()) is None:
        select.select([requests.wake, *child.listen], [], [], 60.0 if child.listen else LOOK_S)
        requests.drain()
        if requests.ends > asked:
            asked = requests.ends
            os.kill(supervisor, signal.SIGTERM)  # not reaped yet: the pid is still the supervisor's
    if not os.read(done, 1):
        _clear(order, ended)
    return ended.code if ended.code is not None else 1


def _clear(order: dict[str, Any], ended: Exit) -> None:
    """End all that descends from the warden but the watcher, which tells what became of the job."""
    keep = frozenset(_watchers(order["node"]))
    census = processes.Census(os.getpid(), keep)
    left = processes.end_all(census.living, lambda: not processes.reap_children(keep), KILL_S)
    records = Records(os.path.join(order["node"], "supervisor.jsonl"), os.open(os.devnull, os.O_WRONLY))
    records.write("lost", code=ended.code, signal=ended.signal, not_ended=[named(e) for e in left[:MOST_NAMED]])
    records.close()
    if order["owner"]:
        change_info(order["run"], finished=stamp())


def _watchers(node: str) -> list[int]:
    """Pids of watchers that the supervisor recorded and that are the same processes still."""
    found = []
    with contextlib.suppress(OSError), open(os.path.join(node, "supervisor.jsonl"), "rb") as file:
        for line in file:
            if b'"ev": "watcher"' not in line:
                continue
            with contextlib.suppress(ValueError, KeyError):
                record = json.loads(line)
                entry = processes.read(record["pid"])
                if entry is not None and entry.start == record["start"]:
                    found.append(entry.pid)
    return found
