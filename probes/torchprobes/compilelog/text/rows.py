"""Which records matter, by their first line, and who reads them."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..events import Event
from . import compiling
from .record import Process, Record

Maker = Callable[[Record, Process], list[Event]]

ROWS: tuple[tuple[re.Pattern[str], Maker], ...] = (
    (compiling.STARTED, compiling.started),
    (compiling.BROKE, compiling.broke),
    (compiling.RECOMPILED, compiling.recompiled),
    (compiling.GUARDS, compiling.guarded),
    (compiling.GRAPH, compiling.graph),
    (compiling.CALLED, compiling.called),
    (compiling.BACKWARD, compiling.backward),
    (compiling.COMPILING, compiling.compiling),
    (compiling.LOOPED, compiling.looped),
    (compiling.LIMIT, compiling.limited),
)


def maker_of(first: str) -> Maker | None:
    """Who reads the record that begins with the line `first`; None if it does not matter."""
    return next((maker for pattern, maker in ROWS if pattern.match(first)), None)
