"""A filter over the lines of a log: by level, rank and compile id of torch's prefix, and by expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .bits import Bits
from .scan import Part, Scan
from .search import Query

LEVELS = "VIWEC"
"""torch's levels, quietest first; "-" stands for lines without one."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What is kept; None or "" asks for nothing. A line has to pass all of it.

    A line without torch's prefix is of level "-", has the rank of a launcher's prefix (`[default0]:`) if any, and no
    compile id; a Python traceback that follows a warning or an error goes with it. "0/0" keeps all attempts of that
    compile, "0/0_1" one. `include` and `exclude` are regular expressions with smart case, as in a search.
    """

    levels: frozenset[str] | None = None
    ranks: frozenset[int] | None = None
    compile_ids: frozenset[str] | None = None
    include: str = ""
    exclude: str = ""

    @property
    def asked(self) -> dict[str, Any]:
        """As the children take it."""
        return {
            "levels": None if self.levels is None else "".join(sorted(self.levels)),
            "ranks": None if self.ranks is None else sorted(self.ranks),
            "compile_ids": None if self.compile_ids is None else sorted(self.compile_ids),
            "include": _expression(self.include),
            "exclude": _expression(self.exclude),
        }


def _expression(words: str) -> dict[str, Any] | None:
    """Words without any sign of an expression are looked for as they are: that is much faster."""
    return Query(words, regex=bool(_SIGNS.intersection(words))).asked if words else None


_SIGNS = frozenset(r".^$*+?{}[]\|()")


@dataclass(frozen=True, slots=True)
class FilterView:
    """A filter at one instant."""

    filter: Filter | None = None
    kept: int = 0
    """Lines kept, among the bytes looked at."""
    scanned_bytes: int = 0
    at_end: bool = False
    """Whether all that is there was looked at; more may come."""
    cause: str = ""
    """Why it ended early: one line; "" if it did not."""

    def over(self, rows: int) -> bool:
        """Whether none will come after the first `rows`, unless the file grows."""
        return bool(self.cause) or (self.at_end and self.kept <= rows)


class Filtering(Scan):
    """One running filter."""

    def __init__(self, wanted: Filter, *parts: Part) -> None:
        """Start it on `parts`, whose descriptors are taken over and closed."""
        self.filter = wanted
        super().__init__({"filter": wanted.asked}, parts)

    @property
    def bits(self) -> tuple[Bits, ...]:
        """The lines kept, part by part."""
        return tuple(track.bits for track in self.tracks)

    @property
    def told(self) -> FilterView:
        """The newest view."""
        view = self.view
        return FilterView(self.filter, view.ones, view.scanned_bytes, view.at_end, view.cause)
