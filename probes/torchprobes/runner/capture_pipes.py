"""The output of a captured command: over pipes into logs that may be full, never into the command's way.

Standard library only; runs in the guardian.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Any, Final

from torchprobes.runner.launchers import PlainProcess, open_log, spawn

BEFORE: Final = ".1"
"""Appended to the name of a log that has reached its limit; a new one goes on under its name."""

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

    def finish(self) -> tuple[Kept, ...]:
        """Nobody writes any more: take all there is; the logs, closed."""
        self.pump()
        while self.busy:
            self.pump()
        for log in self.logs.values():
            log.close()
        return tuple(self.logs.values())

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
