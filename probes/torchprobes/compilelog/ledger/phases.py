"""The phases that are open in one process: what it compiles now, or did when it ended."""

from __future__ import annotations

from typing import Final

from ..events import PhaseBegan, PhaseEnded, Source

DEEPEST: Final = 256
"""Phases that are kept open; torch nests about twenty."""


class Phases:
    """Phases begin and end in each process for itself; some end without having begun, when a trace starts late."""

    def __init__(self) -> None:
        self._open: list[tuple[str, Source]] = []

    def began(self, event: PhaseBegan) -> None:
        """A phase within those that are open."""
        if len(self._open) < DEEPEST:
            self._open.append((event.name, event.source))

    def ended(self, event: PhaseEnded) -> None:
        """The innermost open phase of that name is over."""
        for i in range(len(self._open) - 1, -1, -1):
            if self._open[i][0] == event.name:
                del self._open[i]
                return

    @property
    def names(self) -> tuple[str, ...]:
        """Outermost first."""
        return tuple(name for name, _ in self._open)

    @property
    def compile_id(self) -> str:
        """What they belong to: the innermost phase that names a compile."""
        return next((source.compile_id for _, source in reversed(self._open) if source.compile_id), "")

    @property
    def since_s(self) -> float | None:
        """When the outermost began."""
        return self._open[0][1].at_s if self._open else None
