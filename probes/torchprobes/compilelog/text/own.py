"""What is written without torch's prefix: the program's own lines, tracebacks, AUTOTUNE tables, warnings, ends.

Each stream (a rank, a worker of torchrun's) has a state of its own: their lines come mixed on one pipe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..events import Event, Place, Said, Source
from . import inductor
from .crash import Crash
from .ends import Ends
from .prefix import clean
from .traceback import BEGINS
from .tuned import Table, table

_WARNED = re.compile(r"(?:/|[A-Za-z]:\\)\S*[/\\](?:torch|functorch)[/\\]\S*:\d+: (\w{0,60}Warning): (.*)$")
"""warnings.warn of torch's own files (warnings.formatwarning)."""
_WARNED_CODE = re.compile(r"  \S.*$")
_NO_OUTPUT = re.compile(
    r"\s*$|\s*[~^]+\s*$|Autotune Choices Stats:|\{\"num_choices\"|\*{20,}$|Setting OMP_NUM|No CUDA runtime"
)
"""Lines that are no output of the program: torch's and torchrun's without prefix."""
_STREAMS = 256


LOUD = re.compile(
    rb"\]|\^\^|T(?:raceback|erminated)|A(?:UTOTUNE|utotune C|borted)|W(?:arning: |ON'T)|\{\"num_c|\*\*\*\*|OMP_NUM|"
    rb"No CUDA|Graph break|Recompiling f|_(?:_\S{0,99} debug trace|dynamo hit)|k(?:ipping cudagraph|      : )|"
    rb"F(?:allbackKernel|atal Python)|x(?:itcode|ception| graph cache)|ynamo (?:start|hit)|Killed|"
    rb"S(?:egmentation|tep \d)|Bus error|G:torch|O:torch|R:torch|L:torch|'\s*$",
    re.MULTILINE,
)
"""Lines without any of these are output of the program and nothing else, where nothing is open before them.

Each alternative begins with one literal character that is rare in logs: so the search is a scan for few characters.
"""


@dataclass(slots=True)
class Own:
    """The lines of one stream that have no prefix."""

    last_line: str = ""
    """The last that the program itself said."""
    crash: Crash | None = None
    _before: Crash | None = None
    """The crash before torchrun's own traceback."""
    _table: Table | None = None
    _ends: Ends = field(default_factory=Ends)
    _warned: bool = False

    def read(self, line: str, source: Source) -> list[Event]:
        """The events of the next line."""
        events: list[Event] = []
        exited = self._ends.read(line, source)
        if exited:
            events.append(exited)
        if self._table:
            if self._table.takes(line):
                return events + (self._told_table() if self._table.ended else [])
            events += self._told_table()
        if self.crash and not (self._begins(line) and self.crash.exception):
            if self.crash.takes(line):
                return events
            events += self.went_on()
        return events + self._opens(line, source, exited is not None)

    def _begins(self, line: str) -> bool:
        """A traceback at the left edge, after one that has ended: another, unless it is joined to it by a sentence."""
        joined = self.crash and self.crash.chained
        return not joined and line[:1] == "T" and BEGINS.match(line) is not None

    def _opens(self, line: str, source: Source, ended: bool) -> list[Event]:
        """A line that belongs to nothing before it."""
        warned, self._warned = self._warned, False
        if line[:1] == "T" and BEGINS.match(line):
            return self._new_crash(line, source)
        if line[:1] == "A" and (found := table(line, source)):
            self._table = found
            return []
        if warning := _WARNED.match(line):
            self._warned = True
            return self._said(warning[2], source)
        if not (ended or (warned and _WARNED_CODE.match(line)) or _NO_OUTPUT.match(line)):
            self.last_line = line.strip()[:4096]
        return []

    def _new_crash(self, line: str, source: Source) -> list[Event]:
        events: list[Event] = []
        if self.crash and not self.crash.launchers:
            if self._before and self._before.told:
                events += _withdrawn(self._before)
            self._before = self.crash
        self.crash = Crash(source, [line])
        return events

    def _said(self, words: str, source: Source) -> list[Event]:
        for pattern, harmless in inductor.SAID:
            if pattern.match(words):
                return [Said(source, words[:400], harmless)]
        return []

    def _told_table(self) -> list[Event]:
        found, self._table = self._table, None
        return [found.event()] if found and found.choices else []

    def went_on(self) -> list[Event]:
        """The program went on: no traceback so far was its end."""
        crashes = [crash for crash in (self._before, self.crash) if crash and crash.told]
        self.crash = self._before = None
        return [event for crash in crashes for event in _withdrawn(crash)]

    @property
    def within(self) -> bool:
        """Whether the next line may belong to something before it."""
        return self.crash is not None or self._table is not None or self._warned

    def finish(self, quiet_at: int) -> list[Event]:
        """What is told as nothing follows for now; at byte `quiet_at` the program said something."""
        events: list[Event] = []
        if self._table and self._table.choices:
            events += self._told_table()
        if self.crash and self.crash.exception and not self.crash.launchers and self._before:
            if self._before.told:
                events += _withdrawn(self._before)
            self._before = None
        for crash in (self._before, self.crash):
            told = crash.event() if crash and not crash.told else None
            if crash and told:
                crash.told = True
                events.append(told)
        last = self._ends.last(quiet_at)
        return [*events, last] if last else events


class Streams:
    """The streams of one file."""

    def __init__(self, path: str, pid: int | None, rank: int | None, events: list[Event]) -> None:
        self.idle = True
        """Whether no stream is within anything that has several lines."""
        self._last: str | bytes = ""
        self._quiet_at = -1
        self._path, self._pid, self._rank = path, pid, rank
        self._events = events
        self._all: dict[tuple[bytes, int | None], Own] = {}

    @property
    def last_line(self) -> str:
        """The last line that the program itself said."""
        if isinstance(self._last, bytes):
            self._last = clean(self._last).decode(errors="replace").strip()[:4096]
        return self._last

    def said(self, at: int, line: bytes) -> None:
        """Lines of the program of which nothing is to be learnt, up to this one at byte `at`."""
        self._quiet_at, self._last = at, line

    def line(self, at: int, text: str, end: int, stream: bytes, rank: int | None) -> None:
        """A line of a stream; `rank` where the line says it."""
        own = self._all.get((stream, rank))
        if own is None:
            own = Own()
            if len(self._all) < _STREAMS:
                self._all[stream, rank] = own
        source = Source(Place(self._path, at, max(0, end - at)), self._pid, self._rank if rank is None else rank)
        self._events += own.read(text, source)
        if own.last_line:
            self._last, own.last_line = own.last_line, ""
        self.idle = not any(one.within for one in self._all.values())

    def went_on(self, rank: int | None, at: int) -> None:
        """A process of this rank compiles at byte `at`: what looked like its end before that was not."""
        for (_, of), own in self._all.items():
            if own.crash and of == rank and own.crash.source.place.offset < at:
                self._events += own.went_on()
        self.idle = not any(one.within for one in self._all.values())

    def unended(self, text: str) -> None:
        """A last line without its end."""
        if text.strip() and not any(own.crash for own in self._all.values()):
            self._last = text.strip()[:4096]

    def finish(self) -> None:
        """Nothing follows for now."""
        for own in self._all.values():
            self._events += own.finish(self._quiet_at)


def _withdrawn(crash: Crash) -> list[Event]:
    event = crash.event(withdrawn=True)
    return [event] if event else []
