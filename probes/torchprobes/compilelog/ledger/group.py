"""One process with all that belongs to it: its own records, and files without a pid that can only be its."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..events import Autotuned, Recompiled, Uncaught
from .breaks import BreakKey, Breaks, Broken
from .compiles import Compiles, Record
from .process import TEXT, TRACE, Again, Kept, Process


@dataclass
class Group:
    """A process and its guests, read together; made anew for each snapshot."""

    process: Process
    guests: list[Process] = field(default_factory=list)

    @property
    def members(self) -> list[Process]:
        """The process, then its guests."""
        return [self.process, *self.guests]

    @property
    def key(self) -> str:
        """Unlike that of any other process."""
        process = self.process
        if process.pid is None:
            return process.path.rpartition("/")[2] or "?"
        return str(process.pid) if process.rank is None else f"r{process.rank}:{process.pid}"

    @property
    def is_told(self) -> bool:
        """Whether anything of a compile was told."""
        return any(member.is_told for member in self.members)

    @property
    def traced(self) -> bool:
        """Whether there is a trace of it."""
        return any(member.traced for member in self.members)

    @cached_property
    def tier(self) -> int:
        """The first source of its compiles."""
        return TRACE if any(member.books[TRACE].records for member in self.members) else TEXT

    @cached_property
    def book(self) -> Compiles:
        """Its compiles, as its first source tells them."""
        books = [member.books[self.tier] for member in self.members]
        return next((book for book in books if book.records), books[0])

    def again(self, record: Record) -> Again | None:
        """Why this record is a recompile, by the first source that says it; None where none does."""
        key = (record.compile_id, record.epoch)
        found = [m.recompiled[tier].get(key) for tier in (TRACE, TEXT) for m in self.members]
        told = [again for again in found if again is not None]
        return next((again for again in told if again.cause), told[0] if told else None)

    @cached_property
    def breaks(self) -> dict[BreakKey, Broken]:
        """Its distinct breaks."""
        merged = Breaks()
        for member in self.members:
            merged.absorb(member.breaks)
        return {key: broken for key, broken in merged.distinct().items() if not self._is_the_end(key)}

    def _is_the_end(self, key: BreakKey) -> bool:
        """Whether a break is nothing but the exception of the program's own that ended it, met while compiling."""
        file, line, kind = key
        final = self.uncaught if "observed exception" in kind.lower() else None
        return final is not None and any((frame.file, frame.line) == (file, line) for frame in final.stack)

    def kept(self, subject: str) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Events of a subject, each once."""
        keys: set[tuple[Any, ...]] = set()
        for member in self.members:
            table: Kept = getattr(member, subject)
            for key, event in table.by_key.items():
                if key not in keys:
                    keys.add(key)
                    yield key, event

    def count(self, subject: str) -> int:
        """How many events of a subject there are."""
        return sum(1 for _ in self.newest(subject)) if self.guests else len(getattr(self.process, subject).by_key)

    def newest(self, subject: str) -> Iterator[Any]:
        """Events of a subject, each once, the newest first; what a guest says again the process itself has said."""
        tables: list[dict[tuple[Any, ...], Any]] = [getattr(member, subject).by_key for member in self.members]
        for at in reversed(range(len(tables))):
            for key in reversed(tables[at]):
                if not any(key in table for table in tables[:at]):
                    yield tables[at][key]

    def choices(self, event: Autotuned) -> tuple[tuple[str, float], ...]:
        """All that was timed for an op: a trace tells the winner alone, stderr the whole table."""
        found = [member.tuned.by_key.get((event.op, event.arguments)) for member in self.members]
        return max((one.choices for one in found if one is not None), key=len, default=event.choices)

    @property
    def unnamed(self) -> list[Recompiled]:
        """Recompiles without a compile id, where nothing tells of compiles by their ids."""
        return [] if self.book.records else [event for member in self.members for event in member.unnamed]

    @property
    def folders(self) -> list[str]:
        """Compile ids of the debug tree's folders."""
        return [compile_id for member in self.members for compile_id in member.folders]

    @property
    def uncaught(self) -> Uncaught | None:
        """The last traceback that nothing caught."""
        found = [event for member in self.members for event in member.uncaught.values()]
        return found[-1] if found else None
