"""Marks in the text of a run: errors, warnings, graph breaks, recompiles, limits; counted, and where they are.

Only what the text says by itself (`stderr`, `stdout`, debug logs). A record of torch's logging repeats its prefix on
every line; it counts once, at its first line.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from enum import Enum
from typing import NamedTuple

KEPT = 65_536
"""Places kept a kind; counting goes on beyond."""

_LONG = 1 << 16
"""An unfinished line longer than this is read no further; its beginning is searched when it ends."""


class Mark(str, Enum):
    """What a marked line is."""

    ERROR = "error"
    WARNING = "warning"
    BREAK = "graph break"
    RECOMPILE = "recompile"
    LIMIT = "limit hit"


class Needle(NamedTuple):
    """Words that make the line in which they stand a mark."""

    mark: Mark
    words: bytes
    then: tuple[bytes, ...] = (b"",)
    """One of these has to follow: words with the same beginning are looked for once."""


# A graph break is told "in user code at" since torch 2.6, with ":" before; one that was seen before "(details
# suppressed)" in 2.6, "(user stack suppressed" later.
NEEDLES = (
    Needle(Mark.ERROR, b"Traceback (most recent call last):"),
    Needle(Mark.ERROR, b"terminate called after throwing"),
    Needle(Mark.ERROR, b"Fatal Python error"),
    Needle(Mark.ERROR, b": [ERROR] "),
    Needle(Mark.WARNING, b": [WARNING] "),
    Needle(Mark.WARNING, b"Warning: "),
    Needle(Mark.BREAK, b"Graph break", (b" in user code at", b" (details supp", b" (user stack supp", b": ")),
    Needle(Mark.RECOMPILE, b"Recompiling function"),
    Needle(Mark.LIMIT, b"torch._dynamo hit config."),
)

LEVEL = re.compile(rb"\n(?:\[(?:rank|default)\d+\]:)*([VIWEC])[01]\d{3} \d\d:\d\d:[\d.]+ \d+ [^\]\n]{1,400}\]")
"""torch's own line prefix (2.3 and later); the whole match is the record's header."""

_LOUD = re.compile(rb"\n(?:\[(?:rank|default)\d+\]:)*[WEC][01]\d{3} ")
_OF_LEVEL = {b"W": Mark.WARNING, b"E": Mark.ERROR, b"C": Mark.ERROR}


class Places:
    """Marked lines, by mark and in order."""

    def __init__(self) -> None:
        self.lines = {mark: array("Q") for mark in Mark}

    def next(self, marks: tuple[Mark, ...], line: int) -> int | None:
        """The first line after `line` that has one of `marks`, None if no such place is kept."""
        places = (self.lines[mark] for mark in marks)
        after = (found[i] for found in places if (i := bisect_right(found, line)) < len(found))
        return min(after, default=None)

    def previous(self, marks: tuple[Mark, ...], line: int) -> int | None:
        """The last line before `line` that has one of `marks`."""
        places = (self.lines[mark] for mark in marks)
        before = (found[i - 1] for found in places if (i := bisect_left(found, line)) > 0)
        return max(before, default=None)

    def on(self, first: int, count: int) -> dict[int, Mark]:
        """The marked lines among [first, first + count)."""
        return {
            line: mark
            for mark, places in self.lines.items()
            for line in places[bisect_left(places, first) : bisect_left(places, first + count)]
        }


class Marks(Places):
    """Counts and places of the marks in the bytes fed so far; `kept` bounds what is remembered of the places."""

    def __init__(self, kept: int = KEPT) -> None:
        super().__init__()
        self.counts: dict[Mark, int] = dict.fromkeys(Mark, 0)
        self._kept = kept
        self._line = 0
        self._carry = b""
        self._skipping = False
        self._header: tuple[int, bytes] = (-2, b"")

    def feed(self, data: bytes) -> None:
        """Look at the bytes that follow; a last line without newline waits for its end."""
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._hold(data)
            return
        cut = b""
        if self._skipping:  # what ends here is the end of a huge line, whose beginning was kept
            _, cut, whole = whole.partition(b"\n")
        block = b"\n" + self._carry + cut + whole
        self._scan(block)
        self._carry, self._skipping = b"", False
        self._hold(rest)

    def _hold(self, rest: bytes) -> None:
        if self._skipping:
            return
        self._carry += rest
        if len(self._carry) > _LONG:
            self._carry, self._skipping = self._carry[:_LONG], True

    def _scan(self, block: bytes) -> None:
        """Find the marks of whole lines; `block` starts with a newline that is not the file's."""
        found: dict[int, Mark] = {}
        for needle in NEEDLES:
            at = block.find(needle.words)
            while at >= 0:
                if block.startswith(needle.then, at + len(needle.words)):
                    self._by_words(block, at, needle.mark, found)
                at = block.find(needle.words, at + len(needle.words))
        for match in _LOUD.finditer(block):
            found.setdefault(match.start(), Mark.WARNING)
        line, position = self._line, 0
        for at in sorted(found):
            line += block.count(b"\n", position, at)
            position = at
            self._one(line, block, at, found[at])
        self._line = line + block.count(b"\n", position)

    @staticmethod
    def _by_words(block: bytes, at: int, mark: Mark, found: dict[int, Mark]) -> None:
        start = block.rfind(b"\n", 0, at)
        if mark in (Mark.ERROR, Mark.WARNING) and LEVEL.match(block, start):
            return  # torch's level says it; a traceback told at INFO is no error
        found[start] = mark

    def _one(self, line: int, block: bytes, at: int, mark: Mark) -> None:
        level = LEVEL.match(block, at)
        if level and mark in (Mark.ERROR, Mark.WARNING):
            mark = _OF_LEVEL.get(level[1], mark)
            before, header = self._header
            self._header = (line, level[0])
            if before == line - 1 and header == level[0]:
                return  # the next line of the same record
        elif level:
            self._header = (line, level[0])
        self.counts[mark] += 1
        places = self.lines[mark]
        if len(places) < self._kept:
            places.append(line)
