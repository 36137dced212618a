"""Labels for the files of a merged view: a letter and what tells them apart, in cells that a gutter has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import set_cell_size

from torchdoctor.text import safe

SIGNS: Final = "abcdefghijklmnopqrstuvwxyz"
"""Beyond them they start over, and the name tells."""

NAME: Final = 12
"""Cells of a name at most."""

NARROW: Final = 90
"""In a window narrower than this the letter alone stands before a line."""


def labels(names: Sequence[str], ascii_only: bool = False) -> tuple[str, ...]:
    """A label for each of the names, all of one width; the end of a long name tells more than its beginning."""
    told = [safe(name, ascii_only=ascii_only) for name in _telling(names)]
    width = min(NAME, max(map(len, told), default=0))
    return tuple(f"{SIGNS[at % len(SIGNS)]} {set_cell_size(name[-width:], width)}" for at, name in enumerate(told))


def _telling(names: Sequence[str]) -> list[str]:
    """The names without what they share: the file in different folders, the ending `.log`."""
    ends = {name.rpartition("/")[2] for name in names}
    folders = [name.rpartition("/")[0] for name in names]
    shared = len(ends) == 1 and all(folders) and len(set(folders)) == len(names)
    return folders if shared else [name.removesuffix(".log") for name in names]
