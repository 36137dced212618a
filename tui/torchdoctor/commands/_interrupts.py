"""Signals of a headless run: the first asks for an orderly end, the second for an immediate one."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts the signals that ask us to end, while it is entered; handlers do nothing else, so they cannot deadlock.

    A signal that the caller ignored (`nohup`, a background job of a shell) stays ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self._before: dict[int, Any] = {}
        self._pipe = (-1, -1)
        self._wakes = -1

    def __enter__(self) -> Interrupts:
        self._pipe = os.pipe()
        for handle in self._pipe:
            os.set_blocking(handle, False)
        self._wakes = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._wakes)
        for handle in self._pipe:
            os.close(handle)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal comes."""
        if select.select([self._pipe[0]], [], [], seconds)[0]:
            os.read(self._pipe[0], 64)

    def _came(self, number: int, _: FrameType | None) -> None:
        self.count += 1
        self.first = self.first or number
