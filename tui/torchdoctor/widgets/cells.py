"""Telemetry cells as text: a number with its unit, or the word for why there is none. Never 0 and never blank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torchdoctor.signs import CELLS
from torchdoctor.text import safe
from torchprobes.cells import Absent, Cell, number

if TYPE_CHECKING:
    from torchdoctor.paint import Span

GIB: Final = 1 << 30


def absent(cell: Absent) -> Span:
    """The state in a word, with its age where that says something."""
    age = f" {cell.age_s:.0f} s" if cell.age_s is not None and cell.age_s >= 1 else ""
    return cell.state.value + age, CELLS[cell.state]


def cell_span(cell: Cell, unit: str = "", *, scale: float = 1.0, digits: int = 0) -> Span:
    """One cell: its number over `scale`, its text, or its state."""
    if isinstance(cell, Absent):
        return absent(cell)
    value = number(cell)
    return (safe(str(cell), limit=80) if value is None else f"{value / scale:,.{digits}f}{unit}"), ""


def pair_span(used: Cell, total: Cell, unit: str, *, scale: float = 1.0, digits: int = 0, word: str = "/") -> Span:
    """`31.2/139.8 GiB`; the state of the first where it is absent, and of the second in its place."""
    head, role = cell_span(used, scale=scale, digits=digits)
    if isinstance(used, Absent):
        return head, role
    tail, tail_role = cell_span(total, unit, scale=scale, digits=digits)
    return f"{head}{word}{tail}", role or tail_role


def fraction(used: Cell, total: Cell = 100.0) -> float | None:
    """Used over total, None where one of them is absent or there is nothing to fill."""
    part, whole = number(used), number(total)
    return None if part is None or not whole else part / whole


def load_role(share: float | None, warn: float = 2.0, fail: float = 2.0) -> str:
    """The colour of a bar: the accent, unless its share passes a limit."""
    if share is None:
        return "dim"
    return "fail" if share >= fail else "warn" if share >= warn else "accent"
