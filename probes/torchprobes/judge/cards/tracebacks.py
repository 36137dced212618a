"""Which card a line of a traceback or a log leads to: one table, used by rules and by `explain -`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import card
from .base import Card

RAISED: tuple[tuple[str, str], ...] = (
    ("TD-CMP-001", r"InvalidCxxCompiler|No working C\+\+ compiler|(?:denied|directory): '(?:g\+\+|clang\+\+|c\+\+)?'"),
    ("TD-CMP-002", r"Failed to find C compiler"),
    ("TD-CMP-003", r"Python\.h: No such file|Python\.h' file not found"),
    ("TD-CMP-004", r"cannot find -lcuda|libcuda\.so cannot found|libcuda\.so.*not found"),
    ("TD-CMP-005", r"failed to map segment"),
    ("TD-CMP-006", r"ptxas.*(?:gpu-name|fatal)|is not defined for option 'gpu-name'"),
    ("TD-CMP-008", r"GPUTooOldForTriton|too old to be supported by the triton"),
    ("TD-CMP-007", r"TritonMissing|working triton installation|No module named 'triton"),
    ("TD-CMP-009", r"(?:Dynamo|torch\.compile) is not supported on Python|not yet supported on Python"),
    ("TD-CMP-010", r"Permission denied: '?/|No space left on device|Read-only file system"),
)
"""What an error that torch.compile raised says it lacks: the first pattern that is found names the card."""

LOGGED: tuple[tuple[str, str], ...] = (
    ("TD-CMP-020", r"WON'T CONVERT"),
    (
        "TD-CMP-025",
        r"recompile limit (?:exceeded|reached)|cache_size_limit reached|hit config\.(?:\w+_)?recompile_limit",
    ),
    ("TD-CMP-031", r"skipping cudagraphs due to"),
    ("TD-CMP-035", r"Not enough SMs to use max_autotune_gemm"),
)
"""Warnings of the stack that nobody reads."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A line (counted from 1) that a card knows, cut to 200 characters."""

    line: int
    text: str
    card: Card


def cause(message: str) -> str | None:
    """The card of the error that `message` tells, or None."""
    return next((card_id for card_id, pattern in RAISED if re.search(pattern, message)), None)


def recognise(pasted: str) -> tuple[Recognised, ...]:
    """The cards that a pasted traceback or log leads to, each once, in the order of their first lines."""
    found: dict[str, Recognised] = {}
    for number, line in enumerate(pasted.splitlines(), 1):
        for card_id, pattern in (*RAISED, *LOGGED):
            if card_id not in found and re.search(pattern, line):
                found[card_id] = Recognised(number, line.strip()[:200], card(card_id))
    return tuple(found.values())
