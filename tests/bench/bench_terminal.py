"""The console on a pseudo terminal, read raw and at once: an emulator would be slower than what is measured."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSOLE = (sys.executable, "-m", "torchdoctor")
TICKS_S = os.sysconf("SC_CLK_TCK")


class Pty:
    """One program; `sent` counts what it wrote."""

    def __init__(self, command: Sequence[str], size: tuple[int, int], environ: Mapping[str, str]) -> None:
        base = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "xterm-256color"}
        base |= {"LANG": "C.UTF-8", "PYTHONPATH": f"{ROOT / 'tui'}:{ROOT / 'probes'}"}
        self.sent = 0
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            os.execve(command[0], list(command), {**base, **environ})
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._tail = b""

    def _read(self, timeout_s: float) -> None:
        if select.select([self.handle], [], [], timeout_s)[0]:
            data = os.read(self.handle, 1 << 16)
            self.sent += len(data)
            self._tail = (self._tail + data)[-(1 << 18) :]

    def until(self, shows: bytes, deadline_s: float = 30.0) -> None:
        """Read until the expression `shows` came."""
        end, wanted = time.monotonic() + deadline_s, re.compile(shows)
        while not wanted.search(self._tail):
            assert time.monotonic() < end, f"{shows!r} did not come"
            self._read(0.05)

    def rest(self, seconds: float) -> None:
        """Read for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def send(self, keys: str) -> None:
        """Type them."""
        os.write(self.handle, keys.encode())

    def answer(self, key: str, shows: bytes, deadline_s: float = 10.0) -> float:
        """Seconds from `key` until `shows` came."""
        self._tail = b""
        start = time.monotonic()
        self.send(key)
        self.until(shows, deadline_s)
        return time.monotonic() - start

    def cpu_s(self) -> float:
        """CPU seconds of the program so far, without its children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_S

    def rss_bytes(self, what: str = "RssAnon") -> int:
        """Memory of the program: `RssAnon`, or any other line of its status in kB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split(f"{what}:")[1].split()[0]) * 1024

    def __enter__(self) -> Pty:
        return self

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.handle)
