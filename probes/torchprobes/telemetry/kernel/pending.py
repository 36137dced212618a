"""Events that a thread has left and a sample takes away, a bounded number at a time."""

from __future__ import annotations

from collections import deque
from typing import Final

from ...samples import KernelEvent

MOST_AT_ONCE: Final = 1_000
"""A sample stays small whatever came meanwhile; the rest goes into the next ones."""


def take(pending: deque[KernelEvent], most: int) -> tuple[KernelEvent, ...]:
    """The oldest events, at most so many, taken off `pending` while its thread may add to it."""
    taken: list[KernelEvent] = []
    while pending and len(taken) < most:
        taken.append(pending.popleft())
    return tuple(taken)
