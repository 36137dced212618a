"""Signs: a verdict is a sign and a word, and colour is a bonus. Every sign has an ASCII twin of the same width."""

from __future__ import annotations

from typing import Final

from torchprobes.cells import CellState
from torchprobes.model import Severity, Verdict

VERDICTS: Final[dict[Verdict, tuple[str, str]]] = {
    Verdict.PASS: ("✔", "ok"),
    Verdict.DEGRADED: ("▲", "warn"),
    Verdict.FAIL: ("✘", "fail"),
    Verdict.SKIP: ("–", "dim"),
    Verdict.UNSURE: ("?", "info"),
    Verdict.ERROR: ("!", "fail"),
}
"""Verdict -> (sign, role of its colour)."""

SEVERITIES: Final[dict[Severity, tuple[str, str]]] = {
    Severity.INFO: ("•", "info"),
    Severity.WARNING: ("▲", "warn"),
    Severity.CRITICAL: ("✘", "fail"),
}

CELLS: Final[dict[CellState, str]] = {
    CellState.NOT_SUPPORTED: "dim",
    CellState.PERMISSION: "warn",
    CellState.STALE: "warn",
    CellState.RESET: "fail",
    CellState.LOST: "fail",
    CellState.HUNG: "fail",
    CellState.ERROR: "fail",
}
"""State of an absent cell -> role of its colour."""

RUNNING: Final = ("●", "run")
QUEUED: Final = ("·", "dim")
NOT_RUN: Final = ("○", "dim")

FULL, EMPTY = "━", "─"
"""A bar of fixed scale: heavy for what is used, light for the rest."""

OPEN, CLOSED = "▾", "▸"
"""A group of rows whose members stand below it, and one that is folded."""

LIMIT, EXPECTED = "╎", "│"
"""On a bar: where `degraded` begins, and the number that is expected."""

STEPS: Final = "▁▂▃▄▅▆▇█"
"""Eighths of a cell, for a plot of fixed scale."""

_TWINS: Final = str.maketrans(
    {
        "✔": "+", "▲": "^", "✘": "x", "–": "-", "•": "*", "●": "*", "·": "-", "○": "o", "█": "#", "━": "#",
        "▁": "_", "▂": ".", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "…": "~", "±": "~", "×": "x",
        "─": "-", "│": "|", "╎": ":", "└": "`", "›": ">", "→": ">", "▸": ">", "▾": "v", "↑": "^", "↓": "v",
        "≤": "<", "≥": ">", "µ": "u", "◆": "*", "↻": "~", "■": "#",
    }
)  # fmt: skip


def to_ascii(text: str) -> str:
    """The same text in as many cells without any character beyond ASCII."""
    if text.isascii():
        return text
    return text.replace("°C", "C ").translate(_TWINS).encode("ascii", "replace").decode()


def drawn(text: str, ascii_only: bool) -> str:
    """A text as it goes to the screen. A view made text from outside safe before; this is the last door."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return to_ascii(text) if ascii_only else text
