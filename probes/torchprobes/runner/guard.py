"""The runner's end of a guardian: order it, hear it, let go of it. No method waits for the payload."""

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


class GuardianProcess:
    """A started guardian and its two pipes. `send` and `drop` may be called on any thread."""

    def __init__(self, errors: Path, program: Path = _GUARDIAN) -> None:
        """Start it; what it says on stderr goes to the file `errors`. `program` is the guardian's file.

        Raises:
            OSError: if no process can be made.
        """
        argv = [sys.executable, "-I", "-S", "-B", str(program)]
        self._lock = threading.Lock()
        with errors.open("wb") as err:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, cwd="/", start_new_session=True,
                bufsize=0,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    def send(self, data: bytes) -> None:
        """Tell it something; one that is gone, or was let go of, hears nothing."""
        pipe = self._process.stdin
        view = memoryview(data)
        try:
            while pipe is not None and view:
                view = view[pipe.write(view) or 0 :]
        except (OSError, ValueError):
            return

    def read(self, timeout_s: float) -> bytes | None:
        """What it said, waiting at most `timeout_s`: None for nothing yet, b"" once it has closed its pipe."""
        pipe = self._process.stdout
        if pipe is None or pipe.closed:
            return b""
        return os.read(pipe.fileno(), 1 << 16) if select.select([pipe], [], [], timeout_s)[0] else None

    def kill(self) -> None:
        """End it, as only one that does not answer is ended."""
        self._process.kill()

    def drop(self) -> None:
        """Let go of the lifeline: it kills everything and exits, by itself. Returns at once."""
        with self._lock:
            if self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.close()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Let go of it and wait for its end; its status, None if it has not ended within `timeout_s`."""
        self.drop()
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status


class Guard:
    """One probe's order to a guardian: to one of its own, or to `guardian`, which serves others after it."""

    def __init__(
        self, order: dict[str, Any], guardian: GuardianProcess | None = None, program: Path = _GUARDIAN
    ) -> None:
        """Give the order; `program` is the file of a guardian of its own.

        Raises:
            OSError: if no process can be made.
        """
        self.records: list[dict[str, Any]] = []
        self._folder = Path(order["folder"])
        self._token = order["token"]
        self._partial = b""
        limits = ("limit_s", "import_limit_s", "grace_s", "kill_s")
        self._deadline = time.monotonic() + sum(order[name] for name in limits) + _SLACK_S
        self._kill_s = order["kill_s"]
        self._own = guardian is None
        self._closed = False
        self._lock = threading.Lock()
        self._guardian = guardian or GuardianProcess(self._folder / "guardian.err", program)
        self._guardian.send(json.dumps(order).encode() + b"\n")

    @property
    def pid(self) -> int:
        """The guardian's own pid."""
        return self._guardian.pid

    def pids(self) -> tuple[int, ...]:
        """The processes of the probe that were recorded so far."""
        return tuple(r["pid"] for r in self.records if r.get("ev") == "process")

    def listen(self, timeout_s: float) -> bool:
        """Take in new records, waiting for some at most `timeout_s`; False once the guardian has told its last."""
        if time.monotonic() > self._deadline:
            self._guardian.kill()  # a guardian on a file system that gives no answer
        data = self._guardian.read(timeout_s)
        if data is None:
            return True
        *lines, self._partial = (self._partial + data).split(b"\n")
        self.records += [r for r in map(recovery.decode, lines) if r is not None]
        return bool(data) and (self._own or end_of(self.records) is None)

    def cancel(self, why: str) -> None:
        """Ask for the end of the probe; one that does not come ends the guardian itself."""
        with self._lock:
            if self._closed:  # the guardian may serve another probe by now
                return
            self._deadline = min(self._deadline, time.monotonic() + 2 * self._kill_s + 1)
            self._guardian.send(f"cancel {' '.join(why.split())}\n".encode())

    def hand_on(self, number: int) -> None:
        """Hand a signal on to what it guards; only the guardian of a capture does so."""
        with self._lock:
            if not self._closed:
                self._guardian.send(f"signal {number}\n".encode())

    def drop(self) -> None:
        """Let go of the guardian: it kills everything and exits, by itself. Returns at once."""
        self._guardian.drop()

    def close(self) -> dict[str, Any]:
        """After `listen` said False: how the probe ended, whatever became of the guardian."""
        with self._lock:
            self._closed = True
        end = end_of(self.records)
        if end is not None and not self._own:
            return end
        status = self._guardian.wait()
        end = end or end_of(recovery.read_records(self._folder))
        return end if end is not None else self._lost(status or 0)

    def _lost(self, status: int) -> dict[str, Any]:
        """The guardian died without telling an end: the runner does its work."""
        records = [{"ev": "start", "token": self._token}, *self.records, *recovery.read_records(self._folder)]
        count = recovery.end_leftovers(records)
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        cause = f"interrupted: its guardian ended ({how}); the runner killed the {count} processes that were left"
        return {"ev": "end", "ending": "interrupted", "cause": cause, "seconds": 0.0}
