"""A program on a real pseudo terminal, and what its screen shows: for tests that no headless driver can do."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
CONSOLE = (sys.executable, "-m", "torchdoctor")
DEADLINE_S = 30.0


class Terminal:
    """One program on a pseudo terminal of `size` (columns, rows); its output drives an emulator."""

    def __init__(
        self, command: Sequence[str], size: tuple[int, int] = (80, 24), environ: Mapping[str, str] | None = None
    ) -> None:
        self.raw = b""
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.began = time.monotonic()
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            os.execve(command[0], list(command), _environment(environ or {}))
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.code: int | None = None

    def read(self, timeout_s: float = 0.05) -> bool:
        """Take what the program wrote; False when it closed the terminal."""
        if not select.select([self.handle], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self.handle, 1 << 16)
        except OSError:  # the other side is gone
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    @property
    def text(self) -> str:
        """The screen."""
        return "\n".join(self.screen.display)

    def until(self, seen: str | Callable[[], bool], deadline_s: float = DEADLINE_S) -> float:
        """Read until the screen shows `seen`, or it is true; seconds since the start."""
        test = seen if callable(seen) else lambda: seen in self.text
        while not test():
            alive = self.read()
            passed = time.monotonic() - self.began
            assert passed < deadline_s, f"{seen!r} did not come:\n{self.text}"
            assert alive or test(), f"it ended without {seen!r}:\n{self.text}"
        return time.monotonic() - self.began

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self.handle, keys.encode())

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def end(self, deadline_s: float = DEADLINE_S) -> tuple[int, float]:
        """(exit status, seconds until the program was gone, counted from this call)."""
        asked = time.monotonic()
        while self.code is None:
            self.read(0.01)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            assert time.monotonic() - asked < deadline_s, f"it did not end:\n{self.text}"
        took = time.monotonic() - asked
        while select.select([self.handle], [], [], 0)[0] and self.read(0):
            pass
        return self.code, took

    def close(self) -> None:
        """Kill what is left of it."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.code = -signal.SIGKILL
        os.close(self.handle)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    """What the program gets: nothing of ours but the path; "" removes a variable."""
    base = {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "xterm-256color",
        "LANG": "C.UTF-8", "PYTHONPATH": f"{ROOT / 'tui'}:{ROOT / 'probes'}",
    }  # fmt: skip
    return {key: value for key, value in {**base, **changes}.items() if value}
