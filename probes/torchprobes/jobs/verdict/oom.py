"""The kernel's own word that it killed a rank, or a process of its, for want of memory."""

from __future__ import annotations

import re
from typing import Final

from ...samples import KernelEvent
from .case import Case, Seen

_SIZE: Final = re.compile(r"anon-rss:(\d{1,15})kB")


def oom_event(case: Case, seen: Seen) -> KernelEvent | None:
    """The event that names this rank, or a worker of its DataLoader of whose end it tells; None if there is none."""
    pids = {seen.evidence.identity.pid, seen.evidence.identity.inner_pid}
    for sign in seen.signs:
        if sign.id == "loader-worker" and sign.details.get("pid", "").isdigit():
            pids.add(int(sign.details["pid"]))
    for node, event in case.kernel:
        if event.kind == "oom" and event.pid in pids and node.host == seen.node.host:
            return event
    return None


def oom_bytes(event: KernelEvent | None) -> int | None:
    """How much a killed process held, None if the line does not say."""
    found = _SIZE.search(event.text) if event is not None else None
    return int(found[1]) << 10 if found is not None else None
