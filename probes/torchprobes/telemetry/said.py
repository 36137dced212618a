"""What each row of a GPU said last, as cells and as JSON. Runs in the sampler child.

Of the hundred cells of a GPU ten change from one tick to the next: what did not change is not encoded again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from ..samples import LANES, UNREAD, Absent

PARTS: Final = frozenset({"links", "migs"})
"""What a GPU has several of; there are none where they cannot be read."""

Cells = Mapping[str, Any]

_encoder: Final = msgspec.json.Encoder()


def inside(cells: Cells) -> bytes:
    """Cells as JSON, without the braces around them."""
    return _encoder.encode(cells)[1:-1]


def unread(cells: Iterable[str], why: Absent) -> dict[str, Any]:
    """These cells, of which none could be read."""
    return {cell: () if cell in PARTS else why for cell in cells}


class Said:
    """The newest cells of each row; those of `fast` rows come with every tick. One thread at a time."""

    def __init__(self, fast: Collection[str]) -> None:
        self._fast = tuple(fast)
        self._cells: dict[str, Cells] = {}
        self._json: dict[str, bytes] = {}
        self._slow_json: bytes | None = b""
        """All slow rows as JSON, None if one of them has changed."""

    def put(self, row: str, cells: Cells) -> None:
        """A row has said this."""
        self._cells[row] = cells
        if row not in self._fast:
            self._json[row], self._slow_json = inside(cells), None

    def lose(self, why: Absent) -> None:
        """The GPU is gone: what it no longer has is told so in every cell, what names it stays."""
        for row, cells in list(self._cells.items()):
            lost = {cell: _without_gpu(cell, value, why) for cell, value in cells.items()}
            if lost != cells:
                self.put(row, lost)

    def cells(self) -> tuple[Cells, ...]:
        """All of them, by row; they do not change any more."""
        return tuple(self._cells.values())

    def cell(self, name: str) -> Any:
        """One of them by its name."""
        return next((cells[name] for cells in self._cells.values() if name in cells), UNREAD)

    def json(self) -> bytes:
        """All of them as JSON, without the braces around them."""
        fast: dict[str, Any] = {}
        for row in self._fast:
            fast.update(self._cells.get(row, ()))
        if self._slow_json is None:
            self._slow_json = b",".join(filter(None, self._json.values()))
        return b",".join(filter(None, (inside(fast), self._slow_json)))


def _without_gpu(cell: str, value: Any, why: Absent) -> Any:
    if cell in PARTS:
        return ()
    return value if LANES.get(cell) == "static" or isinstance(value, Absent) else why
