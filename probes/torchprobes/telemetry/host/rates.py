"""Counters as rates."""

from __future__ import annotations

from typing import Final

from ...cells import UNREAD, Absent, Cell, CellState

MIN_S: Final = 0.05
"""Two readings that are nearer make no rate: the kernel itself counts in steps."""

BACKWARDS: Final = Absent(state=CellState.STALE, why="the counter ran backwards: it was reset; the next reading tells")


class Rate:
    """What one counter gains in a second."""

    def __init__(self, scale: float = 1.0) -> None:
        self._last: tuple[float, int] | None = None
        self._cell: Cell = UNREAD
        self._scale = scale

    def of(self, count: Cell, now: float) -> Cell:
        """The rate since the reading before; why not, if there is none or the counter was not read."""
        if not isinstance(count, int):
            self._last = None
            return count
        if self._last is None:
            self._last = (now, count)
            return UNREAD
        then, before = self._last
        if now - then < MIN_S:
            return self._cell
        self._last = (now, count)
        gained = count - before
        self._cell = round(gained * self._scale / (now - then), 1) if gained >= 0 else BACKWARDS
        return self._cell
