"""What a guardian tells: one JSON line a record, into `guardian.jsonl` and to whoever started it.

Standard library only; runs in the guardian. Records, by `ev`:

start: `pid start boot_id token argv limit_s` of the guardian · process: `pid start session main` of a descendant ·
started: the payload's own start, from which its limit runs · end: `ending cause exit_code signal seconds
left_behind left_behind_count not_ended full main starter`, `main` being the pid that the main process's own events
bear, and `starter` what its starter said of itself, None without one.
"""

from __future__ import annotations

import errno
import json
import os
import time
from typing import Any


class Records:
    """Writes records to a file that outlives everything and to a pipe that may have no reader; never raises."""

    def __init__(self, path: str, pipe: int) -> None:
        self._pipe = pipe
        self._pending = b""
        self.full = False
        os.set_blocking(pipe, False)
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._file = -1
            self.full = error.errno == errno.ENOSPC

    def write(self, ev: str, **fields: Any) -> None:
        """Append one record."""
        head = {"ev": ev, "t_ns": time.time_ns(), "m_ns": time.monotonic_ns()}
        line = json.dumps(head | fields).encode() + b"\n"
        try:
            os.write(self._file, line)
        except OSError as error:
            self.full = self.full or error.errno == errno.ENOSPC
        self._pending += line
        self.flush()

    def flush(self) -> bool:
        """Hand what is pending to the pipe without waiting; whether all of it went."""
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._pipe, self._pending) :]
        except BlockingIOError:
            return False
        except OSError:  # the reader is gone: the file holds everything
            self._pending = b""
        return True

    def close(self, limit_s: float = 2.0) -> None:
        """Hand over the rest, waiting for a slow reader at most `limit_s`."""
        deadline = time.monotonic() + limit_s
        while not self.flush() and time.monotonic() < deadline:
            time.sleep(0.01)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
