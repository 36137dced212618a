"""The files of a run at one instant, as the console sees them."""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import Kind
from .marks import Mark


@dataclass(frozen=True, slots=True)
class FileView:
    """One file of the set."""

    path: str
    name: str
    """Its path below the root."""
    kind: Kind
    size_bytes: int = 0
    changed_s: float = 0.0
    """Wall clock second of its last change."""
    gone: bool = False
    """It was there, and is no more."""
    cause: str = ""
    """Why it cannot be read; "" if it can."""
    counts: tuple[tuple[Mark, int], ...] = ()
    """Marks in what a growing text said so far; without those that are 0."""


@dataclass(frozen=True, slots=True)
class Tree:
    """All files at one instant."""

    root: str = ""
    revision: int = 0
    files: tuple[FileView, ...] = ()
    left_out: int = 0
    """Files beyond the limit, not listed."""
    cause: str = ""
    """Why nothing is there: the root is missing or refused; "" otherwise."""


NO_TREE = Tree()
