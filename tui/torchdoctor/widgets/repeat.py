"""The line that repeats a probe by hand, fit to be shown and copied: it runs as it is, and holds no secret."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

from torchprobes.masking import MASK, mask_environment, mask_text

_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_OPERATORS: Final = ("&&", "|")
_PASSES: Final = ("-e", "--env")
"""Options of container launchers before a variable: without a value they hand on the one of the shell."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """A command line for a shell, and what a person must know before running it."""

    line: str
    notes: tuple[str, ...] = ()


def by_hand(command: str) -> ByHand:
    """The command without secrets. A variable that holds one is left out, so that the shell's own value is used.

    `***` in its place would be taken for the value. What else looks like a secret is masked, and that is said.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # an unclosed quote: nothing that we wrote
        words = [command]
    kept, dropped = _without_secrets(words)
    told = command if not dropped else " ".join(word if word in _OPERATORS else shlex.quote(word) for word in kept)
    masked = mask_text(told)
    notes = []
    if dropped:
        notes.append(f"not in it, because secret: {', '.join(dropped)}; set in your shell, they are used")
    if masked != told:
        notes.append(f"{MASK} stands for a secret: put it in before you run the line")
    return ByHand(masked, tuple(notes))


def _without_secrets(words: list[str]) -> tuple[list[str], list[str]]:
    """(words without secret assignments, names of those that were left out)."""
    kept: list[str] = []
    dropped: list[str] = []
    for word in words:
        found = _ASSIGNED.fullmatch(word)
        if found is None or mask_environment({found[1]: found[2]})[found[1]] == found[2]:
            kept.append(word)
            continue
        dropped.append(found[1])
        if kept and kept[-1] in _PASSES:
            kept.append(found[1])
    return kept, dropped
