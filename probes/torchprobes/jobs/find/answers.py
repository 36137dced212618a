"""The question `jobs`: all distributed jobs of this node as plain documents. Standard library only."""

from __future__ import annotations

import time

from . import assemble, hidden
from .scan import Scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def answer(until: float, proc: str = "/proc") -> dict[str, Any]:
    """`jobs`, `notes`, and the `seconds` that looking took."""
    return look(Scanner(proc), until)


def look(scanner: Scanner, until: float) -> dict[str, Any]:
    """The same by a scanner that remembers: for whoever looks often, and may be killed."""
    began = time.monotonic()
    census = scanner.look(until)
    jobs = assemble.jobs(census)
    return {"jobs": jobs, "notes": hidden.notes(census), "seconds": time.monotonic() - began}
