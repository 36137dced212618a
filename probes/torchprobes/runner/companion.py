"""The one child of a supervisor that belongs to no job: it watches, and its stdin is its lifeline.

Standard library only; runs in the supervisor, on its main and only thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from torchprobes.runner import processes
from torchprobes.runner.launchers import PlainProcess, open_log
from torchprobes.runner.records import Records

WATCHER = Path(__file__).parents[1] / "jobs" / "watch" / "watcher.py"
LONGEST_PAUSE_S = 30.0


class Companion:
    """The watcher of one node of a job, kept alive."""

    def __init__(self, order: dict[str, Any], records: Records) -> None:
        self.order, self.records = order, records
        self.process: PlainProcess | None = None
        self.lifeline = -1
        self.starts = 0
        self.job: dict[str, Any] | None = None
        """Who it is to watch (distributed.JobIdentity); it is started once that is known."""
        self.done = False
        self._next = 0.0

    @property
    def keep(self) -> frozenset[int]:
        """Its pid, which a census leaves out."""
        return frozenset({self.process.pid} if self.process else ())

    @property
    def listen(self) -> tuple[int, ...]:
        """What is readable when it ends."""
        return self.process.listen if self.process else ()

    def look(self) -> None:
        """Start it if it is not there; after a death it is given a longer pause each time.

        One that ends with 0 has seen the end of the job, and is not started again.
        """
        if self.job is None or self.done:
            return
        if self.process is not None:
            ended = self.process.wait()
            if ended is None:
                return
            self._close()
            self.done = ended.code == 0
            pause = min(LONGEST_PAUSE_S, 0.1 * 4 ** min(self.starts, 8))
            self._next = time.monotonic() + pause
            self.records.write("watcher-exit", code=ended.code, signal=ended.signal, restart_s=pause)
        if time.monotonic() >= self._next:
            self._start()

    def _start(self) -> None:
        if not WATCHER.is_file():
            self._next = time.monotonic() + LONGEST_PAUSE_S
            return
        reading, self.lifeline = os.pipe()
        null = os.open(os.devnull, os.O_WRONLY)
        errors = open_log(self.order["node"], "watcher.err")
        try:
            self.process = _run_watcher(self.order, (reading, null, errors))
        except OSError as error:
            self.records.write("watcher-exit", code=None, signal=None, why=error.strerror)
            self._next = time.monotonic() + LONGEST_PAUSE_S
            self._close()
            return
        finally:
            for fd in (reading, null, errors):
                os.close(fd)
        self.starts += 1
        told = {"run": self.order["run"], "node": self.order["node"], "mode": "launched", "job": self.job}
        with contextlib.suppress(OSError):
            os.write(self.lifeline, json.dumps(told).encode() + b"\n")
        entry = processes.read(self.process.pid)
        self.records.write("watcher", pid=self.process.pid, start=entry.start if entry else 0, starts=self.starts)

    def end(self, limit_s: float) -> None:
        """Close its lifeline and wait for its last view; then it is ended: it is ours."""
        process = self.process
        if process is None:
            return
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1
        deadline = time.monotonic() + limit_s
        while process.wait() is None and time.monotonic() < deadline:
            select.select(process.listen, [], [], 0.05)
        if process.wait() is None:
            os.kill(process.pid, signal.SIGKILL)
            self.records.write("watcher-exit", code=None, signal="SIGKILL", why=f"no end within {limit_s:g} s")
        self._close()

    def _close(self) -> None:
        self.process = None
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1


def _run_watcher(order: dict[str, Any], fds: tuple[int, int, int]) -> PlainProcess:
    """Start it in a session of its own; it is not bound to our life, because it tells how that ended."""
    report, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            os.chdir("/")
            os.execv(sys.executable, [sys.executable, "-I", "-B", str(WATCHER)])  # noqa: S606 - no shell
        except OSError as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(127)
    os.close(theirs)
    os.set_blocking(report, False)
    return PlainProcess(pid, report)
