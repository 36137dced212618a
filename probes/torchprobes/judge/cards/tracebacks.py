"""Which card a line of a traceback or a log leads to: one table, used by rules and by `explain -`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from . import card
from .base import Card
from .messages import AT_ONCE, HIDES, LATE, SIGNS, Role, Sign

RAISED: tuple[tuple[str, str], ...] = (
    ("TD-CMP-001", r"InvalidCxxCompiler|No working C\+\+ compiler|(?:denied|directory): '(?:g\+\+|clang\+\+|c\+\+)?'"),
    ("TD-CMP-002", r"Failed to find C compiler"),
    ("TD-CMP-003", r"Python\.h: No such file|Python\.h' file not found"),
    ("TD-CMP-004", r"cannot find -lcuda|libcuda\.so cannot found|libcuda\.so.*not found"),
    ("TD-CMP-005", r"failed to map segment"),
    ("TD-CMP-006", r"ptxas.*(?:gpu-name|fatal)|is not defined for option 'gpu-name'"),
    ("TD-CMP-008", r"GPUTooOldForTriton|too old to be supported by the triton"),
    ("TD-CMP-007", r"TritonMissing|working triton installation|No module named 'triton"),
    ("TD-CMP-009", r"(?:Dynamo|torch\.compile) is not supported on Python|Python [\d.]+\+ not yet supported"),
    ("TD-CMP-011", r"you are using FX to .* a dynamo-optimized function"),
    ("TD-CMP-010", r"Permission denied: '?/|No space left on device|Read-only file system"),
)
"""What an error that torch.compile raised says it lacks: the first pattern that is found names the card."""

MOST: Final = 3
"""Cards that a paste leads to at most."""

KEPT: Final = 2 << 20
"""Characters of a paste that are looked at: half of them its beginning, half its end, where a traceback stands."""

_LOOKS, _AROUND, _TEXT = 200, 1000, 200
_CONTROL: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[@-Z\\^_])|[\x00-\x08\x0b-\x1f\x7f]"
)
_FRAME: Final = re.compile(r'File "([^"\n]{1,400})", line (\d{1,7})')


@dataclass(frozen=True, slots=True)
class Recognised:
    """A line (counted from 1) that a card knows, cut to 200 characters; `note` is what its line numbers are worth."""

    line: int
    text: str
    card: Card
    note: str = ""


class _Paste(NamedTuple):
    """What is looked at: `lines` were left out at `cut`."""

    text: str
    cut: int
    lines: int

    def line_of(self, at: int) -> int:
        """The number of the line at a place, in the paste as it was."""
        return self.text.count("\n", 0, at) + 1 + (self.lines if at > self.cut else 0)


def cause(message: str) -> str | None:
    """The card of the error that `message` tells, or None."""
    return next((card_id for card_id, pattern in RAISED if re.search(pattern, message)), None)


def recognise(pasted: str) -> tuple[Recognised, ...]:
    """The cards that a pasted traceback or log leads to: at most three, each once, best first.

    What names a cause comes before what was raised, and an earlier line before a later one: Python prints the first
    error first, and ranks that follow tell of it later. What only follows is told where nothing else is known.
    """
    paste = _kept(pasted)
    found = _found(paste.text)
    told = {card_id for card_id, (role, _) in found.items() if role is not Role.CONSEQUENCE} or set(found)
    told -= {hidden for card_id in told for hidden in HIDES.get(card_id, ())}
    best = sorted(told, key=lambda card_id: found[card_id])[:MOST]
    return tuple(_recognised(paste, card_id, found[card_id][1]) for card_id in best)


def _kept(pasted: str) -> _Paste:
    """A paste without control characters; of one that is too large, its beginning and its end."""
    if len(pasted) <= KEPT:
        return _Paste(_CONTROL.sub("", pasted), len(pasted), 0)
    half = KEPT // 2
    head, tail = _CONTROL.sub("", pasted[:half]), _CONTROL.sub("", pasted[-half:])
    return _Paste(f"{head}\n{tail}", len(head), pasted.count("\n", half, len(pasted) - half) - 1)


def _found(text: str) -> dict[str, tuple[Role, int]]:
    """By card, the first place of the best role that leads to it."""
    found: dict[str, tuple[Role, int]] = {}
    for sign in SIGNS:
        place = _place(text, sign)
        if place >= 0 and (sign.role, place) < found.get(sign.card, (Role.CONSEQUENCE, len(text) + 1)):
            found[sign.card] = sign.role, place
    return found


def _place(text: str, sign: Sign) -> int:
    """Where a sign stands first, -1 if nowhere. Each of its texts costs a search of at most 2,000 characters."""
    at = text.find(sign.text)
    for _ in range(_LOOKS):
        if at < 0:
            return -1
        if not sign.pattern or re.search(sign.pattern, _line(text, at)):
            return at
        at = text.find(sign.text, at + len(sign.text))
    return -1


def _line(text: str, at: int) -> str:
    """The line around a place, as far as it is near."""
    begin = text.rfind("\n", max(0, at - _AROUND), at) + 1 or max(0, at - _AROUND)
    end = text.find("\n", at, at + _AROUND)
    return text[begin : end if end >= 0 else at + _AROUND]


def _recognised(paste: _Paste, card_id: str, at: int) -> Recognised:
    said = _line(paste.text, at).strip()[:_TEXT]
    return Recognised(paste.line_of(at), said, card(card_id), _note(paste.text, card_id))


def _note(text: str, card_id: str) -> str:
    """Whether the line that raised is to be believed."""
    if card_id in AT_ONCE:
        late = "might be asynchronously reported" in text
        return "Raised by the call itself: what the message says of asynchronous errors does not hold here." * late
    if card_id not in LATE or not any(told in text for told in ("CUDA error", "CUBLAS_STATUS_", "device-side assert")):
        return ""
    frame = _last_frame(text)
    where = f"{frame} is where it was noticed and may be innocent" if frame else "the line that raised may be innocent"
    return f"Asynchronous: the GPU told it at a later call, so {where}. CUDA_LAUNCH_BLOCKING=1 finds the line."


def _last_frame(text: str) -> str:
    """The innermost frame of the traceback that ends in an error of CUDA."""
    end = max((text.find(told) for told in ("CUDA error: ", "CUBLAS_STATUS_")), default=-1)
    frames = _FRAME.findall(text, max(0, end - 20_000), end) if end > 0 else []
    return f'File "{frames[-1][0]}", line {frames[-1][1]},' if frames else ""
