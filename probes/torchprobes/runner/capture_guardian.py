"""The guardian of a capture: a person's own command under watch, its output kept, nothing of it ended for our limits.

Run and ordered as `guardian.py`, standard library only. It differs in four ways. The command has no time limit. Its
output comes over pipes and is written here, so that a full disk or a limit on the kept text costs text and never the
command. `signal N` on the lifeline is handed on to the command, which may end in its own way. How it ended goes to
`end.json`, replaced in one step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

sys.path.append(str(Path(__file__).resolve().parents[2]))

from torchprobes.runner import processes
from torchprobes.runner.guardian import Ending, Guardian, Owner
from torchprobes.runner.launchers import PlainProcess, Process, open_log, spawn
from torchprobes.runner.records import Records

BEFORE: Final = ".1"
"""Appended to the name of a log that has reached its limit; a new one goes on under its name."""

PAUSE_S: Final = 0.005
"""Between two looks at the pipes: a command that prints line by line wakes nobody for each of them."""

_CHUNK: Final = 1 << 16
_READS: Final = 64
_PIPE_BYTES: Final = 1 << 20
"""As much as Linux lets anybody have in a pipe: what the command may print while nobody looks."""


class Kept:
    """A log that holds at most `limit` bytes; what came before lies beside it, and what was before that is gone."""

    def __init__(self, folder: str, name: str, limit: int) -> None:
        self.turns = 0
        self.lost = 0
        """Bytes that could not be written."""
        self._folder, self._name, self._limit = folder, name, limit
        self._size = 0
        self._fd = open_log(folder, name)

    def write(self, data: bytes) -> None:
        """Append; past the limit a new file begins with the next line."""
        if self._size + len(data) > self._limit and (cut := data.find(b"\n") + 1):
            self._append(data[:cut])
            self._turn()
            data = data[cut:]
        self._append(data)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._fd, view)
            except OSError:  # a full disk costs text, never the command
                self.lost += len(view)
                return
            self._size += written
            view = view[written:]

    def _turn(self) -> None:
        path = os.path.join(self._folder, self._name)
        with contextlib.suppress(OSError):
            os.rename(path, path + BEFORE)
            fresh = open_log(self._folder, self._name)
            os.close(self._fd)
            self._fd, self._size = fresh, 0
            self.turns += 1

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class Piped:
    """The command as a child of the guardian, its output over pipes."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order

    def start(self) -> PipedProcess:
        """Fork and exec.

        Raises:
            OSError: if a file cannot be opened or no process can be made.
        """
        folder, limit = self._order["folder"], self._order["kept_bytes"]
        null = os.open(os.devnull, os.O_RDONLY)
        our_out, out = _pipe()
        our_err, err = _pipe()
        try:
            started = spawn(self._order, (null, out, err))
        finally:
            for fd in (null, out, err):
                os.close(fd)
        logs = {our_out: Kept(folder, "stdout.log", limit), our_err: Kept(folder, "stderr.log", limit)}
        return PipedProcess(*started, logs)


class PipedProcess(PlainProcess):
    """A child whose pipes are read here."""

    def __init__(self, pid: int, report: int, logs: dict[int, Kept]) -> None:
        super().__init__(pid, report)
        self.logs = logs
        self.busy = False
        """Whether the last look found more than it took."""
        self._open = list(logs)
        self.listen += tuple(logs)

    def pump(self) -> None:
        """Take what there is."""
        self.busy = sum(map(self._take, tuple(self._open))) > 0  # of each, whatever the others have

    def drain(self) -> None:
        """Take all there is, once nobody writes any more."""
        self.pump()
        while self.busy:
            self.pump()

    def _take(self, fd: int) -> bool:
        for _ in range(_READS):
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return False
            if not data:
                self._open.remove(fd)
                self.listen = tuple(other for other in self.listen if other != fd)
                return False
            self.logs[fd].write(data)
        return True


def _pipe() -> tuple[int, int]:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return ours, theirs


class Unlimited:
    """Streams that nobody counts: they have no limit that would end anything."""

    started = False

    def look(self) -> None:
        """Nothing to count."""

    def close(self) -> None:
        """Nothing is held."""

    def over(self) -> str:
        """Never."""
        return ""


class CaptureGuardian(Guardian):
    """One command under watch."""

    process: PipedProcess | None

    def _watched(self) -> Unlimited:
        return Unlimited()

    def _launcher(self) -> Piped:
        return Piped(self.order)

    def _look(self, process: Process) -> None:
        super()._look(process)
        if isinstance(process, PipedProcess) and not process.busy:
            time.sleep(PAUSE_S)

    def _over_limit(self, process: Process) -> Ending | None:
        return None

    def _told(self, line: bytes) -> Ending | None:
        if line.startswith(b"signal ") and line[7:].isdigit():
            self._hand_on(int(line[7:]))
            return None
        return super()._told(line)

    def _hand_on(self, number: int) -> None:
        """To the command's process group, as a terminal does; ranks in sessions of their own hear their launcher."""
        if self.process is not None and self.process.pid and self.exit is None:  # not reaped: the pid is still its own
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, number)

    def _finish(self, ending: Ending) -> None:
        super()._finish(ending)
        logs = list(self.process.logs.values()) if self.process is not None else []
        if self.process is not None:
            self.process.drain()
        for log in logs:
            log.close()
        write_end(self.order["folder"], {
            "exit_code": self.exit.code if self.exit else None,
            "signal": self.exit.signal if self.exit else None,
            "seconds": round(self.seconds, 3),
            "ending": ending.ending,
            "cause": ending.cause,
            "left_behind": len(self.left_behind),
            "lost_bytes": sum(log.lost for log in logs),
            "turns": sum(log.turns for log in logs),
        })  # fmt: skip


def write_end(folder: str, end: dict[str, Any]) -> None:
    """Replace `end.json` in one step; a disk that is full leaves none."""
    path = os.path.join(folder, "end.json")
    with contextlib.suppress(OSError):
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(end, file)
        os.replace(f"{path}.new", path)


def main() -> int:
    """Read the order and guard its command; 2 if there was no order."""
    owner = Owner()
    order = owner.order()
    if order is None:
        return 2
    processes.become_subreaper()
    records = Records(os.path.join(order["folder"], "guardian.jsonl"), 1)
    me = processes.read(os.getpid())
    records.write(
        "start", pid=os.getpid(), start=me.start if me else 0, token=order["token"], boot_id=order["boot_id"],
    )  # fmt: skip
    CaptureGuardian(order, records, owner, None).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
