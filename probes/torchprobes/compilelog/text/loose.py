"""Messages of torch's in a format that we do not know: TORCH_LOGS_FORMAT, or a debug.log, which has none.

Only the first line of a message can be told from the program's own; what follows belongs to it as long as it looks it.
"""

from __future__ import annotations

import re

from .compiling import BROKE
from .failures import FAILED
from .prefix import Head
from .record import Record
from .rows import maker_of

_PHRASES = (
    "raph break",
    "Recompiling function",
    "torch._dynamo hit config",
    "WON'T CONVERT",
    "skipping cudagraphs",
    "FallbackKernel: ",
    " debug trace: /",
    "graph cache ",
    "torchdynamo start",
)
_BEGINS = re.compile(
    r"Graph break (?:in user code at /|\(.{1,80}\) in user code at |from `Tensor\.item)|"
    r"Graph break: .{0,2000}from user code at:$|Recompiling function \S+ in \S|torch\._dynamo hit config\.\w+ \(|"
    r"WON'T CONVERT \S+ .+ line \d|skipping cudagraphs due to |Using FallbackKernel: \S|model__\S* debug trace: /|"
    r"fx graph cache (?:hit|miss) for key|(?:Step \d+: )?torchdynamo start \w+ \S+ .+:\d"
)
_GOES_ON = re.compile(
    r"\s|$|(?:Graph Break )?Reason:|User code traceback:|To log all|[Tt]o diagnose|due to:|Traceback \(most|or:$|"
    r"to include these|Graph break: from user code|from user code:|Set TORCH|You can suppress|={10}|For more details"
)
_LAST = re.compile(r"Set TORCHDYNAMO_VERBOSE")
_PARAGRAPH = 40
"""Lines of a break's reason that may stand at the left edge."""


def begins(text: str, at: int, end: int, *, plain: bool) -> Record | None:
    """The record that begins with this line, if one does."""
    if plain:
        maker = maker_of(text)
        return Record(_head(""), at, [text], end) if maker else None
    if not any(phrase in text for phrase in _PHRASES):
        return None
    match = _BEGINS.search(text)
    if not match or (match.start() and text[match.start() - 1].isalnum()):
        return None
    message = text[match.start() :]
    return Record(_head(text[: match.start()]), at, [message], end) if maker_of(message) else None


def _head(prefix: str) -> Head:
    return Head(prefix.encode(), b"", every_line=False)


def takes(record: Record, text: str) -> bool:
    """Whether the line goes on with the record."""
    if _GOES_ON.match(text):
        return True
    if FAILED.match(record.lines[0]):
        return not any(_LAST.match(line) for line in record.lines[-2:])
    if BROKE.match(record.lines[0]) and len(record.lines) < _PARAGRAPH:
        return not any(line.startswith(("User code traceback:", "Traceback")) for line in record.lines)
    return False
