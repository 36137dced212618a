"""A history that is not folded anew for every sample: within a column a plot looks the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .interfaces import HistoryLike, WindowLike

LEAST_S = 1.0
"""A plot is at most this far behind, or the time of one of its columns."""


class Glance:
    """Keeps the windows that were asked for; `now_ns` is the time of the newest sample. One thread uses it."""

    def __init__(self, history: HistoryLike) -> None:
        self.history = history
        self.now_ns = 0
        self._kept: dict[tuple[str, str, float, int], tuple[int, WindowLike | None]] = {}

    def at(self, now_ns: int) -> None:
        """Another sample is the newest; in a recording it may be an older one."""
        if now_ns < self.now_ns:
            self._kept.clear()
        self.now_ns = now_ns

    def window(self, subject: str, metric: str, seconds: float, columns: int) -> WindowLike | None:
        """The last `seconds` of a cell of a subject; None if it was never read."""
        key = (subject, metric, seconds, columns)
        read_ns, kept = self._kept.get(key, (0, None))
        if kept is None or self.now_ns - read_ns >= max(LEAST_S, seconds / max(1, columns)) * 1e9:
            self._forget()
            kept = self.history.window(subject, metric, seconds, columns)
            self._kept[key] = self.now_ns, kept
        return kept

    def _forget(self) -> None:
        """Drop what nobody asks for any more: other widths, other metrics."""
        if len(self._kept) > 256:
            self._kept.clear()
