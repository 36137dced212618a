"""What the files below a root say: followed, read a slice at a time, and added up by the ledger."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ..quantity import quantity
from .artefacts import ProcessNode, groups
from .events import Artefact, Event, Exited, Folder
from .explanation import Explanation
from .follow import Follow
from .ledger import Ledger
from .living import Living
from .logfile import Change
from .sources import Role
from .stream import Stream
from .tail import Tail
from .tree import Tree
from .whose import Pieces

SLICE: Final = 1 << 20
"""Bytes read of a trace at a time; the files take turns."""

TEXT_SLICE: Final = 1 << 18
ROWS: Final = 2_000
"""Rows of one list in a snapshot; a command's answer has all."""

NOTES: Final = 50
"""Notes on files in one snapshot."""

QUIET_S: Final = 3.0
"""While all is read again, what was said before stands for so long."""

REBUILT_S: Final = 5.0
"""A truncated file makes all be read again, at most so often."""


class Gatherer:
    """One root. `step` takes in what is new; for one thread."""

    def __init__(self, root: str, hold: int = 256) -> None:
        """At most `hold` descriptors are kept open."""
        self.revision = 0
        """Another number whenever there is something new to tell."""
        self._root = root
        self._follow = Follow(root, hold)
        self._notes: dict[str, str] = {}
        self._rebuild_at: float | None = None
        self._rebuilt_at = -REBUILT_S
        self._quiet_until = 0.0
        self._begin()

    def _begin(self) -> None:
        self._ledger = Ledger(self._root)
        self._pieces = Pieces()
        self._living = Living()
        self._streams: dict[str, Stream] = {}
        self._owing: set[Stream] = set()

    @property
    def settled(self) -> bool:
        """Whether a snapshot would show progress: not while all is read again, for a moment."""
        return time.monotonic() >= self._quiet_until

    # --- taking in --------------------------------------------------------------------------------------------

    def step(self, limit_s: float) -> bool:
        """Take in what is new, for about `limit_s` seconds; whether more waits."""
        until = time.monotonic() + limit_s
        if self._follow.look():
            self.revision += 1
        for tail, change in self._follow.changes():
            self._changed(tail, change)
        self._rebuild()
        more = self._read(until)
        now = time.monotonic()
        self._finish(now)
        if not more:
            self._quiet_until = 0.0
            self._bury(self._living.ended(now))
        return more

    def _bury(self, ended: Sequence[Exited]) -> None:
        """Processes are no more: what their traces hold back has no end."""
        self._take(ended)
        for exited in ended:
            if stream := self._streams.get(exited.source.place.path):
                self._end(stream)

    def once(self, deadline_s: float | None = None) -> None:
        """Take in all that is there now, or what can be read of it in time."""
        until = time.monotonic() + (deadline_s if deadline_s is not None else float("inf"))
        for tail in self._follow.everything():
            stream = self._streams[tail.path] = Stream(tail)
            while time.monotonic() < until and self._slice(stream):
                pass
            self._end(stream)
            tail.close()
        self._take(self._living.ended(time.monotonic()))
        there, read = self._bytes()
        if read < there and time.monotonic() >= until:
            self._notes["deadline"] = f"read {quantity(read, 'B')} of {quantity(there, 'B')} in {deadline_s:g} s"
        self._ledger.over()

    def _changed(self, tail: Tail, change: Change) -> None:
        """A file is new, was truncated, is another one now, or has turned out to be another's."""
        stream = self._streams.get(tail.path)
        if stream is not None and stream.tail is tail and change is Change.ROTATED:
            self._take(stream.finish())
            self._notes[tail.path] = f"{tail.path} was replaced: what both say counts"
        elif stream is not None:
            self._rebuild_at = self._rebuilt_at + REBUILT_S
            if change is Change.TRUNCATED:
                self._notes[tail.path] = f"{tail.path} was truncated: only what it says now counts"
        self._streams[tail.path] = Stream(tail)

    def _rebuild(self) -> None:
        """After a truncation: what the file had said is said no more, so all is read again."""
        if self._rebuild_at is None or time.monotonic() < self._rebuild_at:
            return
        self._rebuild_at, self._rebuilt_at = None, time.monotonic()
        self._quiet_until = self._rebuilt_at + QUIET_S
        self._begin()
        self._streams = {path: Stream(tail) for path, tail in self._follow.tails.items()}
        self._follow.again()

    def _read(self, until: float) -> bool:
        """Slices of what waits, the file that was read longest ago first; whether more waits."""
        while waiting := self._follow.waiting():
            for tail in waiting:
                self._slice(self._streams[tail.path])
                if time.monotonic() >= until:
                    return True
        return False

    def _slice(self, stream: Stream) -> bool:
        data = self._follow.read(stream.tail, SLICE if stream.tail.sourced.role is Role.TRACE else TEXT_SLICE)
        if data:
            self._owing.add(stream)
            self._take(stream.feed(data))
        return bool(data)

    def _finish(self, now: float) -> None:
        for stream in [stream for stream in self._owing if stream.due(now)]:
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        """A file grows no more for now: what its reader holds back, and what the program said last."""
        self._owing.discard(stream)
        self._take(stream.finish())
        self._ledger.ended(stream.tail.path, stream.last_line)
        self.revision += 1

    def _take(self, events: Sequence[Event]) -> None:
        writers: set[tuple[int | None, int | None]] = set()
        for event in events:
            source = event.source
            if (source.pid, source.rank) not in writers:
                writers.add((source.pid, source.rank))
                self._pieces.wrote(source)
                self._living.wrote(source)
            if isinstance(event, Artefact | Folder):
                self._pieces.take(event)
            if not isinstance(event, Artefact):
                self._ledger.take(event)
        self.revision += bool(events)

    # --- giving out -------------------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """The files."""
        return self._follow.tree()

    def explanation(self, now_s: float | None = None, limit: int | None = None) -> Explanation:
        """What they say; with `now_s` (epoch seconds) for a view that goes on, of at most `limit` rows a list."""
        found = self._ledger.explanation(now_s, limit)
        there, read = self._bytes()
        return replace(found, bytes_read=read, bytes_there=there, notes=(*found.notes, *self._said()))

    def groups(self, explanation: Explanation) -> tuple[ProcessNode, ...]:
        """The tree of processes, compiles and pieces."""
        return groups(self.tree(), explanation, self._pieces)

    def _bytes(self) -> tuple[int, int]:
        """(bytes that are there to be read, bytes read of them)."""
        tails = self._follow.tails.values()
        return sum(max(tail.size, tail.offset) for tail in tails), sum(tail.offset for tail in tails)

    def _said(self) -> list[str]:
        """What a person should know of the files themselves."""
        refused = [f"{tail.path}: {tail.cause}" for tail in self._follow.unreadable()]
        broken = [f"{path} {stream.cause}" for path, stream in self._streams.items() if stream.cause]
        left_out = self.tree().left_out
        many = [f"{quantity(left_out, 'files')} left out: there are too many"] if left_out else []
        pieces = [f"{self._pieces.left_out:,} payloads of traces are not listed"] if self._pieces.left_out else []
        return [*many, *pieces, *self._notes.values(), *refused, *broken][:NOTES]
