"""`recompile_reasons` (torch 2.5 to the newest): one failed guard a cache entry, the newest entry first.

The payload is one reason as it is, or a JSON list of several (`get_and_maybe_log_recompilation_reasons` in
torch/_dynamo/guards.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..breaks import frames
from ..events import Event, GuardFailure, Line, Recompiled
from .context import Entry
from .envelope import Decoder, clean

MAX_REASON = 1 << 14
MAX_REASONS = 512

_ENTRY = re.compile(r"(!?[\d/]{1,40}): ")
_AT = re.compile(r"  # (?P<code>.*?)\s+# (?P<file>[^\s#:][^#:]*):(?P<line>\d{1,9}) in (?P<function>[^\s(]+)")
_STACK = "\nUser stack trace:\n"
_REASONS = Decoder.of(list[str])


def recompiled(entry: Entry) -> Sequence[Event]:
    """What failed before this compile."""
    frame = str(entry.plain().frame_id)
    payload = entry.record.payload()
    reasons = _REASONS.decode(payload) if payload.startswith(b"\t[\n") else [entry.text()]
    failures = tuple(failure_of(reason) for reason in reasons[:MAX_REASONS])
    function = entry.context.functions.get(entry.pid, frame) or Line("", 0)
    if failures:
        entry.context.reasons.put(entry.pid, entry.source.compile_id, failures[0].guard)
    return (Recompiled(entry.source, function.function, function.file, function.line, failures),)


def failure_of(reason: str) -> GuardFailure:
    """One reason: the compile whose entry it was (since torch 2.5), the guard, the user's line it comes from.

    >>> failure_of("0/0: flag == 0.0        # return x + flag  # work/a.py:13 in g").at
    Line(file='work/a.py', line=13, function='g', code='return x + flag')
    """
    reason = clean(reason, MAX_REASON)
    said, _, stack = reason.partition(_STACK)
    said = said.partition("\n")[0]
    entry = _ENTRY.match(said)
    guard = said[entry.end() :] if entry else said
    at = _AT.search(guard)
    lines = frames(stack.split("\n"))  # since torch 2.13, with the whole path
    line = lines[-1] if lines else Line(at["file"], int(at["line"]), at["function"], at["code"]) if at else None
    return GuardFailure(entry[1] if entry else "", guard.partition("  # ")[0].strip(), line)
