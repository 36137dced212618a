"""The node's identity for a report."""

from __future__ import annotations

import os
import socket
from typing import Any

from .. import child
from ..model import Machine

_UNREAD: dict[str, Any] = {
    "boot_id": "",
    "kernel": "",
    "arch": "",
    "os": "",
    "cpu": "",
    "memory_bytes": 0,
    "driver": None,
}


def describe(deadline_s: float) -> Machine:
    """What identifies this node; what could not be read within the deadline stays empty or 0."""
    try:
        parts = child.ask_each("machine", {}, deadline_s)
    except (child.Hung, child.ChildFailed):
        parts = {}
    read = {key: part.value for key, part in parts.items() if part.state == "done"}
    known = {"host": socket.gethostname(), "cores": os.cpu_count() or 0, **_UNREAD, **read}
    return Machine(**known)
