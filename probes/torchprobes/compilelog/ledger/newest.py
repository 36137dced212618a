"""Lists of a snapshot, kept short: only what is kept is looked at, and what is not is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tail(Generic[T]):
    """The rows of one table, the oldest first, of which only the last are wanted."""

    count: int
    backwards: Callable[[], Iterator[T]]
    when: Callable[[T], float | None]

    def last(self, most: int | None) -> list[T]:
        """The last rows, the oldest first."""
        return list(islice(self.backwards(), most))[::-1]


@dataclass(slots=True)
class Cut:
    """Keeps lists short, and counts what it cuts."""

    limit: int | None
    left_out: int = field(default=0)

    def first(self, rows: Sequence[T]) -> tuple[T, ...]:
        """The first rows."""
        kept = rows if self.limit is None else rows[: self.limit]
        self.left_out += len(rows) - len(kept)
        return tuple(kept)

    def newest(self, parts: Sequence[Tail[T]]) -> list[T]:
        """The newest rows of several tables, in the order of the tables; no more of each is looked at than is kept."""
        if self.limit is None:
            return [row for part in parts for row in part.last(None)]
        kept = [(number, row) for number, part in enumerate(parts) for row in part.last(self.limit)]
        if len(kept) > self.limit:
            whens = [part.when for part in parts]
            kept = sorted(kept, key=lambda one: whens[one[0]](one[1]) or 0.0)[-self.limit :]
            kept.sort(key=lambda one: one[0])
        self.left_out += sum(part.count for part in parts) - len(kept)
        return [row for _, row in kept]
