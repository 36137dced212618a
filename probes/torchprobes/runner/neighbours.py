"""The runner's end of `telemetry/neighbours.py`: who computes on the GPUs of a check, a fifth of a second ago."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from torchprobes import telemetry
from torchprobes.child import MAX_LINE_BYTES, Piped
from torchprobes.samples import ProcessSample

from .visible import Seat

PROGRAM: Final = Path(telemetry.__file__).parent / "neighbours.py"


class Neighbours:
    """Watches the NVIDIA GPUs among some seats, in a thread and a child of its own. No method waits.

    Where the child cannot be had, or ends, nobody is seen here, and the samples alone tell.
    """

    def __init__(self, seats: Iterable[Seat]) -> None:
        self.processes: tuple[ProcessSample, ...] = ()
        self._uuids = sorted({seat.gpu.uuid for seat in seats if seat.gpu.vendor == "nvidia"})
        self._child: Piped | None = None
        self._closed = False
        self._lock = threading.Lock()
        if self._uuids:
            threading.Thread(target=self._work, name="torchdoctor-neighbours", daemon=True).start()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def _work(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            child = Piped([sys.executable, "-I", "-B", str(PROGRAM), *self._uuids])
            with self._lock:
                self._child = child
                if self._closed:
                    child.kill()
            self._read(child)
            child.wait()
        self.processes = ()

    def _read(self, child: Piped) -> None:
        decoder = msgspec.json.Decoder(list[ProcessSample])
        while child.stdout is not None and (line := child.stdout.readline(MAX_LINE_BYTES)):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):  # a warning of a library is no list
                self.processes = tuple(decoder.decode(line))
