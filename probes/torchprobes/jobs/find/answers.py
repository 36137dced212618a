"""The question `jobs`: all distributed jobs of this node as plain documents. Standard library only."""

from __future__ import annotations

import time

from . import assemble, hidden
from .scan import Scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def answer(until: float, proc: str = "/proc", named: int = 0) -> dict[str, Any]:
    """`jobs`, `notes`, and the `seconds` that looking took.

    `named` is a pid that somebody means: where no job holds it, it is one of its own.
    """
    return look(Scanner(proc), until, named)


def look(scanner: Scanner, until: float, named: int = 0) -> dict[str, Any]:
    """The same by a scanner that remembers: for whoever looks often, and may be killed."""
    began = time.monotonic()
    census = scanner.look(until)
    jobs = assemble.jobs(census)
    if named and not any(named in _pids(job) for job in jobs):
        jobs += filter(None, [assemble.alone(census, named)])
    return {"jobs": jobs, "notes": hidden.notes(census), "seconds": time.monotonic() - began}


def _pids(job: dict[str, Any]) -> set[int | None]:
    return {job["launcher_pid"], *(rank[name] for rank in job["ranks"] for name in ("pid", "inner_pid"))}
