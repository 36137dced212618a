"""Environment variables that PyTorch, its libraries or Python look at. They are told raw: who hands them on masks."""

from __future__ import annotations

import os

from ..families import matters
from ..process import read_file
from .reading import Told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ENVIRONMENT = 4 << 20
MOST_VARIABLES = 1024


def variables(root: str, pid: int) -> Any:
    """Those of a process as it was started; of this child, those that it has from the one that asked.

    A variable that is set to nothing is told as '""': that it is there can be the reason of a fault.
    """
    told = Told()
    raw = read_file(f"{root}/proc/{pid}/environ", MOST_ENVIRONMENT)
    rows = (row.partition("=") for row in os.fsdecode(raw).split("\0"))
    found = {name: value for name, equals, value in rows if equals and matters(name)}
    for name in sorted(found)[:MOST_VARIABLES]:
        value = found[name].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        told.put(name, value if value.strip() else '""')
    if len(found) > MOST_VARIABLES:
        told.unread[""] = f"only {MOST_VARIABLES} of {len(found)} are told"
    return told.answer()
