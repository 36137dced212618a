"""`dynamo_error` (torch 2.6 to the newest): the traceback of a compile that raised; what became of it, it says not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..breaks import frames, kind_of
from ..events import CompileFailed, Event, Line
from .context import Entry
from .envelope import Broken

MAX_TEXT = 1 << 17
MAX_REASON = 1 << 14

_BEGINS = re.compile(r"^Traceback \(most recent call last\):\n", re.M)
_DYNAMO = re.compile(r'  File "[^"\n]*/_dynamo/convert_frame\.py"')
_ERROR = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<reason>.*))?\s*\Z", re.M | re.S)
_REASON_END = re.compile(r"\n\s*\n(?:from user code:|Set TORCHDYNAMO_VERBOSE|Set TORCH_LOGS|You can suppress)")
_USER = re.compile(r"^(?:from user code:|Found from ?: ?)\n", re.M)
NO_ERROR = ("SkipFrame", "SkipCodeRecursiveException")
"""What dynamo raises to leave a frame alone (torch/_dynamo/exc.py)."""


def failed(entry: Entry) -> Sequence[Event]:
    """The failure; none where dynamo leaves a frame to eager, by itself or after a graph break that is told already."""
    frame = str(entry.plain().frame_id)
    text = entry.text()[-MAX_TEXT:]
    error = _ERROR.search(text, _last_traceback(text))
    if error is None:
        raise Broken("a traceback without an exception")
    entry.context.failures.put(entry.pid, entry.source.compile_id, True)
    if _is_left_to_eager(error["type"].rpartition(".")[2], error["reason"] or "", entry):
        return ()
    reason = _REASON_END.split(error["reason"] or "", maxsplit=1)[0].strip()[:MAX_REASON]
    function = entry.context.functions.get(entry.pid, frame) or Line("", 0)
    user = _user(text)
    return (
        CompileFailed(entry.source, error["type"], reason, None, function.function, function.file, function.line, user),
    )


def _is_left_to_eager(name: str, reason: str, entry: Entry) -> bool:
    """Whether it is how dynamo gives up on a frame: after a break it can resume nowhere (in a loop, a `with`), say."""
    told = entry.context.breaks.get(entry.pid, entry.source.compile_id) or frozenset()
    kind = reason.partition("\n")[0].strip()
    return name in NO_ERROR or (name == "Unsupported" and bool({kind, kind_of(kind)} & told))


def _last_traceback(text: str) -> int:
    """Where the frames of the exception that left dynamo begin.

    A chain of tracebacks has that one last; but its message may hold the traceback of a compile worker, whose frames
    are not dynamo's.
    """
    begins = [found.end() for found in _BEGINS.finditer(text)]
    of_dynamo = [at for at in begins if _DYNAMO.match(text, at)]
    return (of_dynamo or begins or [0])[-1]


def _user(text: str) -> Line | None:
    """The innermost line of the user's that was compiled."""
    found = [*_USER.finditer(text)]
    stack = frames(text[found[-1].end() :].partition("\n\n")[0].split("\n")) if found else ()
    return stack[-1] if stack else None
