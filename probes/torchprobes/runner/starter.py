"""The guardian's end of a starter: a process of the target that forks payloads (`payloads/starter.py`).

Standard library only; runs in the guardian. The starter is a child of the guardian, and so are its payloads: they are
forked twice and adopted. Nothing here waits: a starter that imports torch for minutes is a probe that has not started.
"""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from torchprobes.runner.launchers import Child, open_log, spawn

_CHUNK = 1 << 16
_FORK_S = 20.0
"""A starter that has not forked within this has been stopped, or the machine has."""

_KILLED_S = 5.0


class Starter(Child):
    """A started starter. `failure` says why it serves nobody any more, "" while it does; `ready` what it said first."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Start it.

        Raises:
            OSError: if a file cannot be opened or no process can be made.
        """
        super().__init__()
        self.trouble = ""
        self.ready: dict[str, Any] | None = None
        self._partial = b""
        self._unsent = b""
        self._answers: list[int] = []
        their_in, self._orders = os.pipe()
        self._said, their_out = os.pipe()
        err = open_log(order["folder"], "stderr.log")
        try:
            pid, self._report = spawn(order, (their_in, their_out, err))
        finally:
            for fd in (their_in, their_out, err):
                os.close(fd)
        self.born(pid)
        for fd in (self._said, self._orders):
            os.set_blocking(fd, False)

    @property
    def hears(self) -> tuple[int, ...]:
        """What is readable when it has said something."""
        return () if self.trouble else (self._said,)

    def ask(self, order: dict[str, Any]) -> None:
        """Let it fork a payload; `answer` has its pid."""
        self._unsent += json.dumps(order).encode() + b"\n"

    def answer(self) -> int | None:
        """The pid of the payload that was asked for, None while there is none; `trouble` says if there will be none."""
        return self._answers.pop(0) if self._answers else None

    def look(self) -> None:
        """Hand over what was asked, take in what it said; it may have ended."""
        self._send()
        while not self.trouble:
            try:
                chunk = os.read(self._said, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._ended()
                return
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            for line in lines:
                self._take(line)

    def give_up(self, why: str) -> None:
        """It serves nobody any more; it is killed, and with it what it is about to fork."""
        self.trouble = self.trouble or why
        if self.wait() is None:
            os.kill(self.pid, signal.SIGKILL)
            deadline = time.monotonic() + _KILLED_S
            while self.wait() is None and time.monotonic() < deadline:
                time.sleep(0.002)

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._orders, self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more: its end will tell why
            self._unsent = b""

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            if "refused" in message:
                self.give_up(str(message["refused"]))
            elif "ready" in message:
                self.ready = dict(message["ready"])
            else:
                self._answers.append(int(message["pid"]))
        except (ValueError, TypeError, LookupError, RecursionError):
            self.give_up(f"it said {line[:80]!r}")

    def _ended(self) -> None:
        """Its end of the pipe is closed: it has ended, or is about to."""
        deadline = time.monotonic() + _KILLED_S
        while (end := self.wait()) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        failed = os.read(self._report, 4096).decode("utf-8", "replace")
        how = end.signal or f"exit code {end.code}" if end else "it closed its pipe"
        self.give_up(failed or f"it ended: {how}{'' if self.ready is None else ', after it had served'}")


class Forked:
    """The payload forked by a starter."""

    def __init__(self, starter: Starter, order: dict[str, Any]) -> None:
        self._starter = starter
        self._order = {name: order[name] for name in ("env", "cwd", "folder")} | {"argv": order["argv"][2:]}

    def start(self) -> ForkedProcess:
        """Ask at once, or as soon as the starter is ready."""
        process = ForkedProcess(self._starter, self._order)
        process.pump()
        return process


class ForkedProcess(Child):
    """A payload that the starter forks and the guardian adopts; without a pid until then."""

    refused = True

    def __init__(self, starter: Starter, order: dict[str, Any]) -> None:
        super().__init__()
        self.listen = starter.hears
        self._starter, self._order = starter, order
        self._asked: float | None = None

    def pump(self) -> None:
        """Ask once the starter is ready, and take in its answer."""
        if self.pid or self._starter.trouble:
            return
        self._starter.look()
        if self._asked is None and self._starter.ready is not None:
            self._starter.ask(self._order)
            self._asked = time.monotonic()
            self._starter.look()
        if self._asked is not None:
            self._answered(self._asked)

    def _answered(self, asked: float) -> None:
        pid = self._starter.answer()
        if pid is not None:
            self.born(pid)
        elif time.monotonic() > asked + _FORK_S:
            self._starter.give_up(f"it forked nothing within {_FORK_S:g} s")

    def failure(self) -> str | None:
        """Why the starter serves nobody, "" once the payload runs, None until then."""
        return "" if self.pid else self._starter.trouble or None

    def kill(self) -> None:
        """Where it may be forked any moment, its starter goes with it: what comes late would be nobody's."""
        if self._asked is not None and not self.pid:
            self._starter.give_up("it was ended while it forked")
