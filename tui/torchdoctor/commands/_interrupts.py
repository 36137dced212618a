"""Signals of a headless run: the first asks for an orderly end, the second for an immediate one."""

from __future__ import annotations

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

    def __enter__(self) -> Interrupts:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _came(self, number: int, _: FrameType | None) -> None:
        self.count += 1
        self.first = self.first or number
