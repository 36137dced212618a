"""The recorder: a sampler whose lines go to a file as they come, with nothing understood and nothing judged."""

from __future__ import annotations

import socket
import threading
from math import inf

from ... import __version__
from ...rundir import boot_id
from ..source import Sampler
from .file import Header
from .ring import FileStore


def header(rate_hz: float) -> Header:
    """The header of a recording of this node."""
    return Header(torchdoctor=__version__, host=socket.gethostname(), boot_id=boot_id(), rate_hz=rate_hz)


class Recorder(Sampler):
    """Runs the sampler child and gives its lines to a store. It never gives up: a driver may come back."""

    strikes = inf

    def __init__(self, store: FileStore, rate_hz: float, command: tuple[str, ...] | None = None) -> None:
        super().__init__(rate_hz, command)
        self._store, self._lock = store, threading.Lock()
        self._open = True
        self._noted = ""

    def take(self, line: bytes) -> bool:
        """Keep one line; what happened to the sampler since the one before is kept with it."""
        with self._lock:
            if not self._open:
                return True
            if self._words != self._noted and line.startswith(b"{"):
                self._noted = self._words
                self._store.note(self._words or "the sampler answers again")
            return self._store.add(line)

    def close(self, timeout_s: float = 2.0) -> bool:
        """Let the child end, and end the file so that it is whole; False if the disk does not answer."""
        self.stop()
        if not self._lock.acquire(timeout=timeout_s):
            return False
        try:
            self._open = False
            self._store.close()
        finally:
            self._lock.release()
        return True
