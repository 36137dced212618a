"""A Python traceback as text: its exception, its frames, and the user's line that torch.compile was at."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..breaks import frames
from ..events import Line

BEGINS = re.compile(r"\s*(?:Original )?Traceback \(most recent call last\):\s*$")
EXCEPTION = re.compile(r"([A-Za-z_][\w.]{0,200})(?::(?: (.*))?)?$")
"""The line that ends a traceback: `torch._dynamo.exc.Unsupported: Data-dependent branching`."""

_USER = re.compile(r"\s*from user code:\s*$|=+ The above exception occurred while processing the following code =+")
_END = re.compile(r"(?:Set TORCH_LOGS|Set TORCHDYNAMO_VERBOSE|You can suppress this exception|Use tlparse)")
"""What torch puts after an exception's own words (torch/_dynamo/exc.py, augment_exc_message)."""
_REASON_LINES = 40
_REASON = 4_000
_WORDS_LINES = 200
_WORDS = 20_000


@dataclass(frozen=True, slots=True)
class Raised:
    """What a traceback says."""

    type: str
    reason: str
    """The exception's own words."""
    words: str
    """All that is said with it, what torch.compile adds included."""
    stack: tuple[Line, ...]
    user: Line | None = None
    """The line of the user's code that was compiled."""


def raised(lines: list[str]) -> Raised | None:
    """The last exception of these lines: of a chain the one that came out."""
    begins = [number for number, line in enumerate(lines) if BEGINS.match(line)]
    if not begins:
        return None
    tail = lines[begins[-1] + 1 :]
    at = next((n for n, line in enumerate(tail) if line[:1] not in ("", " ", "\t", "~", "^")), -1)
    match = EXCEPTION.match(tail[at]) if at >= 0 else None
    if not match:
        return None
    ends = next((n for n, line in enumerate(tail) if n > at and (_USER.match(line) or _END.match(line))), len(tail))
    reason = "\n".join([match[2] or "", *tail[at + 1 : min(ends, at + _REASON_LINES)]]).strip()
    words = "\n".join([match[2] or "", *tail[at + 1 : at + _WORDS_LINES]]).strip()
    user = next((n for n, line in enumerate(tail) if n > at and _USER.match(line)), -1)
    stack = frames(tail[user + 1 :]) if user >= 0 else ()
    return Raised(match[1], reason[:_REASON], words[:_WORDS], frames(tail[:at]), stack[-1] if stack else None)
