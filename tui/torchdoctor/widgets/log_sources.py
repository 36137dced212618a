"""Short names for the files of a merged view: what tells them apart, in cells that a gutter has."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.cells import set_cell_size

from torchdoctor.text import safe
from torchdoctor.widgets.log_paint import SOURCES

NAME = 12
"""Cells of a name at most."""


def short_names(paths: Sequence[str], ascii_only: bool = False) -> tuple[str, ...]:
    """A letter and a name for each, all of one width: the parts of the paths that differ."""
    told = [safe(name, ascii_only=ascii_only) for name in _telling([path.split(os.sep) for path in paths])]
    width = min(NAME, max(map(len, told), default=0))
    return tuple(
        f"{SOURCES[at % len(SOURCES)]} {set_cell_size(_end(name, width), width)}" for at, name in enumerate(told)
    )


def _telling(parts: list[list[str]]) -> list[str]:
    """The last part of each path, or the last one in which they differ with what follows it, without its ending."""
    if len({path[-1] for path in parts}) == len(parts):
        return [path[-1].removesuffix(".log") for path in parts]
    depth = next((n for n in range(2, max(map(len, parts)) + 1) if _distinct(parts, n)), 1)
    last = {path[-1] for path in parts}
    return ["/".join(path[-depth : -1 if len(last) == 1 else None]) or path[-1] for path in parts]


def _distinct(parts: list[list[str]], depth: int) -> bool:
    return len({tuple(path[-depth:]) for path in parts}) == len(parts)


def _end(name: str, width: int) -> str:
    """The end of a name tells more than its beginning."""
    return name if len(name) <= width else name[-width:]
