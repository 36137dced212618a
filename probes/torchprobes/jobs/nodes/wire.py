"""What a node says when it is asked over a prefix: lines of JSON, the last of them the document.

    {"torchdoctor_node":1,"t_ns":…,"host":…}     at once: it lives, and this is its clock
    {"pong":3,"t_ns":…}                           an answer to each `3` that comes on its stdin, while it has time
    {"schema":1,…,"jobs":[…]}                     the answer: `snapshot --json` on one line

Standard library and msgspec; both ends are here. What other lines come (a banner, a module system's chatter) is noise.
"""

from __future__ import annotations

import os
import select
import socket
import time
from typing import Any

import msgspec

from ...model import SCHEMA, Frozen
from ...rank_evidence import NodeEvidence

MARK = "torchdoctor_node"
PINGS = 6
PING_S = 1.0
"""What the asker may spend on pings, and the node on waiting for them: a prefix without stdin costs the node this."""


class Answer(Frozen, frozen=True, kw_only=True):
    """The part of a snapshot that matters here; readers pass over the rest."""

    schema: int = SCHEMA
    host: str = ""
    jobs: tuple[NodeEvidence, ...] = ()


# --- the node's end ------------------------------------------------------------------------------------------------


def answer_pings(stdin: int, stdout: int, limit_s: float = PING_S) -> None:
    """Say that we are here, then answer pings until there are enough, stdin ends, or the time is over.

    Raises:
        OSError: if nobody reads.
    """
    _say(stdout, {MARK: 1, "host": socket.gethostname()})
    deadline, pending, answered = time.monotonic() + limit_s, b"", 0
    while answered < PINGS and (left := deadline - time.monotonic()) > 0:
        if not select.select([stdin], [], [], left)[0]:
            return
        data = os.read(stdin, 256)
        if not data:
            return
        *lines, pending = (pending + data)[-256:].split(b"\n")
        for line in list(filter(bytes.isdigit, lines))[: PINGS - answered]:
            _say(stdout, {"pong": int(line[:6])})
            answered += 1


def _say(stdout: int, message: dict[str, Any]) -> None:
    os.write(stdout, msgspec.json.encode({**message, "t_ns": time.time_ns()}) + b"\n")


# --- the asker's end -------------------------------------------------------------------------------------------------


def stamp_of(line: bytes) -> tuple[int | None, int] | None:
    """(Number of the ping or None, their clock) of a line that carries a stamp; None of any other."""
    if len(line) > 512 or not line.lstrip().startswith((b'{"torchdoctor_node"', b'{"pong"')):
        return None
    try:
        message = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    number, stamp = message.get("pong"), message.get("t_ns")
    if not isinstance(stamp, int) or isinstance(stamp, bool) or not 0 < stamp < 1 << 62:
        return None
    return (number if isinstance(number, int) else None, stamp)


def answer_of(line: bytes) -> Answer | str | None:
    """The answer in a line; why it cannot be read, in words; None if the line is noise."""
    if not line.lstrip().startswith(b'{"schema"'):
        return None
    try:
        found = msgspec.json.decode(line, type=Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"its answer cannot be read: {' '.join(str(error).split())[:160]}"
    if found.schema > SCHEMA:
        return f"its answer has schema {found.schema}, this torchdoctor reads up to {SCHEMA}: upgrade torchdoctor here"
    return found
