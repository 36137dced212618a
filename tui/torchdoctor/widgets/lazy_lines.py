"""Lines of a page that are made when they are first looked at: of a thousand, a screen shows forty."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import overload

from torchdoctor.paint import Line


class MadeLines(Sequence[Line]):
    """Lines that `made` makes by number."""

    @abstractmethod
    def made(self, at: int) -> Line:
        """Line `at`, counted from 0; what was made once may be kept."""

    @overload
    def __getitem__(self, at: int) -> Line: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Line]: ...
    def __getitem__(self, at: int | slice) -> Line | Sequence[Line]:
        if isinstance(at, slice):
            return [self.made(place) for place in range(*at.indices(len(self)))]
        return self.made(at + len(self) if at < 0 else at)


class LazyLines(MadeLines):
    """Lines that are there, and runs of lines that `make` makes by number; each is made once."""

    def __init__(self) -> None:
        self._made: list[Line | None] = []
        self._makers: list[tuple[int, int, Callable[[int], Line]]] = []

    def add(self, *lines: Line) -> None:
        """Lines that are there."""
        self._made += lines

    def later(self, count: int, make: Callable[[int], Line]) -> None:
        """So many lines, each made by its number among them."""
        self._makers.append((len(self._made), count, make))
        self._made += [None] * count

    def __len__(self) -> int:
        return len(self._made)

    def made(self, at: int) -> Line:
        """Line `at`."""
        line = self._made[at]
        if line is None:
            first, _, make = next(m for m in self._makers if m[0] <= at < m[0] + m[1])
            line = self._made[at] = make(at - first)
        return line
