"""What each row of a GPU said last, as cells and as JSON. Runs in the sampler child.

Of the hundred cells of a GPU ten change from one tick to the next: what did not change is not encoded again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ...cells import UNREAD, Absent
from ...samples import LANES

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


class Words(NamedTuple):
    """Cells, and the same as JSON without the braces around them; they do not change any more."""

    cells: tuple[Cells, ...]
    json: bytes


class Said:
    """The newest cells of each row; those of `fast` rows come with every tick. One thread at a time."""

    def __init__(self, fast: Collection[str]) -> None:
        self._fast: dict[str, Cells] = {row: {} for row in fast}
        self._slow: dict[str, Cells] = {}
        self._json: dict[str, bytes] = {}
        self._slow_words: Words | None = Words((), b"")
        """What all slow rows have said, None if one of them has changed."""

    def put(self, row: str, cells: Cells) -> None:
        """A row has said this."""
        if row in self._fast:
            self._fast[row] = cells
        else:
            self._slow[row], self._json[row], self._slow_words = cells, inside(cells), None

    def lose(self, why: Absent) -> None:
        """The GPU is gone: what it no longer has is told so in every cell, what names it stays."""
        for row, cells in [*self._fast.items(), *self._slow.items()]:
            lost = {cell: _without_gpu(cell, value, why) for cell, value in cells.items()}
            if lost != cells:
                self.put(row, lost)

    def fast(self) -> Words:
        """What came with the last tick."""
        cells: dict[str, Any] = {}
        for of_row in self._fast.values():
            cells.update(of_row)
        return Words((cells,), inside(cells))

    def slow(self) -> Words:
        """All else."""
        if self._slow_words is None:
            self._slow_words = Words(tuple(self._slow.values()), b",".join(filter(None, self._json.values())))
        return self._slow_words

    def cell(self, name: str) -> Any:
        """A slow cell by its name."""
        return next((cells[name] for cells in self._slow.values() if name in cells), UNREAD)


def _without_gpu(cell: str, value: Any, why: Absent) -> Any:
    if cell in PARTS:
        return ()
    return value if LANES.get(cell) == "static" or isinstance(value, Absent) else why
