"""The runner's end of one guardian: order it, hear it, let go of it. No method waits for the payload."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import recovery
from .recovery import end_of

_GUARDIAN = Path(__file__).parent / "guardian.py"
_SLACK_S = 30.0


class Guard:
    """A started guardian."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Start it.

        Raises:
            OSError: if no process can be made.
        """
        self.records: list[dict[str, Any]] = []
        self._folder = Path(order["folder"])
        self._token = order["token"]
        self._partial = b""
        self._lock = threading.Lock()
        limits = ("limit_s", "import_limit_s", "grace_s", "kill_s")
        self._deadline = time.monotonic() + sum(order[name] for name in limits) + _SLACK_S
        self._kill_s = order["kill_s"]
        argv = [sys.executable, "-I", "-S", "-B", str(_GUARDIAN)]
        with (self._folder / "guardian.err").open("wb") as err:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, cwd="/", start_new_session=True,
                bufsize=0,
            )  # fmt: skip
        self._send(json.dumps(order).encode() + b"\n")

    @property
    def pid(self) -> int:
        """The guardian's own pid."""
        return self._process.pid

    def pids(self) -> tuple[int, ...]:
        """The processes of the probe that were recorded so far."""
        return tuple(r["pid"] for r in self.records if r.get("ev") == "process")

    def listen(self, timeout_s: float) -> bool:
        """Take in new records, waiting for some at most `timeout_s`; False once the guardian has told its last."""
        pipe = self._process.stdout
        if pipe is None:
            return False
        if time.monotonic() > self._deadline:
            self._process.kill()  # a guardian on a file system that gives no answer
        if not select.select([pipe], [], [], timeout_s)[0]:
            return True
        data = os.read(pipe.fileno(), 1 << 16)
        *lines, self._partial = (self._partial + data).split(b"\n")
        self.records += [r for r in map(recovery.decode, lines) if r is not None]
        return bool(data)

    def cancel(self, why: str) -> None:
        """Ask for the end of the probe; one that does not come ends the guardian itself."""
        self._deadline = min(self._deadline, time.monotonic() + 2 * self._kill_s + 1)
        self._send(f"cancel {' '.join(why.split())}\n".encode())

    def drop(self) -> None:
        """Let go of the lifeline: the guardian kills everything and exits, by itself. Returns at once."""
        with self._lock:
            if self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.close()

    def close(self) -> dict[str, Any]:
        """After `listen` said False: how the probe ended, whatever became of the guardian."""
        status = self._process.wait()
        self.drop()
        if self._process.stdout is not None:
            self._process.stdout.close()
        end = end_of(self.records) or end_of(recovery.read_records(self._folder))
        return end if end is not None else self._lost(status)

    def _lost(self, status: int) -> dict[str, Any]:
        """The guardian died without telling an end: the runner does its work."""
        records = [{"ev": "start", "token": self._token}, *self.records, *recovery.read_records(self._folder)]
        count = recovery.end_leftovers(records)
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        cause = f"interrupted: its guardian ended ({how}); the runner killed the {count} processes that were left"
        return {"ev": "end", "ending": "interrupted", "cause": cause, "seconds": 0.0}

    def _send(self, data: bytes) -> None:
        pipe = self._process.stdin
        view = memoryview(data)
        try:
            while pipe is not None and view:
                view = view[pipe.write(view) or 0 :]
        except (OSError, ValueError):  # it is gone, or was let go of: its end is told by `close`
            return
