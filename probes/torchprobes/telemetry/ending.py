"""How a child of ours ends: its last words, what killed it, and whether it can end at all. Runs in the console."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

KEPT_BYTES: Final = 4096
MOST_WORDS: Final = 200

WORDS_S: Final = 0.5
"""How long a dead child's last words are waited for; a process that it started may keep its stderr open."""

STUCK_S: Final = 2.0
"""A child that has closed its pipe and not ended for so long cannot end, whatever the kernel says of it."""


class LastWords:
    """Reads a child's stderr in a thread of its own, so that it is never full, and keeps the end of what was said."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._tail = b""
        self._thread: threading.Thread | None = None
        if pipe is not None:
            self._thread = threading.Thread(target=self._read, args=(pipe,), name="last words", daemon=True)
            self._thread.start()

    def text(self, wait_s: float = WORDS_S) -> str:
        """The last line that is not empty, "" if there is none; waits for the end of the pipe, at most so long."""
        if self._thread is not None:
            self._thread.join(wait_s)
        return last_line(self._tail)

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(OSError):
            while data := os.read(pipe.fileno(), KEPT_BYTES):
                self._tail = (self._tail + data)[-KEPT_BYTES:]


def last_line(data: bytes) -> str:
    """The last line of this that says something, bounded."""
    lines = (line.decode(errors="replace").strip() for line in reversed(data.splitlines()))
    return next((line[:MOST_WORDS] for line in lines if line), "")


def exit_code(process: subprocess.Popen[bytes], patience_s: float = 0.1) -> int | None:
    """How it ended, None if it has not within `patience_s`. Reaps it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(patience_s)
    return None


def await_end(process: subprocess.Popen[bytes], tell: Callable[[str], None]) -> int:
    """Wait for its end, for ever if need be; `tell` gets the words for a child that cannot end."""
    began = time.monotonic()
    while (code := exit_code(process)) is None:
        if time.monotonic() - began > STUCK_S or is_uninterruptible(process.pid):
            tell("the sampler sits in a driver call that cannot be interrupted")
    return code


def is_uninterruptible(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether the kernel says of any thread of a process that it is in state D. Its first may have ended already."""
    try:
        return any(_state(task) == b"D" for task in (proc / str(pid) / "task").iterdir())
    except OSError:
        return False


def _state(task: Path) -> bytes:
    try:
        return (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return b""


def cause(code: int, words: str) -> str:
    """Why a child ended: the signal that killed it before its last words, and those before its exit code."""
    if code >= 0:
        return words or f"exit {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}: {words}" if words else name
