"""`dynamo_graph_break_reason` (torch 2.6 to the newest): a graph break, in the words that torch's log has too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..breaks import parse_break
from ..events import Event
from .context import Entry
from .envelope import Broken

MAX_TEXT = 1 << 16

_OWN = re.compile(r"^(?:Traceback \(most recent call last\):|NoneType: None)$", re.M)
"""Where dynamo's own traceback begins, after the user's."""


def graph_break(entry: Entry) -> Sequence[Event]:
    """The one break that a record tells."""
    entry.plain()
    text = entry.text()[:MAX_TEXT]
    own = _OWN.search(text, max(0, text.find("User code traceback:")))
    told = parse_break(text[: own.start()].rstrip() if own else text)
    if told is None:
        raise Broken("no line says where the break is")
    kinds = entry.context.breaks
    compile_id = entry.source.compile_id
    kinds.put(entry.pid, compile_id, (kinds.get(entry.pid, compile_id) or frozenset()) | {told.kind})
    return (told.told_by(entry.source),)
