"""What one reading holds: a number or a text, or why there is none. It is never 0 for "unknown"."""

from __future__ import annotations

import enum
from typing import Final

from .model import Frozen


class CellState(str, enum.Enum):
    """Why a telemetry cell holds no number."""

    NOT_SUPPORTED = "n/s"
    LOST = "lost"
    RESET = "reset"
    PERMISSION = "perm"
    STALE = "stale"
    HUNG = "hung"
    ERROR = "error"


class Absent(Frozen, frozen=True, kw_only=True):
    """A cell without a number: its state, why in words, the driver's return code, and the reading's age."""

    state: CellState
    why: str
    code: int | None = None
    age_s: float | None = None


Cell = int | float | str | Absent
"""A number or a text that was read, or why there is none. Never 0 for "unknown"."""

UNREAD: Final = Absent(state=CellState.STALE, why="not read yet")
"""It is read at a slower pace and its turn has not come, or there is nothing yet to compare it with."""


def number(cell: Cell) -> float | None:
    """The number in a cell, None if it holds none."""
    return cell if isinstance(cell, (int, float)) and not isinstance(cell, bool) else None


THROTTLE_REASONS: Final[dict[int, str]] = {
    0x1: "idle", 0x2: "app clocks", 0x4: "power limit", 0x8: "hw slowdown", 0x10: "sync boost",
    0x20: "sw thermal", 0x40: "hw thermal", 0x80: "power brake", 0x100: "display clocks",
}  # fmt: skip
"""A bit of `throttle_reasons` in words (nvml.h, nvmlClocksEventReasons)."""


def throttle_words(bits: int) -> str:
    """What holds the clocks down, "" if nothing does; a bit that no header knows is told as it is."""
    known = [words for bit, words in THROTTLE_REASONS.items() if bits & bit]
    rest = bits & ~sum(THROTTLE_REASONS)
    return ", ".join([*known, *([f"{rest:#x}"] if rest else [])])
