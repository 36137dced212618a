"""A table that forgets its oldest rows."""

from __future__ import annotations

from typing import Generic, TypeVar

_V = TypeVar("_V")


class Recent(Generic[_V]):
    """By (pid, name), at most `limit` of them: what a trace says of more frames at once is not looked back at."""

    def __init__(self, limit: int = 1 << 14) -> None:
        self._limit = limit
        self._rows: dict[tuple[int | None, str], _V] = {}

    def put(self, pid: int | None, name: str, value: _V) -> None:
        """The latest value of that name."""
        self._rows.pop((pid, name), None)
        self._rows[pid, name] = value
        if len(self._rows) > self._limit:
            del self._rows[next(iter(self._rows))]

    def get(self, pid: int | None, name: str) -> _V | None:
        """The latest value of that name, if there is one."""
        return self._rows.get((pid, name))

    def drop(self, pid: int | None, name: str) -> None:
        """That name has no value any more."""
        self._rows.pop((pid, name), None)
