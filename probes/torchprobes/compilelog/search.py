"""A search in one log, literal or by regular expression: which lines are hits, and where in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .scan import KEPT, Part, Scan


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for. Smart case: letters match both cases unless one of them is a capital."""

    words: str
    regex: bool = False

    @property
    def ignore_case(self) -> bool:
        r"""Whether no capital was typed; the `\S` of an expression is no capital."""
        words = re.sub(r"\\.", "", self.words) if self.regex else self.words
        return words == words.lower()

    @property
    def asked(self) -> dict[str, Any]:
        """As the children take it."""
        return {"words": self.words, "regex": self.regex, "ignore_case": self.ignore_case}


@dataclass(frozen=True, slots=True)
class SearchView:
    """A search at one instant."""

    query: Query | None = None
    count: int = 0
    """Lines that match, among the bytes searched; with a filter those that it keeps."""
    searched_bytes: int = 0
    at_end: bool = False
    """Whether all that is there was searched; more may come."""
    cause: str = ""
    """Why the search ended early: one line; "" if it did not."""
    count_all: int = 0
    """Lines that match, whether a filter keeps them or not."""


class Search(Scan):
    """One running search. All in line numbers; every hit is known, its place in the line for the first `KEPT`."""

    def __init__(self, query: Query, *parts: Part) -> None:
        """Start it on `parts`, whose descriptors are taken over and closed."""
        self.query = query
        super().__init__({"search": query.asked}, parts, KEPT)

    def span(self, line: int, source: int = 0) -> tuple[int, int] | None:
        """Where `line` of a part matches first, in bytes; None if it is no hit, or one of too many."""
        track = self.tracks[source]
        at = 2 * track.bits.rank(line)
        hit = line in track.bits and at + 1 < len(track.spans)
        return (track.spans[at], track.spans[at + 1]) if hit else None
